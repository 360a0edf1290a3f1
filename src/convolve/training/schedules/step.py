from typing import Annotated

from pydantic import Field

from convolve.training.schedules import SCHEDULES, Stateless


@SCHEDULES.register("step")
class Step(Stateless):
    """A fixed cut at fixed moments, as the networks of 2012 to 2015 were trained.

    Args:
        at: progress, in [0, 1), at which the learning rate is cut; ResNet's CIFAR-10 recipe has 1/2 and 3/4.
        gamma: the factor of each cut.
    """

    def __init__(
        self,
        *,
        at: list[Annotated[float, Field(ge=0, lt=1)]] = [0.5, 0.75],  # noqa: B006
        gamma: Annotated[float, Field(gt=0, lt=1)] = 0.1,
    ) -> None:
        self._at = tuple(at)
        self._gamma = gamma

    def factor(self, progress: float) -> float:
        """Gamma to the number of cuts that are past."""
        return float(self._gamma ** sum(progress >= moment for moment in self._at))
