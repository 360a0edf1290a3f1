from typing import Annotated, Any

from pydantic import Field

from convolve.training.schedules import SCHEDULES


@SCHEDULES.register("plateau")
class Plateau:
    """A cut whenever the validation score has not risen for some epochs, as AlexNet and VGG were trained by hand.

    Args:
        patience: epochs without a better score before a cut.
        gamma: the factor of each cut.
    """

    def __init__(
        self, *, patience: Annotated[int, Field(ge=1)] = 3, gamma: Annotated[float, Field(gt=0, lt=1)] = 0.1
    ) -> None:
        self._patience = patience
        self._gamma = gamma
        self._best: float | None = None
        self._waited = 0
        self._cuts = 0

    def factor(self, progress: float) -> float:
        """Gamma to the number of cuts so far."""
        return float(self._gamma**self._cuts)

    def observe(self, score: float) -> None:
        """Count the epochs since the best score; cut when there were too many."""
        if self._best is None or score > self._best:
            self._best, self._waited = score, 0
            return
        self._waited += 1
        if self._waited >= self._patience:
            self._cuts, self._waited = self._cuts + 1, 0

    def state(self) -> dict[str, Any]:
        """The best score, how long ago it was, and the cuts so far."""
        return {"best": self._best, "waited": self._waited, "cuts": self._cuts}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self._best, self._waited, self._cuts = state["best"], state["waited"], state["cuts"]
