"""What every network is here: a backbone that reads features off images, and a head that reads outputs off features."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from convolve.registry import Registry


class Network(nn.Module):
    """A backbone and a head.

    Args:
        backbone: (N, C, H, W) images, normalised -> (N, D) features.
        head: (N, D) features -> (N, K) outputs; nn.Linear but for LeNet-5's Euclidean units.
        features: D, the width of the features.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, *, features: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.features = features

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of normalised images (N, C, H, W)."""
        outputs: Tensor = self.head(self.backbone(images))
        return outputs


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """How to build a network, and the facts that choose and describe it.

    Attributes:
        build: `build(outputs, channels=C, image_hw=(H, W), **options) -> Network`, randomly initialised from torch's
            global generator. Its keyword-only parameters with a default are the options of `network.options`.
        about: one line: what it is.
        source: the paper or the library it comes from.
        sides: image sides in pixels that it is made for, ascending; empty = any.
        smallest_side: images must have at least this side, in pixels.
        channels: the image channels it accepts.
    """

    build: Callable[..., Network]
    about: str
    source: str
    sides: tuple[int, ...] = ()
    smallest_side: int = 1
    channels: tuple[int, ...] = (1, 3)


ARCHITECTURES: Registry[Architecture] = Registry("network", "convolve.networks.architectures")
