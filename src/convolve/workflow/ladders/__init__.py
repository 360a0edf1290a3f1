"""Ladders: trainings that differ in one part, rung by rung; one file each."""

from dataclasses import dataclass

from convolve.registry import Registry


@dataclass(frozen=True)
class Rung:
    """One way to train.

    Attributes:
        name: in tables, and of the run's folder.
        settings: `key=value`, laid over the recipe.
        quick: needs little time, and so is trained first: what it leaves of the budget goes to the others.
        weights_of: an earlier rung that has the same weights, and differs in how it predicts with them; empty = none.
        depth: of a ladder of networks, the layers with weights that an image goes through; 0 = not told.
        family: rungs of one family differ in depth alone, and are joined by a line; empty = stands alone.
    """

    name: str
    settings: tuple[str, ...]
    quick: bool = False
    weights_of: str = ""
    depth: int = 0
    family: str = ""


@dataclass(frozen=True)
class Ladder:
    """Rungs from the plainest to the most refined.

    Attributes:
        name: unique.
        task: of the data it is for.
        about: what changes from rung to rung.
        rungs: in order.
    """

    name: str
    task: str
    about: str
    rungs: tuple[Rung, ...]

    @property
    def keys(self) -> dict[str, set[str]]:
        """The recipe's sections that the rungs set, and of each the keys that a user therefore may not set."""
        keys: dict[str, set[str]] = {}
        for setting in (setting for rung in self.rungs for setting in rung.settings):
            section, _, rest = setting.partition("=")[0].partition(".")
            # Options are a part's own: those of one rung's part mean nothing to the next.
            keys.setdefault(section, {"name", "options"}).add(rest.partition(".")[0] or "name")
        return keys


LADDERS: Registry[Ladder] = Registry("ladder", "convolve.workflow.ladders")
