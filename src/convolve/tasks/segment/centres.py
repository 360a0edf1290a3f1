from typing import final

from torch import Tensor

from convolve.tasks.segment.pixels import Pixels


@final
class Centres:
    """Which one of the classes the centre pixel of a patch shows: maps of a single pixel.

    Args:
        pixels: what is asked of the pixels of these maps.
    """

    score_name = Pixels.score_name

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(N,) float32, from logits (N, K) and targets (N,), `IGNORE` among them."""
        return self._pixels.losses(outputs[:, :, None, None], targets[:, None, None])

    def condense(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """As `Pixels.condense`."""
        return self._pixels.condense(outputs[:, :, None, None], targets[:, None, None])

    def evaluate(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """As `Pixels.evaluate`, over patches."""
        return self._pixels.evaluate(outputs, targets)
