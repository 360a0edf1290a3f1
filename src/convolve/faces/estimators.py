"""Training and predicting in scikit-learn's manner, by the same workflow as the command line."""

import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d

from convolve.data.dataset import ClassLabel, ClassLabels, Dataset, ImageArray, Sample, Target
from convolve.deploy.model import load_model
from convolve.errors import UserError, shown
from convolve.faces.python import assignments_of
from convolve.progress import silent
from convolve.recipe.file import make_recipe
from convolve.recipe.values import override
from convolve.run.folder import Run
from convolve.workflow.data import open_dataset
from convolve.workflow.train import train_opened

_CHANNELS = (1, 2, 3, 4)


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of images that scikit-learn's tools can train, search and cross-validate.

    Images X are an array (N, H, W) or (N, H, W, C) of uint8, values 0..255, or a sequence of paths or of such images,
    which may differ in size. Labels y are (N,) strings or numbers, or (N, K) of 0 and 1 for several labels an image.

    `fit` sets no images aside for testing, as scikit-learn's tools do that; some it needs itself, to choose between
    epochs (`data.validation`). Decoded images are kept in convolve's cache (`convolve cache`).

    Args:
        network: see `convolve zoo`; "auto" = by the images.
        start: scratch, features or finetune; "auto" = by the images and the weights at hand.
        epochs: passes over the training images; "auto" = by their number.
        seed: decides initial weights, order, augmentation and which images choose.
        budget: time for one `fit`, such as "10m". "none" unless told: a budget cuts epochs by the machine's speed, so
            that scores would depend on what else it was doing.
        recipe: further keys of a recipe, such as {"optimiser.lr": 0.01} or {"optimiser": {"lr": 0.01}}; they win.
        verbose: whether `fit` says what it chose, and why.

    Attributes:
        classes_: the labels, sorted; for several labels an image, 0..K-1.
        model_: what predicts, also from files.
        recipe_: the recipe that was followed, every choice made, as commented TOML.
        results_: the figures of the training; those under "best" chose the model, so they are no test.
    """

    def __init__(
        self,
        *,
        network: str = "auto",
        start: str = "auto",
        epochs: int | str = "auto",
        seed: int = 0,
        budget: float | str = "none",
        recipe: Mapping[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self.network = network
        self.start = start
        self.epochs = epochs
        self.seed = seed
        self.budget = budget
        self.recipe = recipe
        self.verbose = verbose

    def fit(self, X: Any, y: ArrayLike, groups: ArrayLike | None = None) -> "ImageClassifier":  # noqa: N803
        """Train on images and their labels.

        Args:
            X: N images, or their paths.
            y: their labels.
            groups: (N,) images of one group (a patient, a site) train together or choose together; None stands alone.

        Raises:
            UserError: the images or a parameter cannot be used.
            ValueError: y is not labels.
        """
        images = images_of(X)
        classes, targets = _targets(y)
        group_names = [None] * len(images) if groups is None else list(map(group_of, np.asarray(groups)))
        if not len(images) == len(targets) == len(group_names):
            raise UserError(
                f"X has {len(images)} images, y {len(targets)} labels and groups {len(group_names)} entries",
                "Give one of each for every image.",
            )
        samples = tuple(
            Sample(name_of(row, image), image, target, group=group)
            for row, (image, target, group) in enumerate(zip(images, targets, group_names, strict=True))
        )
        dataset = Dataset("X", "images given to fit", tuple(str(label) for label in classes), samples)
        self._train(dataset)
        self.classes_ = classes
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """(N, K) the probability of every class, in the order of `classes_`.

        Raises:
            UserError: an image cannot be used.
        """
        check_is_fitted(self)
        images = images_of(X)
        answers = list(self.model_.predict(images))
        broken = [
            f"{name_of(row, image)}: {answer['error']}"
            for row, (image, answer) in enumerate(zip(images, answers, strict=True))
            if "error" in answer
        ]
        if broken:
            raise UserError(f"{len(broken)} of {len(images)} images cannot be used: {shown(broken)}", "Leave them out.")
        rows = [[answer["probabilities"][name] for name in self.model_.classes] for answer in answers]
        return np.array(rows, np.float64).reshape(len(images), len(self.classes_))

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """(N,) the most probable label of every image; of several labels (N, K), 1 from a probability of a half.

        Raises:
            UserError: an image cannot be used.
        """
        probabilities = self.predict_proba(X)
        if self.several_labels_:
            return (probabilities >= 0.5).astype(np.int64)
        labels: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return labels

    def save(self, path: str | Path) -> None:
        """Write the model to a file, for `convolve.load` and `convolve predict`; labels are text there.

        Raises:
            UserError: no space is left.
        """
        check_is_fitted(self)
        self.model_.save(Path(path))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.classifier_tags.multi_label = True
        return tags

    def _train(self, dataset: Dataset) -> None:
        mine = {name: getattr(self, name) for name in ("network", "start", "epochs", "seed", "budget")}
        with trained_run(dataset, mine, self.recipe, verbose=self.verbose) as run:
            self.model_ = load_model(run.model)
            self.recipe_ = run.recipe.read_text(encoding="utf-8")
            self.results_ = run.read("results")
        self.several_labels_ = dataset.several_labels


@contextmanager
def trained_run(
    dataset: Dataset, mine: Mapping[str, Any], more: Mapping[str, Any] | None, *, verbose: bool
) -> Iterator[Run]:
    """A training on images in memory, none of which is set aside for testing; its folder goes when the block ends.

    Args:
        dataset: the images.
        mine: an estimator's own parameters, keys of a recipe.
        more: further keys, which win.
        verbose: whether it says what it chose, and why.
    """
    always = {"data.path": dataset.name, "data.test": 0.0, "folds": 0}
    recipe = make_recipe(override({}, [*assignments_of(mine), *assignments_of(more or {}), *assignments_of(always)]))
    opened = open_dataset(dataset, silent)
    with tempfile.TemporaryDirectory(prefix="convolve-", ignore_cleanup_errors=True) as folder:
        run = train_opened(recipe, opened, out=Path(folder), progress=silent, say=print if verbose else _hush)
        left_out = run.read("results")["left_out"]
        if left_out:
            warnings.warn(f"{left_out} of {len(dataset.samples)} images cannot be used: left out", stacklevel=4)
        yield run


def _hush(sentence: str) -> None:
    """Say nothing."""


def images_of(given: Any) -> Sequence[Path | ImageArray]:
    """X as files and pixels, one by one.

    Raises:
        UserError: it is something else, and what to make of it.
    """
    array = given if isinstance(given, np.ndarray) else None
    if array is not None and array.dtype.kind in "biufc":
        return list(_pixels(array))
    if isinstance(given, str | PathLike):
        raise UserError(f"X={given!r}: one path, not a sequence of images", f"Give [{given!r}].")
    return [_image(row, item) for row, item in enumerate(given)]


def _pixels(array: NDArray[Any]) -> ImageArray:
    if array.dtype != np.uint8:
        remedy = (
            "Values in 0..1: give np.rint(X * 255).astype(np.uint8)."
            if array.dtype.kind == "f"
            else "Values in 0..255: give X.astype(np.uint8)."
        )
        raise UserError(f"X is an array of {array.dtype}; pixels are uint8, from 0 (black) to 255", remedy)
    if array.ndim == 3 or (array.ndim == 4 and array.shape[3] in _CHANNELS):
        return array
    remedy = "It is (N, H, W), or (N, H, W, C) with 1 to 4 channels."
    if array.ndim == 4 and array.shape[1] in _CHANNELS:
        remedy = "Channels go last: give X.transpose(0, 2, 3, 1)."
    if array.ndim == 2:
        remedy = "Give every image its rows and columns back: X.reshape(-1, height, width)."
    raise UserError(f"X has the shape {array.shape}", remedy)


def _image(row: int, item: Any) -> Path | ImageArray:
    if isinstance(item, str | PathLike):
        return Path(item)
    if isinstance(item, np.ndarray) and item.dtype.kind in "biufc":
        pixels: ImageArray = _pixels(item[np.newaxis])[0]
        return pixels
    raise UserError(f"X[{row}] is of type {type(item).__name__}", "An image is a path, or an array of its pixels.")


def name_of(row: int, image: Path | ImageArray) -> str:
    """What an image is called in messages."""
    # One file may stand in several rows, where a resampling draws it twice.
    return f"X[{row}] {image}" if isinstance(image, Path) else f"X[{row}]"


def group_of(given: object) -> str | None:
    """A group's name; None stands alone."""
    return None if given is None else str(given)


def _targets(y: ArrayLike) -> tuple[NDArray[Any], list[Target]]:
    """The classes, sorted, and what each image is of them."""
    check_classification_targets(y)
    if type_of_target(y) == "multilabel-indicator":
        rows = np.asarray(y)
        return np.arange(rows.shape[1]), [ClassLabels(tuple(np.flatnonzero(row).tolist())) for row in rows]
    classes, indices = np.unique(column_or_1d(y, warn=True), return_inverse=True)
    if len(classes) < 2:
        raise UserError(f"y has one class only, '{classes[0]}'", "There must be two to tell apart.")
    return classes, [ClassLabel(index) for index in indices.tolist()]
