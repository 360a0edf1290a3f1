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
    names = np.unique(folds)
    held_out = {penalty: torch.zeros(len(features), task.outputs) for penalty in penalties}
    for number, fold in enumerate(names):
        inside, outside = torch.from_numpy(folds != fold), torch.from_numpy(folds == fold)
        path = fit_path(features[inside], targets[inside], task, penalties)
        for penalty, head in zip(penalties, path, strict=True):
            with torch.inference_mode():
                held_out[penalty][outside] = head(features[outside])
        progress(number + 1, len(names) + 1)

    def loss_at_best_temperature(penalty: float) -> float:
        temperature = task.fit_temperature(held_out[penalty], targets)
        return task.evaluate(held_out[penalty] / temperature, targets)["loss"]

    best = min(penalties, key=loss_at_best_temperature)
    head = fit_path(features, targets, task, [p for p in penalties if p >= best])[-1]
    progress(len(names) + 1, len(names) + 1)
    return Probe(
        head=head,
        penalty=best,
        temperature=task.fit_temperature(held_out[best], targets),
        held_out=held_out[best],
        figures=task.evaluate(held_out[best], targets),
    )


def fit_path(features: Tensor, targets: Tensor, task: Task, penalties: Sequence[float]) -> list[nn.Linear]:
    """Heads that minimise mean loss + lambda/2 |W|^2 on standardised features, one a penalty, each from the one before.

    Args:
        features: (N, D) float32.
        targets: (N, ...) as the task packed them.
        task: for the loss.
        penalties: strong to weak.
    """
    mean, std = features.mean(dim=0), features.std(dim=0, correction=0)
    scale = torch.where(std > 0, std, 1.0)
    standardised = (features - mean) / scale
    width, outputs = features.shape[1], task.outputs
    solution = np.zeros(outputs * (width + 1))
    heads = []
    for penalty in penalties:

        def objective(flat: NDArray[np.float64], penalty: float = penalty) -> tuple[float, NDArray[np.float64]]:
            parameters = torch.from_numpy(flat).float().view(outputs, width + 1).requires_grad_()
            weight, bias = parameters[:, :width], parameters[:, width]
            losses = task.losses(nn.functional.linear(standardised, weight, bias), targets)
            loss = losses.mean() + 0.5 * penalty * weight.square().sum()
            (gradient,) = torch.autograd.grad(loss, parameters)
            return float(loss.item()), gradient.flatten().double().numpy()

        solution = minimize(objective, solution, jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-5}).x
        heads.append(_unstandardised(solution.reshape(outputs, width + 1), mean, scale))
    return heads


def _unstandardised(parameters: NDArray[np.float64], mean: Tensor, scale: Tensor) -> nn.Linear:
    weight = torch.from_numpy(parameters[:, :-1]) / scale.double()
    bias = torch.from_numpy(parameters[:, -1]) - weight @ mean.double()
    head = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    return head
