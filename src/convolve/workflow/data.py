"""From the data a recipe names to pixels in a memory map, with every image's split and fold."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from convolve.data.content import content_hashes, dataset_fingerprint
from convolve.data.dataset import Dataset, ImageArray, Note, Problem, Sample, Split, labels_of
from convolve.data.masks.settling import MaskOptions, settle_masks
from convolve.data.pack import Pack, channel_statistics, drop_broken, pack
from convolve.data.preprocessing import Preprocessing
from convolve.data.reading import read_dataset
from convolve.data.splitting import assign_folds, assign_splits, count_units
from convolve.data.survey import Survey, survey
from convolve.errors import UserError, unknown_name
from convolve.progress import Progress
from convolve.randomness import seed_of
from convolve.recipe.schema import DataSection, MasksSection

# For the cross-validation among training images that chooses a classifier's penalty.
_INNER_FOLDS = 5
# Of the labels that `data.per_class` leaves.
_CHOOSING = 0.2


@dataclass(frozen=True)
class Opened:
    """A data set before its images are decoded."""

    dataset: Dataset
    hashes: tuple[str, ...]

    @cached_property
    def survey(self) -> Survey:
        """What some of the images are like.

        Raises:
            UserError: none of them can be decoded.
        """
        return survey(self.dataset.samples)

    @property
    def fingerprint(self) -> str:
        """Changes whenever an image, a target or a given split does."""
        return dataset_fingerprint(self.dataset, self.hashes)


@dataclass(frozen=True)
class Member:
    """The rows of one training.

    Attributes:
        name: its folder within the run; empty for the run's own model.
        seed: of initial weights, order, augmentation and dropout.
        train, validation, held_out: row numbers; nothing of `held_out` is ever used for training or choosing.
        unlabelled: rows that could train or choose, but whose labels are not used (see `label_few`).
    """

    name: str
    seed: int
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    held_out: NDArray[np.int64]
    unlabelled: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, kw_only=True)
class Divided:
    """A data set, each of its images in a split.

    Attributes:
        dataset: as it was read; row r of everything below belongs to its sample r.
        hashes: of the images' contents.
        broken: why an image cannot be used, by row.
        usable: (N,) False for images that cannot be decoded.
        splits: of each image; with folds, images that are cross-validated count as "train".
    """

    dataset: Dataset
    hashes: tuple[str, ...]
    broken: Mapping[int, str]
    usable: NDArray[np.bool_]
    splits: tuple[Split, ...]

    def rows(self, split: Split) -> NDArray[np.int64]:
        """The usable rows of a split, ascending."""
        return np.flatnonzero(self.usable & (np.array(self.splits) == split))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was left out - rows of tables, images that cannot be decoded - and notes."""
        broken = [Problem(self.dataset.samples[row].name, reason) for row, reason in sorted(self.broken.items())]
        return (*self.dataset.problems, *broken)

    @property
    def left_out(self) -> tuple[Problem, ...]:
        """The problems that are no notes."""
        return tuple(problem for problem in self.problems if not isinstance(problem, Note))


@dataclass(frozen=True, kw_only=True)
class Prepared(Divided):
    """A data set ready for training.

    Attributes:
        pack: pixels.
        inner_folds: (N,) for choosing among training images.
    """

    pack: Pack
    inner_folds: NDArray[np.int64]


def open_data(
    section: DataSection, progress: Progress, masks: MasksSection | None = None, task: str = "auto"
) -> Opened:
    """Read a data set's files, but not yet its pixels; masks are looked through for what their values mean.

    Args:
        section: where it is, and which groups of it test.
        progress: told how far it is.
        masks: what is known of the masks' values.
        task: as a recipe has it; decides where data could be read for more than one.

    Raises:
        UserError: the data cannot be used, and why.
    """
    dataset = read_dataset(section.path, missing=section.missing, task=task)
    if dataset.has_masks:
        dataset = settle_masks(dataset, MaskOptions(**(masks or MasksSection()).model_dump()), progress)
    return open_dataset(_with_test_groups(dataset, section.test_groups), progress)


def open_dataset(dataset: Dataset, progress: Progress) -> Opened:
    """Look over a data set that was read or made already."""
    return Opened(dataset, content_hashes(dataset, progress=progress))


def _with_test_groups(dataset: Dataset, groups: Sequence[str]) -> Dataset:
    """A data set whose images of some groups are its test split, and nothing else is."""
    known = sorted({sample.group for sample in dataset.samples if sample.group is not None})
    for group in groups:
        if group not in known:
            raise unknown_name("group of the data", group, known)
    if not groups:
        return dataset
    if set(groups) == set(known):
        raise UserError("data.test_groups names all groups: nothing is left to train on", "Leave some out.")

    def split(sample: Sample) -> Split | None:
        if sample.group in groups:
            return "test"
        return None if sample.split == "test" else sample.split

    return replace(dataset, samples=tuple(replace(sample, split=split(sample)) for sample in dataset.samples))


def prepare(
    opened: Opened,
    preprocessing: Preprocessing,
    *,
    seed: int,
    folds: int,
    validation: float,
    test: float,
    progress: Progress,
) -> Prepared:
    """Decode the images and put each in a split.

    Args:
        opened: the data set.
        preprocessing: to this size, channels and fit.
        seed: decides the splits that the data set leaves open.
        folds: with folds, no test split is drawn: every image is held out once.
        validation: share for choosing, where the data set has no such split of its own.
        test: share for the final figure, likewise.
        progress: told how far decoding is.

    Raises:
        UserError: a class has no image left that can be decoded.
    """
    dataset, hashes = opened.dataset, opened.hashes
    packed = pack(dataset, preprocessing, hashes=hashes, progress=progress)
    usable = np.array([row not in packed.broken for row in range(len(dataset.samples))])
    drop_broken(dataset, packed)
    splits = divide(opened, seed=seed, folds=folds, validation=validation, test=test)
    parts = min(_INNER_FOLDS, count_units(dataset, hashes))
    inner = assign_folds(_without_splits(dataset), seed=seed, folds=parts, hashes=hashes)
    return Prepared(
        dataset=dataset,
        hashes=hashes,
        broken=packed.broken,
        usable=usable,
        splits=splits,
        pack=packed,
        inner_folds=inner,
    )


def divide(opened: Opened, *, seed: int, folds: int, validation: float, test: float) -> tuple[Split, ...]:
    """The split of every image; the arguments are those of `prepare`."""
    dataset, hashes = opened.dataset, opened.hashes
    if folds:
        # A given test split stays what it is; all other images are cross-validated.
        return tuple("test" if s.split == "test" else "train" for s in dataset.samples)
    return assign_splits(dataset, seed=seed, validation=validation, test=test, hashes=hashes)


def measured(preprocessing: Preprocessing, images: ImageArray, rows: NDArray[np.int64]) -> Preprocessing:
    """A preprocessing with the mean and standard deviation of these images.

    Args:
        preprocessing: the rest.
        images: (N, H, W, C) uint8.
        rows: (M,) of those that count.
    """
    mean, std = channel_statistics(images, rows)
    # A channel that never changes tells nothing; dividing by its deviation of 0 must not either.
    return preprocessing.model_copy(update={"mean": mean, "std": tuple(max(value, 1 / 255) for value in std)})


def inner_folds(prepared: Prepared, member: Member) -> NDArray[np.int64]:
    """(N,) the fold of each image, for choosing among a training's labelled images.

    Where few have labels, folds are drawn among these: those of all images might leave a class without any in one part.
    """
    if len(member.unlabelled) == 0:
        return prepared.inner_folds
    rows = np.sort(np.concatenate([member.train, member.validation]))
    few = _without_splits(prepared.dataset.keep(rows.tolist()))
    hashes = [prepared.hashes[row] for row in rows]
    folds: NDArray[np.int64] = prepared.inner_folds.copy()
    number = min(_INNER_FOLDS, count_units(few, hashes))
    folds[rows] = assign_folds(few, seed=member.seed, folds=number, hashes=hashes)
    return folds


def members(
    prepared: Divided, *, folds: int, seeds: int, seed: int, validation: float, per_class: int = 0
) -> list[Member]:
    """The trainings of a run; the last one makes the run's own model where there are folds.

    Args:
        prepared: the data.
        folds: cross-validation, 0 for none.
        seeds: trainings alike in all but the seed.
        seed: the first of them.
        validation: share of a training's images kept for choosing, where the data set has no such split.
        per_class: of each training, use so few labels a class (see `label_few`); 0 = all.
    """
    all_labelled = _members(prepared, folds=folds, seeds=seeds, seed=seed, validation=validation)
    return [label_few(prepared, member, per_class=per_class, seed=seed) for member in all_labelled]


def label_few(prepared: Divided, member: Member, *, per_class: int, seed: int) -> Member:
    """A training of which only some images a class keep their labels; the others become its unlabelled ones.

    `per_class` counts all labels that are used: a fifth of them, and at least one, are for choosing, the rest for
    training. Which ones is decided by the seed and the images' names, and whoever is among few is among more. A class
    with fewer images gives all it has. An image of several labels counts for each of them. Held-out images stay as they
    are.

    Args:
        prepared: the data.
        member: with all labels.
        per_class: 2 or more, or 0 to keep all labels.
        seed: another seed, other images.

    Raises:
        UserError: one label a class, which cannot both train and choose.
    """
    if per_class == 0:
        return member
    if per_class == 1:
        raise UserError(
            "data.per_class=1: one image cannot both be learned from and be chosen by", "Give 2 or more; 0 = all."
        )
    choosing = max(1, round(_CHOOSING * per_class))
    train = _first_of_each_class(prepared.dataset, member.train, per_class - choosing, seed=seed)
    chosen_on = _first_of_each_class(prepared.dataset, member.validation, choosing, seed=seed)
    every = np.sort(np.concatenate([member.train, member.validation]))
    unlabelled = np.setdiff1d(every, np.concatenate([train, chosen_on]))
    return replace(member, train=train, validation=chosen_on, unlabelled=unlabelled)


def _first_of_each_class(dataset: Dataset, rows: NDArray[np.int64], count: int, *, seed: int) -> NDArray[np.int64]:
    """So many rows of each class, ascending, in an order of the seed's."""
    shuffled = sorted(rows.tolist(), key=lambda row: seed_of(seed, "per class", dataset.samples[row].name))
    taken: Counter[int] = Counter()
    first = []
    for row in shuffled:
        labels = labels_of(dataset.samples[row])
        if any(taken[label] < count for label in labels):
            taken.update(labels)
            first.append(row)
    return np.sort(np.array(first, np.int64))


def _members(prepared: Divided, *, folds: int, seeds: int, seed: int, validation: float) -> list[Member]:
    test = prepared.rows("test")
    if not folds:
        train, chosen_on = prepared.rows("train"), prepared.rows("validation")
        names = [f"seed-{seed + n}" if seeds > 1 else "" for n in range(seeds)]
        return [Member(name, seed + n, train, chosen_on, test) for n, name in enumerate(names)]
    development = prepared.rows("train")
    fold_of = _positions(
        prepared, development, lambda data, hashes: assign_folds(data, seed=seed, folds=folds, hashes=hashes)
    )
    result = []
    for number in range(seeds):
        for fold in range(folds):
            train, chosen_on = _carve(prepared, development[fold_of != fold], seed=seed, validation=validation)
            name = f"fold-{fold}" if seeds == 1 else f"seed-{seed + number}-fold-{fold}"
            result.append(Member(name, seed + number, train, chosen_on, development[fold_of == fold]))
    train, chosen_on = _carve(prepared, development, seed=seed, validation=validation)
    return [*result, Member("", seed, train, chosen_on, test)]


def _carve(
    prepared: Divided, rows: NDArray[np.int64], *, seed: int, validation: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    splits = _positions(
        prepared,
        rows,
        lambda data, hashes: np.array(assign_splits(data, seed=seed, validation=validation, test=0.0, hashes=hashes)),
    )
    return rows[splits == "train"], rows[splits == "validation"]


def _positions(
    prepared: Divided,
    rows: NDArray[np.int64],
    assign: Callable[[Dataset, list[str]], NDArray[np.generic]],
) -> NDArray[np.generic]:
    return assign(_without_splits(prepared.dataset.keep(rows)), [prepared.hashes[row] for row in rows])


def _without_splits(dataset: Dataset) -> Dataset:
    free: list[Sample] = [replace(sample, split=None) for sample in dataset.samples]
    return replace(dataset, samples=tuple(free))
