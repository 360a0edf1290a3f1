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
    """

    name: str
    settings: tuple[str, ...]
    quick: bool = False
    weights_of: str = ""


@dataclass(frozen=True)
class Ladder:
    """Rungs from the plainest to the most refined.

    Attributes:
        name: unique.
        task: of the data it is for.
        about: what changes from rung to rung.
        section: the recipe's section that the rungs set, and a user therefore may not.
        rungs: in order.
    """

    name: str
    task: str
    about: str
    section: str
    rungs: tuple[Rung, ...]


LADDERS: Registry[Ladder] = Registry("ladder", "convolve.workflow.ladders")
