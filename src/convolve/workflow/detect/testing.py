"""`convolve test` of a run on boxes."""

from dataclasses import replace
from typing import Any

from convolve.data.boxes.proposals import propose_all
from convolve.data.dataset import Boxes, Dataset, Sample
from convolve.deploy.detection.model import DetectionModel, load_detection_model
from convolve.errors import UserError, shown
from convolve.progress import Progress
from convolve.recipe.schema import DataSection
from convolve.run.folder import Run
from convolve.workflow.data import open_data
from convolve.workflow.detect.judgement import judge_rows
from convolve.workflow.detect.judging import results_on
from convolve.workflow.detect.planning import read_box_plan
from convolve.workflow.testing import own_opened, rows_of_other, rows_of_split


def judge_box_run(run: Run, *, data: str | None, split: str, progress: Progress) -> dict[str, Any]:
    """Judge a run's model on boxes; the arguments are those of `judge_run`.

    Raises:
        UserError: there is no such split, or the data has other classes than the model.
    """
    recipe = read_box_plan(run).recipe
    model = load_detection_model(run.model)
    if data is None:
        opened = own_opened(run, recipe, progress)
        dataset = opened.dataset
        rows = rows_of_split(run, recipe, opened, split)
    else:
        opened = open_data(DataSection(path=data), progress, task="detect")
        dataset = with_classes(opened.dataset, model)
        rows, split = rows_of_other(dataset, data, split)
    proposals = None
    if model.network.takes_regions:
        proposals = propose_all(dataset, opened.hashes, mode=model.proposals, progress=progress)
    judgement = judge_rows(model, dataset, rows, progress, proposals=proposals)
    if len(judgement.rows) == 0:
        raise UserError(f"{dataset.name}: no image of split '{split}' can be used", "`convolve look` says why.")
    told = results_on(dataset, judgement, threshold=model.threshold)
    return {"task": "detect", "split": split, "left_out": len(rows) - len(judgement.rows), **told}


def with_classes(dataset: Dataset, model: DetectionModel) -> Dataset:
    """The same boxes with the model's order of classes.

    Raises:
        UserError: a class is not among them.
    """
    unknown = [name for name in dataset.classes if name not in model.classes]
    if unknown:
        raise UserError(
            f"{dataset.name}: the model does not know the classes {shown(unknown)}",
            f"It knows: {shown(model.classes, at_most=20)}.",
        )
    position = {old: model.classes.index(name) for old, name in enumerate(dataset.classes)}

    def moved(sample: Sample) -> Sample:
        target = sample.target
        if not isinstance(target, Boxes):
            raise UserError(f"{dataset.name}: {sample.name} has no boxes", "Name data with boxes.")
        objects = tuple(replace(one, index=position[one.index]) for one in target.objects)
        return replace(sample, target=replace(target, objects=objects))

    return replace(dataset, classes=model.classes, samples=tuple(moved(sample) for sample in dataset.samples))
