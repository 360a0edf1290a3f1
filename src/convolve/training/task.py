"""The protocol a task fills: what a head predicts, its loss, its score, its predictions."""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from convolve.data.dataset import Sample


class Fared(Protocol):
    """How one image fared: truth and prediction in words, the prediction's probability, and if it is right."""

    @property
    def truth(self) -> str: ...  # noqa: D102
    @property
    def predicted(self) -> str: ...  # noqa: D102
    @property
    def probability(self) -> float: ...  # noqa: D102
    @property
    def right(self) -> bool: ...  # noqa: D102


class Objective(Protocol):
    """What is minimised, and the figures that say how far that is: all that the training loop knows."""

    score_name: str
    """The figure that chooses between epochs and is reported first, larger is better, for example "accuracy"."""

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(N,) float32: the training loss of every image, from outputs (N, ...) of any float dtype."""

    def condense(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What evaluating needs of a batch, (N, ...) each: outputs and targets themselves, or of maps less."""

    def evaluate(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Figures on a whole split, at least "loss" and the one called `score_name`; quick, called every epoch.

        Args:
            outputs: what `condense` left of every image's.
            targets: likewise.
        """


class Task(Objective, Protocol):
    """One kind of question to an image. Final classes fill it."""

    name: str
    classes: tuple[str, ...]

    @property
    def outputs(self) -> int:
        """K, how many numbers a head gives an image."""

    def pack_targets(self, samples: Sequence[Sample]) -> Tensor:
        """The targets of many samples as one tensor, rows in their order."""

    def image_weights(self, targets: Tensor) -> Tensor:
        """(N,) float64: how much each image counts in the loss; 1 where all count alike."""

    def results(
        self, outputs: Tensor, targets: Tensor, *, temperature: float, groups: Sequence[str | None] | None = None
    ) -> dict[str, Any]:
        """Everything that is reported on a split, as plain JSON values; with groups, intervals are over groups."""

    def fit_temperature(self, outputs: Tensor, targets: Tensor) -> float:
        """The divisor of the outputs, > 0, that makes held-out probabilities most truthful."""

    def probabilities(self, outputs: Tensor, *, temperature: float) -> Tensor:
        """(N, K) float64 in [0, 1]."""

    def image_results(self, probabilities: Tensor, targets: Tensor) -> Sequence[Fared]:
        """How every image fared, from its probabilities and its target."""

    def prediction(self, probabilities: Sequence[float]) -> dict[str, Any]:
        """What `convolve predict` says of one image, as plain JSON values."""
