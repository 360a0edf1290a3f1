from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn

from convolve.training.classifiers import CLASSIFIERS, Setting, standardisation
from convolve.training.task import Task

# lambda of lambda/2 |W|^2 beside the mean loss, strong to weak; scikit-learn's C is 1 / (lambda N).
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
# Where losses and gradients are float32, relative 1e-7 is what they hold.
_PRECISION = {
    torch.float32: {"maxiter": 300, "gtol": 1e-4, "ftol": 1e-7},
    torch.float64: {"maxiter": 1000, "gtol": 1e-6, "ftol": 1e-13},
}


@final
class Logistic:
    """Logistic regression: the task's own loss, with its class weights, brought to its optimum.

    Args:
        penalties: lambdas to try, strong to weak.
    """

    in_words = "a logistic regression"
    several_labels = True
    in_order = True

    def __init__(self, penalties: Sequence[float] = PENALTIES) -> None:
        self._penalties = penalties

    def settings(self, *, images: int, features: int) -> list[Setting]:
        """Penalties, strong to weak."""
        return [{"penalty": penalty} for penalty in self._penalties]

    def fitter(
        self, features: Tensor, targets: Tensor, task: Task, *, exact: bool = False
    ) -> Callable[[Setting], nn.Linear]:
        """Fits for ever weaker penalties, each found from the one before, those skipped included."""
        path = RegularisationPath(features.double() if exact else features, targets, task)
        stronger = list(self._penalties)

        def fit(setting: Setting) -> nn.Linear:
            while stronger and stronger[0] > setting["penalty"]:
                path.fit(stronger.pop(0))
            return path.fit(setting["penalty"])

        return fit


class RegularisationPath:
    """Heads that minimise mean loss + lambda/2 |W|^2 on standardised features, each found from the one before.

    Args:
        features: (N, D) float32, or float64: twice the time, and many more digits.
        targets: (N, ...) as the task packed them.
        task: for the loss.
    """

    def __init__(self, features: Tensor, targets: Tensor, task: Task) -> None:
        self._mean, self._scale = standardisation(features)
        self._standardised = (features - self._mean) / self._scale
        self._targets = targets
        self._task = task
        self._solution = np.zeros(task.outputs * (features.shape[1] + 1))

    def fit(self, penalty: float) -> nn.Linear:
        """The head for one lambda > 0; from strong penalties to weak ones each is quickly found."""
        precision = _PRECISION[self._standardised.dtype]
        with _one_core():
            found = minimize(
                self._objective, self._solution, args=(penalty,), jac=True, method="L-BFGS-B", options=precision
            )
        self._solution = found.x
        return _unstandardised(self._solution.reshape(self._task.outputs, -1), self._mean, self._scale)

    def _objective(self, flat: NDArray[np.float64], penalty: float) -> tuple[float, NDArray[np.float64]]:
        parameters = torch.from_numpy(flat).to(self._standardised.dtype).view(self._task.outputs, -1)
        weight, bias = parameters[:, :-1].contiguous(), parameters[:, -1]
        outputs = nn.functional.linear(self._standardised, weight, bias).requires_grad_()
        loss = self._task.losses(outputs, self._targets).mean()
        (error,) = torch.autograd.grad(loss, outputs)
        # Autograd's own product for the weights has its factors the other way round, six times slower here.
        slope = error.T @ self._standardised + penalty * weight
        gradient = torch.cat([slope, error.sum(dim=0)[:, None]], dim=1)
        penalised = float(loss.item()) + 0.5 * penalty * float(weight.square().sum())
        return penalised, gradient.flatten().double().numpy()


@contextmanager
def _one_core() -> Iterator[None]:
    """Within it torch uses one core: shared among two, products this small took 3 to 20 times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _unstandardised(parameters: NDArray[np.float64], mean: Tensor, scale: Tensor) -> nn.Linear:
    weight = torch.from_numpy(parameters[:, :-1]) / scale.double()
    bias = torch.from_numpy(parameters[:, -1]) - weight @ mean.double()
    head = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    return head


CLASSIFIERS.add("logistic", Logistic())
