"""What each task does its own way in a run: plan, train, judge, report; everything around these is the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from convolve.data.dataset import Dataset
from convolve.errors import UserError
from convolve.progress import Progress
from convolve.recipe.schema import Recipe
from convolve.run.folder import Run
from convolve.workflow.data import Divided, Member, Opened
from convolve.workflow.plan import Choices
from convolve.workflow.planning import AnyPlan, Say
from convolve.workflow.results import TrainingFacts

P = TypeVar("P", bound=AnyPlan)
D = TypeVar("D", bound=Divided)
F = TypeVar("F", bound=TrainingFacts)


@dataclass(frozen=True, kw_only=True)
class Work(Generic[P, D, F]):
    """A task's part of a run.

    Attributes:
        task: its name in a recipe.
        score_name: the validation figure that chooses between trainings.
        make_or_read_plan: the run's plan, made now or before, and the data as it says.
        train_member: one training, or what is left to do of it.
        evaluate: the run's results, plain JSON values.
        report: writes the report and the table of predictions.
        resolve: the recipe with every choice made that needs no measuring.
        check: finds every part that a recipe names, and raises UserError where one does not suit.
        decode: puts the decoded images into the cache, so that no training is charged for it.
        share_weights: gives a run with a plan the weights of a finished run, so that it is left to test.
        write_ladder: the page of a ladder whose rungs are finished, in the study's folder.
        ladder_table: columns and rows of a ladder's figures, as text.
    """

    task: str
    score_name: str
    make_or_read_plan: Callable[[Run, Recipe, Opened, Progress, Say], tuple[P, D]]
    train_member: Callable[[Run, P, D, Member, Progress, Say], F]
    evaluate: Callable[[P, D, Sequence[F]], dict[str, Any]]
    report: Callable[[Run, P, D, Sequence[F], dict[str, Any]], None]
    resolve: Callable[[Opened, Recipe, Progress], Choices]
    check: Callable[[Recipe, Opened], None]
    decode: Callable[[Recipe, Opened, Progress], None]
    share_weights: Callable[[Run, Run, P], None]
    write_ladder: Callable[[Run, dict[str, Any], Opened], None]
    ladder_table: Callable[[dict[str, Any]], tuple[Sequence[str], Sequence[Sequence[str]]]]


def work_of(dataset: Dataset, wanted: str) -> Work[Any, Any, Any]:
    """The work that a data set asks for.

    Args:
        dataset: its targets decide.
        wanted: the task that the recipe names, or "auto".

    Raises:
        UserError: the recipe names another task than the data is for.
    """
    task, what = ("segment", "masks") if dataset.has_masks else ("classify", "classes")
    if dataset.has_boxes:
        task, what = "detect", "boxes"
    work = work_called(task)
    if wanted not in ("auto", work.task):
        raise UserError(f"task={wanted}: {dataset.name} has {what}", f"Leave it out, or give task={work.task}.")
    return work


def work_called(task: str) -> Work[Any, Any, Any]:
    """The work of a task by its name in results and recipes."""
    # Each side knows a chain of parts that the other has no use for.
    from convolve.workflow.classify import CLASSIFY
    from convolve.workflow.detect.work import DETECT
    from convolve.workflow.segment.work import SEGMENT

    return {work.task: work for work in (CLASSIFY, SEGMENT, DETECT)}[task]
