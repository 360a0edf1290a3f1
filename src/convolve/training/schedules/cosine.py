import math
from typing import Annotated

from pydantic import Field

from convolve.training.schedules import SCHEDULES, Stateless


@SCHEDULES.register("cosine")
class Cosine(Stateless):
    """Half a cosine from the peak down: Loshchilov and Hutter, "SGDR", ICLR 2017, one cycle without restarts.

    Args:
        final: share of the peak at the end.
    """

    def __init__(self, *, final: Annotated[float, Field(ge=0, le=1)] = 0.0) -> None:
        self._final = final

    def factor(self, progress: float) -> float:
        """From 1 at progress 0 to `final` at 1."""
        return self._final + (1 - self._final) * 0.5 * (1 + math.cos(math.pi * progress))
