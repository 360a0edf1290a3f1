"""What every network is here: a backbone that reads features off images, and a head that reads outputs off features."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from convolve.errors import UserError
from convolve.networks.auxiliaries import Auxiliaries
from convolve.registry import Registry, checked_options

_AUXILIARIES = "auxiliaries."


class Network(nn.Module):
    """A backbone and a head.

    Args:
        backbone: (N, C, H, W) images, normalised -> (N, D) features.
        head: (N, D) features -> (N, K) outputs; nn.Linear but for LeNet-5's Euclidean units.
        features: D, the width of the features.
        auxiliaries: classifiers inside the backbone, for training alone; the network's own answer has no use for them.
    """

    def __init__(
        self, backbone: nn.Module, head: nn.Module, *, features: int, auxiliaries: Auxiliaries | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.features = features
        self.auxiliaries = auxiliaries

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of normalised images (N, C, H, W)."""
        outputs: Tensor = self.head(self.backbone(images))
        return outputs

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As torch's, but that auxiliary classifiers may be missing on either side: predictions do not need them."""
        own = {name: value for name, value in self.state_dict().items() if name.startswith(_AUXILIARIES)}
        given = {name: value for name, value in state_dict.items() if not name.startswith(_AUXILIARIES) or name in own}
        return super().load_state_dict({**own, **given}, strict, assign)


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """How to build a network, and the facts that choose and describe it.

    Attributes:
        name: what a recipe calls it.
        build: `build(outputs, channels=C, image_hw=(H, W), **options) -> Network`, randomly initialised from torch's
            global generator. Its keyword-only parameters with a default are the options of `network.options`.
        about: one line: what it is.
        source: the paper or the library it comes from.
        sides: image sides in pixels that it is made for, ascending; empty = any.
        smallest_side: images must have at least this side, in pixels.
        scratch_side: without a wish of the user, larger images are shrunk to this side to train it from nothing.
        scratch_lr_factor: of the learning rate that is usual from nothing; deep networks without batch normalisation
            bear less.
        channels: the image channels it accepts.
        published_outputs: classes in its paper, at which its published size is counted.
    """

    name: str
    build: Callable[..., Network]
    about: str
    source: str
    sides: tuple[int, ...] = ()
    smallest_side: int = 1
    scratch_side: int = 128
    scratch_lr_factor: float = 1.0
    channels: tuple[int, ...] = (1, 3)
    published_outputs: int = 10

    def create(
        self, outputs: int, *, channels: int, image_hw: tuple[int, int], options: Mapping[str, Any] | None = None
    ) -> Network:
        """A network with fresh weights, drawn from torch's global generator.

        Args:
            outputs: K, how many numbers the head gives an image.
            channels: C, image channels.
            image_hw: height and width of the images, pixels.
            options: of this architecture, as a recipe gives them.

        Raises:
            UserError: an option, the channels or the image size do not suit this architecture.
        """
        if channels not in self.channels:
            accepted = " or ".join(map(str, self.channels))
            raise UserError(f"network '{self.name}' takes images of {accepted} channels, not {channels}")
        height, width = image_hw
        if min(height, width) < self.smallest_side:
            raise UserError(
                f"network '{self.name}' needs images of at least {self.smallest_side} x {self.smallest_side} pixels, "
                f"not {height} x {width}",
                "Give a larger image size, or choose network 'residual', which takes images of any size from 8 pixels.",
            )
        checked = checked_options(self.build, options or {}, where="network.options")
        return self.build(outputs, channels=channels, image_hw=image_hw, **checked)


ARCHITECTURES: Registry[Architecture] = Registry("network", "convolve.networks.architectures")


def register_architecture(architecture: Architecture) -> Architecture:
    """Make an architecture known by its own name.

    Raises:
        ValueError: the name is taken.
    """
    return ARCHITECTURES.add(architecture.name, architecture)
