"""Learning-rate schedules by name: factors of the peak, from how far training has come."""

from collections.abc import Callable
from typing import Any, Protocol

from convolve.registry import Registry


class Schedule(Protocol):
    """How the learning rate moves after the warm-up."""

    def factor(self, progress: float) -> float:
        """The share of the peak, in [0, 1], when `progress` in [0, 1) of the steps is done."""

    def observe(self, score: float) -> None:
        """Hear the validation score of an epoch that has ended; larger is better."""

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on, as plain JSON values."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""


class Stateless:
    """The part of a schedule that depends on nothing but the progress."""

    def observe(self, score: float) -> None:
        """Ignore it."""

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to go on from."""


SCHEDULES: Registry[Callable[..., Schedule]] = Registry("schedule", "convolve.training.schedules")
"""Classes whose keyword-only parameters are what a recipe's `schedule.options` may set."""


def learning_rate_factor(schedule: Schedule, *, step: int, steps: int, warmup: float) -> float:
    """The share of the peak learning rate at one step: a linear rise to where the schedule begins, then the schedule.

    Args:
        schedule: what follows the rise; its progress counts from the end of the rise.
        step: 0 <= step < steps.
        steps: of the whole training.
        warmup: share of the steps spent rising, in [0, 1).
    """
    rising = round(warmup * steps)
    if step < rising:
        return schedule.factor(0.0) * (step + 1) / (rising + 1)
    return schedule.factor((step - rising) / (steps - rising))
