"""What each task does its own way to be explained: the question that an image asks, and the images to compare with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from convolve.data.dataset import Dataset
from convolve.progress import Progress
from convolve.recipe.schema import Recipe
from convolve.run.folder import Run
from convolve.see.inside.gallery import Gallery
from convolve.see.inside.subject import Question, Subject
from convolve.training.compute import Compute, choose_engine


@dataclass(frozen=True, kw_only=True)
class Pointed:
    """What of an image's answer a user asks about.

    Attributes:
        wanted: the class to explain; None = the answer itself.
        truth: the right class, where the user says it.
        pixel: x, y of the upright image; of masks.
        region: left, top, right, bottom in pixels of the upright image; of masks.
        box: which of the boxes found, from 1, the most probable first; of boxes. None = the first.
    """

    wanted: str | None = None
    truth: str | None = None
    pixel: tuple[int, int] | None = None
    region: tuple[int, int, int, int] | None = None
    box: int | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question, and the network that answers it.

    Attributes:
        subject: the network.
        question: the image and the class.
        answers: what the model says of the image, as plain JSON values: `convolve predict`'s.
    """

    subject: Subject
    question: Question
    answers: Mapping[str, Any]


Known: TypeAlias = Callable[[Path], Dataset | None]
"""The data set of the one sample that has the content of an image, if there is one; its target is the truth."""


class Explainer(Protocol):
    """A model of one task, ready to be explained."""

    def check(self, pointed: Pointed) -> None:
        """See that what is pointed at is something that this task has, before work starts.

        Raises:
            UserError: it has not, or there is no such class; with the nearest name.
        """

    def recipe_of(self, run: Run) -> Recipe:
        """The resolved recipe of the run that made the model."""

    def read(self, data: str, recipe: Recipe | None, progress: Progress) -> Dataset:
        """Other data, its classes in the model's order.

        Args:
            data: where.
            recipe: of the run that made the model, which says what masks mean; None = unknown.
            progress: told of every file.

        Raises:
            UserError: it cannot be read, or has classes that the model does not know.
        """

    def network(self) -> Subject:
        """The network without an image."""

    def ask(self, image: Path, pointed: Pointed, known: Known) -> Asked:
        """The question that an image asks.

        Args:
            image: a file.
            pointed: what of its answer.
            known: gives its truth, where it is among the run's data.

        Raises:
            BrokenImage: the image cannot be read.
            UserError: what is pointed at is not there.
        """

    def gallery(self, dataset: Dataset, rows: Sequence[int], hashes: Sequence[str], progress: Progress) -> Gallery:
        """Some samples of a data set as the network sees them.

        Args:
            dataset: whose classes are the model's.
            rows: of its samples.
            hashes: of all samples' contents.
            progress: told how many are decoded.

        Raises:
            UserError: none can be decoded.
        """


def nothing_known(image: Path) -> Dataset | None:
    """Of images that are in no data set."""
    return None


def fast(compute: Compute) -> Compute:
    """The same with the fastest engine at hand, for instruments that ask a network hundreds of times."""
    return compute.model_copy(update={"engine": choose_engine("auto", compute.device)})
