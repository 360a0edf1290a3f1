"""Leaving a saddle: saddle-free Newton against SGD with momentum at its best learning rate, and against Newton.

    python benchmarks/saddle_free_newton.py --seeds 5

The problem is `convolve.see.tour.optimisation`'s: an auto-encoder 16 - 8 - 16 (tanh) on 300 digits of 4 x 4 pixels,
float64, all weights near the saddle at 0. A descent has arrived when its error over all images is within 10 % of what
8 principal components leave. SGD gets every learning rate of a grid, and is judged by the one that arrives first in the
median; saddle-free Newton has its defaults. Prints medians over the seeds, with their range.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence

import torch

from convolve.see.tour.optimisation import (
    Descent,
    descend_by_newton,
    descend_saddle_free,
    descend_with_momentum,
    lowest_loss,
    pooled_digits,
)

RATES = (0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
STEPS = 1000


def main() -> None:
    """Run all methods and print one row each."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, default=5, help="starting weights")
    seeds = range(arguments.parse_args().seeds)
    torch.set_num_threads(1)
    images = pooled_digits()
    bound = 1.1 * lowest_loss(images)
    print(f"{'method':<38}{'arrived':>8}{'steps':>18}{'ms a step':>11}{'seconds':>9}")
    free = [descend_saddle_free(images, seed, steps=30) for seed in seeds]
    print(_row("saddle-free Newton, all images", free, bound))
    for batch in (0, 50):
        rate, best = _best_rate(
            lambda lr, seed, batch=batch: descend_with_momentum(images, seed, lr=lr, steps=STEPS, batch=batch),
            seeds,
            bound,
        )
        words = f"batches of {batch}" if batch else "all images"
        print(_row(f"momentum 0.9, lr {rate:g}, {words}", best, bound))
    newton = [descend_by_newton(images, seed, steps=6) for seed in seeds]
    print(_row("Newton, whole Hessian, all images", [descent for descent, _ in newton], bound))
    slopes = [slopes[-1] for _, slopes in newton]
    print(f"Newton ends at the saddle: error {newton[0][0].losses[-1]:.6f}, gradient at most {max(slopes):.1e}")


def _best_rate(
    descend: Callable[[float, int], Descent], seeds: Sequence[int], bound: float
) -> tuple[float, list[Descent]]:
    tried = {rate: [descend(rate, seed) for seed in seeds] for rate in RATES}
    rate = min(tried, key=lambda rate: statistics.median(_steps(descent, bound) for descent in tried[rate]))
    return rate, tried[rate]


def _steps(descent: Descent, bound: float) -> float:
    steps = descent.steps_below(bound)
    return float("inf") if steps is None else steps


def _row(name: str, descents: Sequence[Descent], bound: float) -> str:
    steps = [_steps(descent, bound) for descent in descents]
    each = statistics.median(descent.seconds / (len(descent.losses) - 1) for descent in descents)
    arrived = sum(count < float("inf") for count in steps)
    middle = statistics.median(steps)
    spread = f"{middle:g} ({min(steps):g} to {max(steps):g})" if arrived else "-"
    seconds = f"{middle * each:.3f}" if arrived else "-"
    return f"{name:<38}{f'{arrived}/{len(steps)}':>8}{spread:>18}{1000 * each:>11.2f}{seconds:>9}"


if __name__ == "__main__":
    main()
