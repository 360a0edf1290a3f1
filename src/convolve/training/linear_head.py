"""A linear classifier on features that do not change: fitted to the optimum, its penalty chosen by cross-validation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn

from convolve.training.task import Task

# lambda of lambda/2 |W|^2 beside the mean loss, strong to weak; scikit-learn's C is 1 / (lambda N).
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
# Weaker penalties are not tried once this many in a row did worse and worse.
_PATIENCE = 2
# Losses and gradients are float32: relative 1e-7 is what they hold.
_PRECISION = {"maxiter": 300, "gtol": 1e-4, "ftol": 1e-7}


@dataclass(frozen=True)
class Probe:
    """A fitted head, and how well it does on images it was not fitted on.

    Attributes:
        head: features (N, D) -> outputs (N, K); the features' mean and scale are folded into it.
        penalty: the chosen lambda.
        temperature: fitted on `held_out`.
        held_out: (N, K) every image's outputs from a head that was fitted without its fold.
        figures: the task's figures on them.
    """

    head: nn.Linear
    penalty: float
    temperature: float
    held_out: Tensor
    figures: dict[str, float]


def fit_probe(
    features: Tensor,
    targets: Tensor,
    folds: NDArray[np.int64],
    task: Task,
    *,
    penalties: Sequence[float] = PENALTIES,
    progress: Callable[[int, int], None],
) -> Probe:
    """Fit a linear head, choosing the penalty with the most likely held-out labels.

    Likelihood is compared after temperature scaling: a strong penalty that is merely less sure of itself gains nothing.

    Args:
        features: (N, D) float32.
        targets: (N, ...) as the task packed them.
        folds: (N,) fold of each image; images that belong together share one.
        task: for the loss.
        penalties: lambdas to try, strong to weak.
        progress: told (fits done, fits in all).
    """
    inside = [torch.from_numpy(folds != fold) for fold in np.unique(folds)]
    paths = [RegularisationPath(features[part], targets[part], task) for part in inside]
    held_out: dict[float, Tensor] = {}
    losses: dict[float, float] = {}
    for number, penalty in enumerate(penalties):
        outputs = torch.zeros(len(features), task.outputs)
        for part, path in zip(inside, paths, strict=True):
            head = path.fit(penalty)
            with torch.inference_mode():
                outputs[~part] = head(features[~part])
        held_out[penalty] = outputs
        losses[penalty] = task.evaluate(outputs / task.fit_temperature(outputs, targets), targets)["loss"]
        progress(number + 1, len(penalties) + 1)
        recent = list(losses.values())[-_PATIENCE - 1 :]
        if len(recent) > _PATIENCE and recent == sorted(recent):
            break
    best = min(losses, key=lambda penalty: losses[penalty])
    whole = RegularisationPath(features, targets, task)
    heads = [whole.fit(penalty) for penalty in penalties if penalty >= best]
    progress(len(penalties) + 1, len(penalties) + 1)
    return Probe(
        head=heads[-1],
        penalty=best,
        temperature=task.fit_temperature(held_out[best], targets),
        held_out=held_out[best],
        figures=task.evaluate(held_out[best], targets),
    )


class RegularisationPath:
    """Heads that minimise mean loss + lambda/2 |W|^2 on standardised features, each found from the one before.

    Args:
        features: (N, D) float32.
        targets: (N, ...) as the task packed them.
        task: for the loss.
    """

    def __init__(self, features: Tensor, targets: Tensor, task: Task) -> None:
        self._mean, std = features.mean(dim=0), features.std(dim=0, correction=0)
        # A feature that never changes carries nothing; noise in its last bit must not be blown up to carry something.
        self._scale = torch.where(std > 1e-6 * (1 + self._mean.abs()), std, torch.inf)
        self._standardised = (features - self._mean) / self._scale
        self._targets = targets
        self._task = task
        self._solution = np.zeros(task.outputs * (features.shape[1] + 1))

    def fit(self, penalty: float) -> nn.Linear:
        """The head for one lambda > 0; from strong penalties to weak ones each is quickly found."""
        found = minimize(
            self._objective, self._solution, args=(penalty,), jac=True, method="L-BFGS-B", options=_PRECISION
        )
        self._solution = found.x
        return _unstandardised(self._solution.reshape(self._task.outputs, -1), self._mean, self._scale)

    def _objective(self, flat: NDArray[np.float64], penalty: float) -> tuple[float, NDArray[np.float64]]:
        parameters = torch.from_numpy(flat).float().view(self._task.outputs, -1)
        weight, bias = parameters[:, :-1].contiguous(), parameters[:, -1]
        outputs = nn.functional.linear(self._standardised, weight, bias).requires_grad_()
        loss = self._task.losses(outputs, self._targets).mean()
        (error,) = torch.autograd.grad(loss, outputs)
        # Autograd's own product for the weights has its factors the other way round, six times slower here.
        slope = error.T @ self._standardised + penalty * weight
        gradient = torch.cat([slope, error.sum(dim=0)[:, None]], dim=1)
        penalised = float(loss.item()) + 0.5 * penalty * float(weight.square().sum())
        return penalised, gradient.flatten().double().numpy()


def _unstandardised(parameters: NDArray[np.float64], mean: Tensor, scale: Tensor) -> nn.Linear:
    weight = torch.from_numpy(parameters[:, :-1]) / scale.double()
    bias = torch.from_numpy(parameters[:, -1]) - weight @ mean.double()
    head = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    return head
