"""A small problem with saddle points whose place, height and lowest value are known, and three ways down from one.

An auto-encoder of D - K - D units without biases, tanh in the middle, on centred images. With all weights 0 it answers
the mean image: a saddle of the loss, where as many eigenvalues of the Hessian are negative as positive. No answer is
better than projecting on the first K principal components, as long as the middle is nearly linear (Baldi and Hornik,
"Neural networks and principal component analysis", Neural Networks 2, 1989: all other critical points are saddles).
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from convolve.randomness import numpy_generator, torch_randomness
from convolve.training.curvature import flat, gradient_and_hessian_product, hessian, newton_step
from convolve.training.optimisers import OPTIMISERS, ClosureOptimiser

MIDDLE = 8
_SPREAD = 1e-3


@dataclass(frozen=True)
class Descent:
    """A way down.

    Attributes:
        losses: before every step and after the last, over all images.
        seconds: that the steps took.
    """

    losses: Sequence[float]
    seconds: float

    def steps_below(self, bound: float) -> int | None:
        """Steps until the loss is below a bound; None = never."""
        return next((step for step, loss in enumerate(self.losses) if loss < bound), None)


@dataclass(frozen=True)
class CriticalPoint:
    """A place without a slope.

    Attributes:
        loss: there.
        index: share of the Hessian's eigenvalues that are negative: 0 at a minimum.
    """

    loss: float
    index: float


def pooled_digits(count: int = 300) -> Tensor:
    """(N, 16) float64: scikit-learn's digits at 4 x 4 pixels, so small that a whole Hessian fits; mean 0 by pixel."""
    images = torch.from_numpy(load_digits().images[:count] / 16.0)
    pooled = nn.functional.avg_pool2d(images[:, None], 2).flatten(1)
    centred: Tensor = pooled - pooled.mean(0)
    return centred


def lowest_loss(images: Tensor) -> float:
    """What is left of the variance after the first K principal components."""
    variances = torch.linalg.eigvalsh(images.T @ images / len(images))
    return float(variances[:-MIDDLE].sum())


def autoencoder_near_saddle(images: Tensor, seed: int) -> nn.Sequential:
    """The auto-encoder with weights drawn from N(0, 0.001^2): close to the saddle at 0, not on it."""
    pixels = images.shape[1]
    with torch_randomness(seed, "near a saddle"):
        network = nn.Sequential(
            nn.Linear(pixels, MIDDLE, bias=False), nn.Tanh(), nn.Linear(MIDDLE, pixels, bias=False)
        ).double()
        for weight in network.parameters():
            nn.init.normal_(weight, std=_SPREAD)
    return network


def reconstruction_loss(network: nn.Module, images: Tensor) -> Tensor:
    """Squared error, summed over pixels, mean over images."""
    loss: Tensor = (network(images) - images).square().sum(1).mean()
    return loss


def descend_with_momentum(images: Tensor, seed: int, *, lr: float, steps: int, batch: int = 0) -> Descent:
    """Gradient descent with momentum 0.9 on all images at once, or on batches; ends where the loss is no number.

    Args:
        images: from `pooled_digits`.
        seed: of the weights and of the batches.
        lr: learning rate.
        steps: at most.
        batch: images a step; 0 = all.
    """
    network = autoencoder_near_saddle(images, seed)
    optimiser = torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9)
    losses = [float(reconstruction_loss(network, images).detach())]
    seconds, portions = 0.0, _portions(len(images), batch or len(images), seed)
    for _ in range(steps):
        began = time.perf_counter()
        optimiser.zero_grad()
        reconstruction_loss(network, images[next(portions)]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        seconds += time.perf_counter() - began
        losses.append(float(reconstruction_loss(network, images).detach()))
        if not math.isfinite(losses[-1]):
            break
    return Descent(losses, seconds)


def _portions(count: int, batch: int, seed: int) -> Iterator[Tensor]:
    epoch = 0
    while True:
        order = torch.from_numpy(numpy_generator(seed, "batches", epoch).permutation(count))
        yield from torch.split(order, batch)
        epoch += 1


def descend_saddle_free(images: Tensor, seed: int, *, steps: int) -> Descent:
    """The same by the library's saddle-free Newton with its own defaults, on all images at once."""
    network = autoencoder_near_saddle(images, seed)
    optimiser = OPTIMISERS["saddle-free-newton"].build([{"params": list(network.parameters())}], 1.0)
    assert isinstance(optimiser, ClosureOptimiser)  # noqa: S101
    began = time.perf_counter()
    losses = [optimiser.step(lambda: reconstruction_loss(network, images)) for _ in range(steps)]
    seconds = time.perf_counter() - began
    return Descent([*losses, float(reconstruction_loss(network, images).detach())], seconds)


def descend_by_newton(images: Tensor, seed: int, *, steps: int) -> tuple[Descent, list[float]]:
    """The same by Newton's own steps with the whole Hessian; and the length of the gradient at every loss."""
    network = autoencoder_near_saddle(images, seed)
    weights, losses, slopes = list(network.parameters()), [], []
    began = time.perf_counter()
    for step in range(steps + 1):
        loss = reconstruction_loss(network, images)
        gradient, _ = gradient_and_hessian_product(loss, weights)
        losses.append(float(loss.detach()))
        slopes.append(float(gradient.norm()))
        if step < steps:
            _move(weights, newton_step(gradient, hessian(loss, weights)))
    return Descent(losses, time.perf_counter() - began), slopes


def critical_points(images: Tensor) -> list[CriticalPoint]:
    """Of the auto-encoder without tanh, by error, lowest last: projections on some principal components.

    Which places have no slope is known only for this linear one: those that project on any components. Here on the
    first q, and on the even q after the first two, for q = 0, 1, ... K.

    Source: Baldi and Hornik, 1989, facts 3 and 4.
    """
    _, components = torch.linalg.eigh(images.T @ images)
    ordered = components.flip(1).T
    chosen = [ordered[:count] for count in range(MIDDLE + 1)]
    chosen += [ordered[2 : 2 + count] for count in range(2, MIDDLE + 1, 2)]
    points = [_at_projection(images, rows) for rows in chosen]
    return sorted(points, key=lambda point: -point.loss)


def _at_projection(images: Tensor, rows: Tensor) -> CriticalPoint:
    pixels = images.shape[1]
    network = nn.Sequential(nn.Linear(pixels, MIDDLE, bias=False), nn.Linear(MIDDLE, pixels, bias=False)).double()
    encoder, decoder = network.parameters()
    with torch.no_grad():
        encoder.zero_()[: len(rows)] = rows
        decoder.copy_(encoder.T)
    loss = reconstruction_loss(network, images)
    eigenvalues = torch.linalg.eigvalsh(hessian(loss, [encoder, decoder]))
    # What is zero by symmetry is so up to rounding only.
    negative = eigenvalues < -1e-9 * eigenvalues.abs().max()
    return CriticalPoint(float(loss.detach()), float(negative.double().mean()))


def _move(weights: Sequence[Tensor], step: Tensor) -> None:
    place = flat([weight.detach() for weight in weights]) + step
    pieces = torch.split(place, [weight.numel() for weight in weights])
    with torch.no_grad():
        for weight, piece in zip(weights, pieces, strict=True):
            weight.copy_(piece.view(weight.shape))
