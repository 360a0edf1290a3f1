"""What a user can mend is a `UserError`; everything else is a fault of ours and keeps its traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in the input that its owner can mend.

    Args:
        problem: what is wrong, and where (file, line, key); one line.
        remedy: what to do about it; one line, or empty where the problem says it already.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n  {self.remedy}" if self.remedy else self.problem


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that is spelled most like `name`, or None when none comes close.

    >>> nearest_name("lenet", ["lenet5", "mlp"])
    'lenet5'
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that nothing answers to, with the nearest right one.

    >>> print(unknown_name("network", "lenet", ["lenet5", "mlp"]))
    unknown network 'lenet'
      Did you mean 'lenet5'? Known: lenet5, mlp.
    """
    names = sorted(known)
    near = nearest_name(name, names)
    guess = f"Did you mean '{near}'? " if near else ""
    return UserError(f"unknown {kind} '{name}'", f"{guess}Known: {', '.join(names)}.")


def shown(items: Iterable[str], *, at_most: int = 3) -> str:
    """The first few of many names, and how many more there are.

    >>> shown(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    names = list(items)
    more = len(names) - at_most
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:at_most])} and {more} more"
