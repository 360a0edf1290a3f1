"""The curvature of a loss: products with its Hessian, Lanczos' subspace of them, and Newton's step in two forms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

HessianProduct: TypeAlias = Callable[[Tensor], Tensor]
"""(P,) -> (P,): the Hessian times a vector."""


def gradient_and_hessian_product(loss: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, HessianProduct]:
    """Differentiate a loss once, and make what differentiates it along any direction once more.

    A product costs two backward passes and no matrix: the gradient's derivative along the vector (Pearlmutter, "Fast
    exact multiplication by the Hessian", Neural Computation 6, 1994).

    Args:
        loss: a scalar, computed from the parameters by operations that can be differentiated twice.
        parameters: P numbers in all; those that the loss does not depend on have gradient 0.

    Returns:
        The (P,) gradient, parameters flattened in their order, and the product.
    """
    pieces = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
    gradient = flat(pieces)

    def product(vector: Tensor) -> Tensor:
        if not gradient.requires_grad:
            return torch.zeros_like(gradient)
        rows = torch.autograd.grad(gradient, parameters, grad_outputs=vector, retain_graph=True, materialize_grads=True)
        return flat(rows).detach()

    return gradient.detach(), product


def hessian(loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """(P, P): the whole Hessian, for some hundred parameters at most; arguments as `gradient_and_hessian_product`."""
    gradient = flat(torch.autograd.grad(loss, parameters, create_graph=True))
    directions = torch.eye(len(gradient), dtype=gradient.dtype, device=gradient.device)
    rows = torch.autograd.grad(gradient, parameters, grad_outputs=directions, is_grads_batched=True)
    return torch.cat([row.reshape(len(gradient), -1) for row in rows], dim=1)


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """All numbers of these tensors in one row, (P,), whatever their layout in memory."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


@dataclass(frozen=True)
class Subspace:
    """Some directions among P parameters, and the curvature along them.

    Attributes:
        basis: (k, P), orthonormal rows.
        products: (k, P), the Hessian times each of them.
    """

    basis: Tensor
    products: Tensor

    @property
    def hessian(self) -> Tensor:
        """(k, k) float64 on the CPU: the Hessian of alpha -> loss(theta + basis^T alpha) at 0."""
        matrix = (self.basis @ self.products.T).cpu().double()
        # Equal up to rounding; eigh would look at one half only.
        return (matrix + matrix.T) / 2

    def with_direction(self, direction: Tensor, product: HessianProduct) -> "Subspace":
        """One more row for what of a (P,) direction is not in the subspace yet, if anything is."""
        rest = _outside(direction, self.basis)
        if rest.norm() <= torch.finfo(rest.dtype).eps ** 0.5 * direction.norm():
            return self
        row = rest / rest.norm()
        return Subspace(torch.cat([self.basis, row[None]]), torch.cat([self.products, product(row)[None]]))


def lanczos(product: HessianProduct, start: Tensor, count: int) -> Subspace:
    """The Krylov subspace start, H start, H^2 start, ... as Lanczos builds it, every row orthogonalised to all before.

    The three-term recurrence alone loses orthogonality as soon as an eigenvalue has converged, and then finds the same
    eigenvalue again and again (Golub and Van Loan, "Matrix Computations", section 10.3).

    Args:
        product: with a symmetric matrix.
        start: (P,), not zero.
        count: rows wanted; there are fewer when the subspace is closed under the matrix, or P is less.
    """
    count = min(count, len(start))
    basis, products = start.new_empty(count, len(start)), start.new_empty(count, len(start))
    row, largest, found = start / start.norm(), 0.0, 0
    for number in range(count):
        basis[number], products[number] = row, product(row)
        found = number + 1
        rest = _outside(products[number], basis[:found])
        size = float(rest.norm())
        largest = max(largest, float(products[number].norm()))
        if size <= 100 * torch.finfo(start.dtype).eps * largest:
            break
        row = rest / size
    return Subspace(basis[:found], products[:found])


def _outside(vector: Tensor, basis: Tensor) -> Tensor:
    # Twice is enough: Parlett, "The Symmetric Eigenvalue Problem", section 6.9.
    for _ in range(2):
        vector = vector - basis.T @ (basis @ vector)
    return vector


def newton_step(gradient: Tensor, hessian: Tensor) -> Tensor:
    """-H^-1 g: to where the quadratic model is flat, be that a minimum, a saddle or a maximum.

    Args:
        gradient: (P,).
        hessian: (P, P), symmetric and invertible.
    """
    step: Tensor = torch.linalg.solve(hessian, -gradient)
    return step


def saddle_free_newton_step(gradient: Tensor, hessian: Tensor, damping: float = 0.0) -> Tensor:
    """-(|H| + damping I)^-1 g, where |H| has the eigenvectors of H and the absolute eigenvalues: never up the slope.

    Args:
        gradient: (P,).
        hessian: (P, P), symmetric; singular only with damping.
        damping: >= 0, in units of the eigenvalues.

    Source: Dauphin et al., "Identifying and attacking the saddle point problem in high-dimensional non-convex
    optimization", NeurIPS 2014.

    >>> saddle_free_newton_step(torch.tensor([2.0, -1.0]), torch.tensor([[2.0, 0.0], [0.0, -2.0]]))
    tensor([-1.0000,  0.5000])
    """
    eigenvalues, vectors = torch.linalg.eigh(hessian)
    step: Tensor = vectors @ ((vectors.T @ -gradient) / (eigenvalues.abs() + damping))
    return step
