"""The commands as functions: `convolve.train`, `convolve.load`, `convolve.look` and `convolve.explain`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit
from tomlkit.exceptions import TOMLKitError

from convolve.data.boxes.inspection import BoxFindings, inspect_boxes
from convolve.data.content import content_hashes
from convolve.data.findings import Inspection
from convolve.data.inspection import inspect_dataset
from convolve.data.masks.inspection import MaskInspection, inspect_masks
from convolve.data.masks.settling import MaskOptions, settle_masks
from convolve.data.reading import read_dataset
from convolve.deploy.loading import AnyModel
from convolve.errors import UserError
from convolve.faces.cli.terminal import progress_bar
from convolve.progress import Progress, silent
from convolve.recipe.file import make_recipe
from convolve.recipe.schema import Recipe
from convolve.recipe.values import override
from convolve.run.folder import Run
from convolve.see.inside.instruments import INSTRUMENTS
from convolve.workflow.explaining.explain import Wanted
from convolve.workflow.explaining.explain import explain as explain_model
from convolve.workflow.explaining.explainer import Pointed
from convolve.workflow.explaining.pointing import region_of
from convolve.workflow.recipes import recipe_from
from convolve.workflow.testing import find_model
from convolve.workflow.train import train as train_run


@dataclass(frozen=True)
class TrainedRun:
    """A finished training.

    Attributes:
        folder: everything about it.
        results: its figures, what `convolve train --json` prints.
    """

    folder: Path
    results: Mapping[str, Any]

    @property
    def report(self) -> Path:
        """The page for people."""
        return Run(self.folder).report

    @cached_property
    def model(self) -> AnyModel:
        """The trained network, ready to predict."""
        return find_model(self.folder)


@dataclass(frozen=True)
class Explanation:
    """What was seen inside a network.

    Attributes:
        page: for people; the pictures are in folders beside it.
        numbers: what `convolve explain --json` prints: of each image its answer, the numbers and files of each
            instrument, and what was left out and why; the same of the network; the images that could not be read.
    """

    page: Path
    numbers: Mapping[str, Any]


def train(
    data: str | Path | Recipe, *, out: str | Path | None = None, progress: Progress | None = None, **settings: Any
) -> TrainedRun:
    """Train on images, or go on where the same call stopped.

    `convolve.train("photos", epochs=10, optimiser__lr=0.01)` is `convolve train photos epochs=10 optimiser.lr=0.01`.

    Args:
        data: images (a folder, an archive, a table, a built-in name), a recipe's file (.toml), or a recipe.
        out: the run's folder; None = the next free one below runs/.
        progress: told how far it is, and with a total of 0 what was chosen and why; None = on stderr, as the command.
        settings: the recipe's keys, laid over it: `train__epochs=5`, `train={"epochs": 5}` or `epochs=5`.

    Raises:
        UserError: the input cannot be used; nothing that was there before is lost.
    """
    assignments = assignments_of(settings)
    if isinstance(data, Recipe):
        recipe = make_recipe(override(json.loads(data.model_dump_json()), assignments))
    else:
        recipe = recipe_from(str(data), assignments)
    with progress_bar() if progress is None else nullcontext(progress) as told:
        run = train_run(
            recipe, out=None if out is None else Path(out), progress=told, say=lambda sentence: told(sentence, 0, 0)
        )
    return TrainedRun(run.folder, run.read("results"))


def load(path: str | Path) -> AnyModel:
    """The model of a run's folder, or in a model file: of images (`predict`), pixels (`segment`) or boxes (`detect`).

    Raises:
        UserError: there is none, or it is damaged.
    """
    return find_model(Path(path))


def look(
    data: str | Path, *, task: str = "auto", progress: Progress = silent
) -> Inspection | MaskInspection | BoxFindings:
    """Say what is in a data set: counts, sizes, broken files, duplicates, leaks between splits.

    Of masks also what their values mean, and how many pixels each class has; of boxes how large they are, and which
    input and anchors suit them.

    Args:
        data: a folder, an archive, a table, an IDX file or a built-in name.
        task: "detect" for the boxes of data that has masks as well.
        progress: told how far it is.

    Raises:
        UserError: it cannot be read.
    """
    dataset = read_dataset(str(data), missing="skip", task=task)
    if dataset.has_boxes:
        return inspect_boxes(dataset, content_hashes(dataset, progress=progress), progress)
    if dataset.has_masks:
        return inspect_masks(settle_masks(dataset, MaskOptions(), progress), progress=progress)
    return inspect_dataset(dataset, progress=progress)


def explain(
    model: str | Path,
    images: str | Path | Sequence[str | Path] = (),
    *,
    out: str | Path = "explained",
    only: Sequence[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    layer: str | None = None,
    units: Sequence[int] = (),
    wanted: str | None = None,
    truth: str | None = None,
    pixel: tuple[int, int] | None = None,
    region: tuple[int, int, int, int] | None = None,
    box: int | None = None,
    data: str | Path | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Explanation:
    """Show why a network answers as it does.

    Args:
        model: a run's folder, or a model file.
        images: files; none = the network alone.
        out: folder of the page and the pictures.
        only: instruments by name; none = all that work here.
        options: of each instrument: `{"occlusion": {"side": 24}}` is `--set occlusion.side=24`.
        layer: whose maps to look at.
        units: which of its maps.
        wanted: the class to explain; None = the answer.
        truth: the right class, where the run's data does not tell.
        pixel: of masks, x and y of the upright image.
        region: of masks, left, top, right, bottom in pixels of the upright image.
        box: of boxes, which of those found, from 1, the surest first; None = the first.
        data: images to compare with; None = the run's training images, "none" = none.
        seed: of what is drawn at random.
        progress: told how far it is.

    Raises:
        UserError: the model, an instrument, a layer, a class or what is pointed at is not there; none of the images
            can be read.
    """
    files = [Path(images)] if isinstance(images, str | Path) else [Path(image) for image in images]
    if box is not None and box < 1:
        raise UserError(f"box={box}: boxes are counted from 1", "Leave it out for the surest.")
    asked = Wanted(
        out=Path(out),
        pointed=Pointed(wanted=wanted, truth=truth, pixel=pixel, region=_region(region), box=box),
        only=[only] if isinstance(only, str) else list(only),
        options={INSTRUMENTS[name].name: given for name, given in (options or {}).items()},
        layer=layer,
        units=tuple(units),
        data=None if data is None else str(data),
        seed=seed,
        command=f"convolve.explain({str(model)!r}, {[str(file) for file in files]})",
    )
    told = explain_model(Path(model), files, asked, progress)
    if files and not told["images"]:
        raise UserError("none of the images can be explained", told["failed"][0]["error"])
    return Explanation(Path(told["page"]), told)


def _region(corners: tuple[int, int, int, int] | None) -> tuple[int, int, int, int] | None:
    # By the words of a command line, whose checks these are.
    return None if corners is None else region_of(",".join(map(str, corners)))


def assignments_of(settings: Mapping[str, Any]) -> list[str]:
    """Settings in Python as the `key=value` of the command line; tables may be nested, in any notation.

    >>> assignments_of({"epochs": 5, "optimiser__lr": 0.01, "network": {"name": "mlp", "options": {"hidden": [32]}}})
    ['epochs=5', 'optimiser.lr=0.01', 'network.name="mlp"', 'network.options.hidden=[32]']

    Raises:
        UserError: a value that a recipe cannot hold.
    """
    return [f"{key}={_as_toml(key, value)}" for key, value in _flat(settings)]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        key = prefix + name.replace("__", ".")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{key}.")
        else:
            yield key, value


def _as_toml(key: str, value: Any) -> str:
    # Grids of parameters are NumPy's numbers more often than not.
    plain = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
    plain = str(plain) if isinstance(plain, Path) else plain
    try:
        return tomlkit.item(plain).as_string()
    except (TOMLKitError, ValueError) as error:
        raise UserError(
            f"{key}={value!r}: no value that a recipe can hold", "It holds numbers, strings, True, False and lists."
        ) from error
