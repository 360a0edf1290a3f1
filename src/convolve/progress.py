"""How long work tells how far it is, without knowing who listens."""

from collections.abc import Callable

type Progress = Callable[[str, int, int], None]
"""Called with (what is being done, how many are done, how many there are)."""


def silent(what: str, done: int, total: int) -> None:
    """Tell nobody."""
