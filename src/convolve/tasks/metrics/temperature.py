import math
from collections.abc import Callable

from scipy.optimize import minimize_scalar

LOWEST, HIGHEST = 0.05, 20.0


def temperature(loss: Callable[[float], float]) -> float:
    """The divisor of the logits that makes a loss on held-out images smallest.

    The negative log-likelihood is convex in 1 / T, so it has one minimum in T and a bounded search finds it.

    Args:
        loss: of a temperature.

    Returns:
        In [0.05, 20]; above 1 where the network was too sure of itself.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.

    >>> round(temperature(lambda t: (t - 2) ** 2), 3)
    2.0
    """
    found = minimize_scalar(
        lambda log_t: loss(math.exp(log_t)),
        bounds=(math.log(LOWEST), math.log(HIGHEST)),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return float(math.exp(found.x))
