"""Networks by name: our own, and `library:NAME` for those of a library."""

from convolve.errors import UserError, unknown_name
from convolve.networks.library import LIBRARIES
from convolve.networks.network import ARCHITECTURES, Architecture
from convolve.networks.pretrained import Weights


def find_architecture(name: str) -> Architecture:
    """The network called `name`.

    Args:
        name: one of our own, for example "residual", or "timm:NAME", or "torchvision:NAME".

    Raises:
        UserError: nothing is called so; the message has the nearest name.
    """
    library, colon, own_name = name.partition(":")
    if colon:
        return LIBRARIES[library].architecture(own_name)
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    # Only a wrong name pays for importing the libraries.
    same_name = [f"{library}:{name}" for library in LIBRARIES if name in LIBRARIES[library].names()]
    if same_name:
        raise UserError(f"unknown network '{name}'", f"Did you mean {' or '.join(map(repr, same_name))}?")
    raise unknown_name("network", name, ARCHITECTURES)


def published_weights(name: str) -> Weights:
    """The weights that the network's library publishes on the internet; nothing is downloaded before `load`.

    Args:
        name: of the network, for example "torchvision:resnet18".

    Raises:
        UserError: no such network, or nobody publishes weights for it.
    """
    library, colon, own_name = name.partition(":")
    if not colon:
        find_architecture(name)
        raise UserError(
            f"nobody publishes weights for network '{name}'", "Train it from scratch, or choose a timm: network."
        )
    return LIBRARIES[library].weights(own_name)


def all_names() -> list[str]:
    """Every name that `find_architecture` knows: ours first, then each library's."""
    of_libraries = [f"{library}:{name}" for library in LIBRARIES for name in LIBRARIES[library].names()]
    return [*ARCHITECTURES, *of_libraries]
