"""Networks that another library keeps: `timm:NAME`, `torchvision:NAME`."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from convolve.errors import UserError, nearest_name
from convolve.networks.network import Architecture
from convolve.networks.pretrained import Weights
from convolve.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Library:
    """How to reach a library's networks; nothing of the library is imported before one of these is called.

    Attributes:
        names: the library's own names of its classification networks.
        architecture: the network of a name; raises UserError for a name that is not the library's.
        weights: the weights that the library publishes for a name; loading them may download them.
        downloaded: the names whose published weights are on this machine already.
    """

    names: Callable[[], list[str]]
    architecture: Callable[[str], Architecture]
    weights: Callable[[str], Weights]
    downloaded: Callable[[], list[str]]


LIBRARIES: Registry[Library] = Registry("library of networks", "convolve.networks.libraries")


def unknown_network(library: str, name: str, known: list[str]) -> UserError:
    """The error for a name that the library does not have."""
    near = nearest_name(name, known)
    guess = f"Did you mean '{library}:{near}'? " if near else ""
    return UserError(f"{library} has no network '{name}'", f'{guess}List them: convolve zoo "{library}:*"')


def feature_width(backbone: nn.Module, *, name: str, channels: int, image_hw: tuple[int, int]) -> int:
    """D, the width of the features, by trying one image; libraries do not say it in one way for all networks.

    Args:
        backbone: (N, C, H, W) -> (N, D), freshly built.
        name: of the network, for the message.
        channels: C.
        image_hw: H and W, pixels.

    Raises:
        UserError: the backbone cannot take images of this size, or does not end in one vector an image.
    """
    height, width = image_hw
    image = torch.zeros(1, channels, height, width)
    try:
        with torch.no_grad():
            features = backbone.eval()(image)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"network '{name}' cannot take images of {height} x {width} pixels ({str(error).splitlines()[0]})",
            "Choose a larger image size, or the one the network was made for.",
        ) from error
    finally:
        backbone.train()
    if not isinstance(features, torch.Tensor) or features.dim() != 2:
        raise UserError(f"network '{name}' does not end in one vector of features an image", "Choose another network.")
    return int(features.shape[1])
