import math
from typing import Annotated

from pydantic import Field

from convolve.training.schedules import SCHEDULES, Stateless


@SCHEDULES.register("one-cycle")
class OneCycle(Stateless):
    """A long rise, then a longer fall: Smith and Topin, "Super-Convergence", 2018, with cosine pieces.

    Momentum stays as it is.

    Args:
        rise: share of the training spent rising.
        initial: share of the peak at the start.
        final: share of the peak at the end.
    """

    def __init__(
        self,
        *,
        rise: Annotated[float, Field(gt=0, lt=1)] = 0.3,
        initial: Annotated[float, Field(gt=0, le=1)] = 0.04,
        final: Annotated[float, Field(ge=0, le=1)] = 4e-6,
    ) -> None:
        self._rise = rise
        self._initial = initial
        self._final = final

    def factor(self, progress: float) -> float:
        """From `initial` up to 1 at `rise`, then down to `final`."""
        if progress < self._rise:
            start, end, share = self._initial, 1.0, progress / self._rise
        else:
            start, end, share = 1.0, self._final, (progress - self._rise) / (1 - self._rise)
        return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))
