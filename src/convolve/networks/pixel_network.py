"""What every network for masks is here: images of any size in, a score for every class and pixel out."""

from typing import Literal

from torch import Tensor, nn


class PixelNetwork(nn.Module):
    """Images to maps of scores, in two steps, so that what is drawn by chance can be drawn again cheaply.

    Subclasses give `encode` and `score`; in test mode `forward` is one after the other.

    Attributes:
        reach: an output pixel depends on no image pixel farther away than this, along either axis; None = on any.
        stride: outputs treat the image alike from so many pixels to the next so many; tiles begin at multiples of it.
        smallest_side: images must have at least this side, pixels.
        trained_on: "crops": images (N, C, H, W) and masks, through `forward`; "patches": images (N, C, P, P) with the
            class of the centre pixel, through `classifier`.
        patch_side: P, where it is trained on patches; else 0.
    """

    reach: int | None = None
    stride: int = 1
    smallest_side: int = 1
    trained_on: Literal["crops", "patches"] = "crops"
    patch_side: int = 0

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """The work in which, with dropout on, no chance enters: (N, C, H, W) normalised images to any tensors."""
        raise NotImplementedError

    def score(self, encoded: tuple[Tensor, ...], image_hw: tuple[int, int]) -> Tensor:
        """(N, K, H, W) logits from what `encode` gave for images of that height and width; all dropout is in here."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K, H, W) of normalised images (N, C, H, W)."""
        return self.score(self.encode(images), (images.shape[2], images.shape[3]))

    @property
    def encoder_stages(self) -> tuple[nn.Module, ...]:
        """The layers that pre-trained weights are for, from the image upwards; they share none."""
        return ()

    @property
    def trained(self) -> nn.Module:
        """What a training loop trains: the network itself, or on patches the classifier in it."""
        return self
