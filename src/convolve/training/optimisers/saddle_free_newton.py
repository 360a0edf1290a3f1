import math
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

import torch
from pydantic import Field
from torch import Tensor

from convolve.errors import UserError
from convolve.training.curvature import Subspace, flat, gradient_and_hessian_product, lanczos
from convolve.training.optimisers import OPTIMISERS, ClosureOptimiser, OptimiserKind

Damping: TypeAlias = Annotated[tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...], Field(min_length=1)]

MOST_PARAMETERS = 500_000
"""A step keeps 2 `krylov` vectors of all parameters, and costs about 2 `krylov` backward passes."""

# Length of the first move from a place without a slope, along its most negative curvature.
_NUDGE = 1e-2


class SaddleFreeNewton(ClosureOptimiser):
    """Newton's method with absolute curvature, in a Krylov subspace: saddles repel it, and plateaus are short.

    One step: Lanczos vectors of the loss's Hessian, begun with the gradient, and the direction of the step before span
    a subspace; there the Hessian's eigenvalues are made positive, and steps -(|H| + damping)^-1 g are taken, each with
    the damping of a small grid that lowers the loss most. A step that would raise the loss of its batch is not taken.
    The penalty weight_decay/2 |W|^2 is part of the loss, so that curvature counts it. With 20 vectors, two inner steps
    and 6 dampings a step costs 44 backward passes and 15 forward.

    Where the gradient is zero, the subspace begins with a random vector, drawn from torch's generator, and the first
    move goes along the most negative curvature found. A symmetry that gradient and Hessian share (hidden units that are
    exactly equal) is kept, as by every method that goes by the gradient.

    Args:
        groups: parameters; "lr" and "weight_decay" may differ by group.
        lr: what the whole step is multiplied by.
        krylov: Lanczos vectors.
        inner: steps within one subspace.
        damping: the grid, as shares of the largest absolute eigenvalue.

    Source: Dauphin et al., "Identifying and attacking the saddle point problem in high-dimensional non-convex
    optimization", NeurIPS 2014, Algorithm 1.
    """

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, *, krylov: int, inner: int, damping: tuple[float, ...]
    ) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0})
        self._krylov = krylov
        self._inner = inner
        self._damping = damping

    def step(self, closure: Callable[[], Tensor]) -> float:  # type: ignore[override]
        """As `ClosureOptimiser` has it.

        Raises:
            UserError: an operation of the network cannot be differentiated twice.
        """
        loss = _Loss(closure, self._trained())
        value, gradient, subspace = self._subspace(loss)
        place = self._descend(loss, subspace, gradient)
        direction = subspace.basis.T @ place.to(subspace.basis)
        loss.move_to(loss.origin + loss.per_parameter(lambda group: group["lr"]) * direction)
        pieces = torch.split(direction, [parameter.numel() for parameter in loss.parameters])
        for parameter, piece in zip(loss.parameters, pieces, strict=True):
            self.state[parameter]["direction"] = piece.view(parameter.shape)
        return value

    def _trained(self) -> list[tuple[Tensor, dict[str, Any]]]:
        return [
            (parameter, group)
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.requires_grad
        ]

    def _subspace(self, loss: "_Loss") -> tuple[float, Tensor, Subspace]:
        """The loss itself, its (P,) gradient and the subspace to search in."""
        try:
            with torch.enable_grad():
                value = loss.closure()
                gradient, product = gradient_and_hessian_product(value + loss.penalty(), loss.parameters)
            subspace = lanczos(product, _start(gradient), self._krylov)
            before = [self.state[parameter].get("direction") for parameter in loss.parameters]
            if all(piece is not None for piece in before):
                direction = flat(before)
                subspace = subspace.with_direction(direction, product) if direction.any() else subspace
        except RuntimeError as error:
            if not any(words in str(error) for words in _ONCE_ONLY):
                raise
            raise UserError(
                "optimiser.name='saddle-free-newton': a layer of this network cannot be differentiated twice",
                "Give optimiser=adamw or optimiser=sgd, or another network.",
            ) from error
        return float(value.detach()), gradient, subspace

    def _descend(self, loss: "_Loss", subspace: Subspace, gradient: Tensor) -> Tensor:
        """(k,) float64: the coordinates in the subspace of the lowest loss found."""
        eigenvalues, vectors = torch.linalg.eigh(subspace.hessian)
        sizes = eigenvalues.abs()
        tiny = torch.finfo(sizes.dtype).tiny
        place, lowest = torch.zeros_like(sizes), loss.at(subspace, torch.zeros_like(sizes))
        slope = (subspace.basis @ gradient).cpu().double()
        if _is_flat(gradient) and eigenvalues[0] < 0:
            place = _NUDGE * vectors[:, 0]
            slope = loss.slope_at(subspace, place)
        for number in range(self._inner):
            dampings = [share * sizes.max() for share in self._damping]
            steps = [vectors @ ((vectors.T @ slope) / (sizes + damping).clamp(min=tiny)) for damping in dampings]
            losses = [loss.at(subspace, place - step) for step in steps]
            best = min(range(len(losses)), key=losses.__getitem__)
            if not losses[best] < lowest:
                break
            place, lowest = place - steps[best], losses[best]
            if number + 1 < self._inner:
                slope = loss.slope_at(subspace, place)
        return place


_ONCE_ONLY = ("is not implemented", "not supported", "differentiate twice")


class _Loss:
    """The penalised loss of one step as a function of place; `origin` (P,) is where the step begins."""

    def __init__(self, closure: Callable[[], Tensor], trained: list[tuple[Tensor, dict[str, Any]]]) -> None:
        self.closure = closure
        self.parameters = [parameter for parameter, _ in trained]
        self._groups = [group for _, group in trained]
        self.origin = flat(self.parameters).detach().clone()

    def penalty(self) -> Tensor:
        pairs = zip(self.parameters, self._groups, strict=True)
        terms = [group["weight_decay"] / 2 * parameter.square().sum() for parameter, group in pairs]
        return torch.stack(terms).sum()

    def per_parameter(self, value_of: Callable[[dict[str, Any]], float]) -> Tensor:
        """(P,): a value of each parameter's group."""
        return flat(
            [
                torch.full_like(parameter, value_of(group), requires_grad=False)
                for parameter, group in zip(self.parameters, self._groups, strict=True)
            ]
        )

    def move_to(self, place: Tensor) -> None:
        """Give the parameters these (P,) values."""
        pieces = torch.split(place, [parameter.numel() for parameter in self.parameters])
        with torch.no_grad():
            for parameter, piece in zip(self.parameters, pieces, strict=True):
                parameter.copy_(piece.view(parameter.shape))

    def at(self, subspace: Subspace, coordinates: Tensor) -> float:
        """The penalised loss there; infinite where it is no number."""
        self.move_to(self.origin + subspace.basis.T @ coordinates.to(subspace.basis))
        with torch.no_grad():
            value = float(self.closure() + self.penalty())
        return math.inf if math.isnan(value) else value

    def slope_at(self, subspace: Subspace, coordinates: Tensor) -> Tensor:
        """(k,) float64: its gradient there, within the subspace."""
        self.move_to(self.origin + subspace.basis.T @ coordinates.to(subspace.basis))
        with torch.enable_grad():
            value = self.closure() + self.penalty()
            pieces = torch.autograd.grad(value, self.parameters, materialize_grads=True)
        return (subspace.basis @ flat(pieces)).cpu().double()


def _is_flat(gradient: Tensor) -> bool:
    return bool(gradient.norm() <= torch.finfo(gradient.dtype).eps)


def _start(gradient: Tensor) -> Tensor:
    return torch.randn_like(gradient) if _is_flat(gradient) else gradient


def saddle_free_newton(
    groups: list[dict[str, Any]],
    lr: float,
    *,
    krylov: Annotated[int, Field(ge=1)] = 20,
    inner: Annotated[int, Field(ge=1)] = 2,
    damping: Damping = (1.0, 0.1, 0.01, 0.001, 0.0001, 0.0),
) -> SaddleFreeNewton:
    """Saddle-free Newton for small networks; options as `SaddleFreeNewton` has them.

    Raises:
        UserError: there are more than `MOST_PARAMETERS` parameters.
    """
    count = sum(parameter.numel() for group in groups for parameter in group["params"])
    if count > MOST_PARAMETERS:
        raise UserError(
            f"optimiser.name='saddle-free-newton': {count:,} parameters are too many; it takes up to "
            f"{MOST_PARAMETERS:,}",
            "Give optimiser=adamw or optimiser=sgd, or a smaller network.",
        )
    return SaddleFreeNewton(groups, lr, krylov=krylov, inner=inner, damping=damping)


# Whole steps (1) follow the noise of one batch; of all images at once they are right.
OPTIMISERS.add(
    "saddle-free-newton",
    OptimiserKind(build=saddle_free_newton, lr=0.3, tuning_lr=0.1, weight_decay=5e-4, with_batch=False),
)
