"""`convolve test` of a run on masks."""

from dataclasses import replace
from typing import Any

from convolve.data.content import content_hashes
from convolve.data.dataset import Dataset
from convolve.data.native_pack import pack_native
from convolve.deploy.segmentation.model import SegmentationModel, load_segmentation_model
from convolve.deploy.segmentation.uncertainty import Views
from convolve.errors import UserError, shown
from convolve.progress import Progress
from convolve.recipe.schema import DataSection
from convolve.run.folder import Run
from convolve.workflow.data import open_data
from convolve.workflow.segment.judging import results_on
from convolve.workflow.segment.planning import read_map_plan
from convolve.workflow.segment.training import tally_rows
from convolve.workflow.testing import own_opened, rows_of_other, rows_of_split


def judge_map_run(
    run: Run, *, data: str | None, split: str, progress: Progress, passes: int = 0, views: Views = "none"
) -> dict[str, Any]:
    """Judge a run's model on masks; the arguments are those of `judge_run`, and of `SegmentationModel.segment`.

    Raises:
        UserError: there is no such split, or the data has other classes than the model.
    """
    plan = read_map_plan(run)
    recipe = plan.recipe
    model = load_segmentation_model(run.model)
    if data is None:
        opened = own_opened(run, recipe, progress)
        dataset = opened.dataset
        assert isinstance(recipe.data.validation, float)  # noqa: S101
        rows = rows_of_split(run, recipe, opened, split)
    else:
        section = DataSection(path=data, bands=recipe.data.bands)
        dataset = with_classes(open_data(section, progress, recipe.masks, "segment").dataset, model)
        rows, split = rows_of_other(dataset, data, split)
    chosen = dataset.keep(rows.tolist())
    bands = plan.preprocessing.bands
    pack = pack_native(chosen, hashes=content_hashes(chosen, progress), bands=bands, progress=progress)
    if len(pack.usable) == 0:
        raise UserError(f"{dataset.name}: no image of split '{split}' can be used", next(iter(pack.broken.values())))
    tallies = tally_rows(
        model, pack, pack.usable, erode=recipe.segment.erode, progress=progress, passes=passes, views=views
    )
    told = results_on(chosen, pack.usable, tallies)
    return {"task": "segment", "split": split, "left_out": len(pack.broken), **told, "temperature": model.temperature}


def with_classes(dataset: Dataset, model: SegmentationModel) -> Dataset:
    """The same masks with the model's order of classes.

    Raises:
        UserError: the classes are others.
    """
    coding = dataset.coding
    assert coding is not None  # noqa: S101
    if set(dataset.classes) != set(model.classes):
        unknown = [name for name in dataset.classes if name not in model.classes]
        what = (
            f"the model does not know {shown(unknown)}" if unknown else "classes of the model are missing in its masks"
        )
        raise UserError(
            f"{dataset.name}: {what}",
            f"It knows: {shown(model.classes, at_most=20)}. Name the masks' classes so with a recipe's masks.classes.",
        )
    order = [dataset.classes.index(name) for name in model.classes]
    values: Any = tuple(coding.values[index] for index in order)
    colours = tuple(coding.colours[index] for index in order)
    return replace(dataset, classes=model.classes, coding=replace(coding, values=values, colours=colours))
