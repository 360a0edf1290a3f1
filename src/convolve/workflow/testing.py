"""`convolve test`: a run's model judged on held-out data, or on other data."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convolve.data.content import content_hashes
from convolve.data.dataset import SPLITS, ClassLabel, ClassLabels, Dataset, Sample, labels_of
from convolve.data.loader import Loader
from convolve.data.pack import drop_broken, pack
from convolve.data.reading import read_dataset
from convolve.deploy.loading import AnyModel, load_any_model
from convolve.deploy.model import Model, load_model
from convolve.deploy.segmentation.uncertainty import Views
from convolve.errors import UserError, shown
from convolve.progress import Progress
from convolve.recipe.schema import Recipe
from convolve.run.folder import Run
from convolve.training.inference import compute_outputs
from convolve.workflow.data import Opened, divide, open_data
from convolve.workflow.finished import results_of_training
from convolve.workflow.planning import read_plan


def judge_run(
    run: Run, *, data: str | None, split: str, progress: Progress, passes: int = 0, views: Views = "none"
) -> dict[str, Any]:
    """Judge a run's model.

    Args:
        run: finished.
        data: other data than it was trained on; None = its own.
        split: "train", "validation" or "test" of the run's own data; of other data, "test" if it has one, else all.
        progress: told how far it is.
        passes: with a model of masks, whose mean is judged, see `SegmentationModel.segment`.
        views: likewise.

    Returns:
        task, split, n and the task's figures, plain JSON values.

    Raises:
        UserError: the run is not finished or a pre-training, there is no such split, or the data has labels the model
            does not know.
    """
    if split not in SPLITS:
        raise UserError(f"--split {split}: unknown", f"Known: {', '.join(SPLITS)}.")
    kept = results_of_training(run)
    plain = not passes and views == "none"
    if not plain and kept["task"] != "segment":
        raise UserError(f"{run.folder}: it has no masks", "--passes and --views are for models of masks.")
    if plain and data is None and split == "test" and "test" not in kept:
        return _without_test_split(run, kept)
    if kept["task"] == "segment":
        from convolve.workflow.segment.testing import judge_map_run

        return judge_map_run(run, data=data, split=split, progress=progress, passes=passes, views=views)
    if kept["task"] == "detect":
        from convolve.workflow.detect.testing import judge_box_run

        return judge_box_run(run, data=data, split=split, progress=progress)
    model = load_model(run.model)
    if data is None:
        dataset, rows = _own_data(run, split, progress)
    else:
        dataset = with_classes(read_dataset(data), model.classes)
        rows, split = rows_of_other(dataset, data, split)
    return {"task": kept["task"], "split": split, **judge_model(model, dataset, rows, progress)}


def judge_model(model: Model, dataset: Dataset, rows: NDArray[np.int64], progress: Progress) -> dict[str, Any]:
    """The task's figures on some samples of a data set whose classes are the model's.

    Raises:
        UserError: a class has no image left that can be decoded.
    """
    chosen = dataset.keep(rows.tolist())
    packed = pack(chosen, model.preprocessing, hashes=content_hashes(chosen, progress), progress=progress)
    left, usable = drop_broken(chosen, packed)
    targets = model.task.pack_targets(chosen.samples)
    loader = Loader(packed.images, targets, usable, batch_size=64, seed=0, shuffle=False)
    judged = compute_outputs(
        model.network, loader, model.preprocessing.normalise, model.compute, progress=progress, what="testing"
    )
    groups = [sample.group for sample in left.samples]
    return {
        "left_out": len(left.problems),
        **model.task.results(
            judged.outputs,
            judged.targets,
            temperature=model.temperature,
            groups=groups if any(group is not None for group in groups) else None,
        ),
    }


def _without_test_split(run: Run, kept: dict[str, Any]) -> dict[str, Any]:
    if "out_of_fold" in kept:
        # Every image was held out once; the run's own model has seen them all since.
        return {"task": kept["task"], **kept["out_of_fold"]}
    raise UserError(
        f"{run.folder}: its data has no test images",
        "Give others with --data, or train with folds=5, which tests every image once.",
    )


def own_opened(run: Run, recipe: Recipe, progress: Progress) -> Opened:
    """The data that a run was trained on.

    Raises:
        UserError: it is not what it was.
    """
    opened = open_data(recipe.data, progress, recipe.masks, recipe.task)
    if opened.fingerprint != run.read("plan")["fingerprint"]:
        raise UserError(
            f"{recipe.data.path}: the data changed since {run.folder} was trained on it",
            f"Name it with --data {recipe.data.path} to test on what it is now.",
        )
    return opened


def rows_of_split(run: Run, recipe: Recipe, opened: Opened, split: str) -> NDArray[np.int64]:
    """The samples of a split, as the run's recipe divides its data; broken images are among them.

    Raises:
        UserError: there are none.
    """
    assert isinstance(recipe.folds, int)  # noqa: S101
    assert isinstance(recipe.data.validation, float)  # noqa: S101
    assert isinstance(recipe.data.test, float)  # noqa: S101
    splits = divide(
        opened, seed=recipe.seed, folds=recipe.folds, validation=recipe.data.validation, test=recipe.data.test
    )
    rows = np.flatnonzero(np.array(splits) == split)
    if len(rows) == 0:
        raise UserError(f"{run.folder}: there are no images in split '{split}'", "Its report says how it was split.")
    return rows


def rows_of_other(dataset: Dataset, data: str, split: str) -> tuple[NDArray[np.int64], str]:
    """The samples of a split of data that a run was not trained on, and what they are: the split, or "all".

    Raises:
        UserError: the data is divided, and has no such split.
    """
    rows = np.array([row for row, sample in enumerate(dataset.samples) if sample.split == split], dtype=np.int64)
    if len(rows):
        return rows, split
    if dataset.given_splits:
        raise UserError(f"{data}: it has no split '{split}'", f"It has: {', '.join(sorted(dataset.given_splits))}.")
    return np.arange(len(dataset.samples)), "all"


def _own_data(run: Run, split: str, progress: Progress) -> tuple[Dataset, NDArray[np.int64]]:
    recipe = read_plan(run).recipe
    opened = own_opened(run, recipe, progress)
    return opened.dataset, rows_of_split(run, recipe, opened, split)


def with_classes(dataset: Dataset, classes: tuple[str, ...]) -> Dataset:
    """The same samples with targets that point into other class names.

    Raises:
        UserError: a label is not among them.
    """
    unknown = [name for name in dataset.classes if name not in classes]
    if unknown:
        raise UserError(
            f"{dataset.name}: the model does not know the labels {shown(unknown)}",
            f"It knows: {shown(classes, at_most=20)}.",
        )
    position = {old: classes.index(name) for old, name in enumerate(dataset.classes)}

    def moved(sample: Sample) -> Sample:
        indices = tuple(sorted(position[label] for label in labels_of(sample)))
        one = isinstance(sample.target, ClassLabel)
        return replace(sample, target=ClassLabel(indices[0]) if one else ClassLabels(indices))

    return replace(dataset, classes=classes, samples=tuple(moved(sample) for sample in dataset.samples))


def find_model(path: Path) -> AnyModel:
    """The model in a run's folder, or in a model file.

    Raises:
        UserError: there is none.
    """
    if path.is_dir():
        run = Run(path)
        if not run.model.exists():
            what = "this training is not finished" if run.read("request") else "there is no model.safetensors in it"
            raise UserError(f"{path}: {what}", "Name a finished run, or a model file.")
        return load_any_model(run.model)
    return load_any_model(path)
