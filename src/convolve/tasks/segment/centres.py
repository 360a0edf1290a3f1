from collections.abc import Sequence
from typing import final

from torch import Tensor

from convolve.tasks.segment.pixels import Pixels


@final
class Centres:
    """Which one of the classes the centre pixel of a patch shows: maps of a single pixel.

    Args:
        classes: K names, in the order of the outputs.
        label_smoothing: share of the target spread over all classes, in [0, 1).
    """

    score_name = "mean_iou"

    def __init__(self, classes: Sequence[str], *, label_smoothing: float = 0.0) -> None:
        self._pixels = Pixels(classes, label_smoothing=label_smoothing)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(N,) float32, from logits (N, K) and targets (N,), `IGNORE` among them."""
        return self._pixels.losses(outputs[:, :, None, None], targets[:, None, None])

    def condense(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """As `Pixels.condense`."""
        return self._pixels.condense(outputs[:, :, None, None], targets[:, None, None])

    def evaluate(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """As `Pixels.evaluate`, over patches."""
        return self._pixels.evaluate(outputs, targets)
