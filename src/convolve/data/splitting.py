"""Which images train, which choose, which test - and which fold - decided by a seed and the images' names alone.

Images that belong together (one group, or the same bytes) form a unit, and a unit is never split. Units go one by one,
the biggest first, to the part that comes nearest to what it should have of the unit's classes. What a part should have
of a class is a whole number, so where every unit is one image with one label, all classes come out exactly.

Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data", ECML PKDD 2011, give images with several
labels to parts in the same way; here groups and given splits come on top.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convolve.data.dataset import SPLITS, Dataset, Sample, Split, labels_of
from convolve.errors import UserError
from convolve.randomness import seed_of

_ROUNDS_TO_ONE = 0.5
_EXACT = 1e-9


@dataclass(frozen=True, slots=True)
class _Unit:
    """Images that stay together: their positions, and how many there are of each stratum."""

    positions: tuple[int, ...]
    strata: Counter[str]


def assign_splits(
    dataset: Dataset, *, seed: int, validation: float, test: float, hashes: Sequence[str]
) -> tuple[Split, ...]:
    """The split of every image.

    Splits that the data set gives are kept, and nothing is added to them but what belongs to one of their units. There
    are two cases in which a given "train" is divided further, both only where every image has a split: next to a test
    split without a validation split, validation is carved out of it; and where all images are "train", nothing was
    given that could be kept.

    A class is in train if it has one unit to give, and in each split if its share there rounds to one image or more and
    it has a unit for each.

    Args:
        dataset: its samples' names are the identity that the seed's decision goes by; their order plays no part.
        seed: another seed, another split.
        validation: the wanted share of the images that are free to be split, 0 for none.
        test: likewise.
        hashes: of every sample's content; samples with equal ones stay together.

    Returns:
        One split a sample, in the order of the samples.

    Raises:
        UserError: the shares leave nothing to train on.
    """
    if validation + test >= 1:
        raise UserError(
            f"data.validation={validation:g} and data.test={test:g} leave nothing to train on",
            "Together they must be less than 1; 0.15 each is usual.",
        )
    given = _binding_splits(dataset)
    assigned = [sample.split for sample in dataset.samples]
    free: list[_Unit] = []
    for unit in _units(dataset.samples, hashes, seed):
        held = {given[position] for position in unit.positions} - {None}
        if not held:
            free.append(unit)
            continue
        # A unit that already lies in several splits leaks; its free images at least are not trained on.
        strictest = next(split for split in reversed(SPLITS) if split in held)
        for position in unit.positions:
            assigned[position] = assigned[position] or strictest
    shares: dict[Split, float] = {
        "validation": 0 if "validation" in given else validation,
        "test": 0 if "test" in given else test,
    }
    shares["train"] = 1 - sum(shares.values())
    parts = [split for split in SPLITS if shares[split] > 0]
    for unit, part in _distribute(free, [shares[split] for split in parts], first_needs_all=True):
        for position in unit.positions:
            assigned[position] = parts[part]
    return tuple(split or "train" for split in assigned)


def assign_folds(dataset: Dataset, *, seed: int, folds: int, hashes: Sequence[str]) -> NDArray[np.int64]:
    """The fold of every image, each stratum spread as evenly as its units allow.

    Given splits play no part: hand in what is to be folded (`Dataset.keep`).

    Args:
        dataset: its samples' names are the identity that the seed's decision goes by; their order plays no part.
        seed: another seed, other folds.
        folds: how many, 2 or more.
        hashes: of every sample's content; samples with equal ones stay together.

    Returns:
        (N,) int64 in 0..folds-1, in the order of the samples.

    Raises:
        UserError: there are fewer units than folds.
    """
    units = _units(dataset.samples, hashes, seed)
    if len(units) < folds:
        raise UserError(
            f"{folds} folds of {len(units)} images (or groups of images) that may be separated: too many",
            f"Ask for at most {len(units)} folds.",
        )
    assigned = np.empty(len(dataset.samples), dtype=np.int64)
    for unit, fold in _distribute(units, [1 / folds] * folds, first_needs_all=False):
        assigned[list(unit.positions)] = fold
    return assigned


def count_units(dataset: Dataset, hashes: Sequence[str]) -> int:
    """How many images, or groups and copies that stay together, may be separated from one another."""
    return len(_connected(dataset.samples, hashes))


def _binding_splits(dataset: Dataset) -> list[Split | None]:
    """The splits that are kept: those given, but for a "train" that is to be divided."""
    given = [sample.split for sample in dataset.samples]
    if None in given or "validation" in given:
        return given
    return [None if split == "train" else split for split in given]


def _units(samples: Sequence[Sample], hashes: Sequence[str], seed: int) -> list[_Unit]:
    """The images by what may be separated, in the order in which they are given to parts."""
    strata = [_strata(sample) for sample in samples]
    totals = Counter(stratum for row in strata for stratum in row)
    units = []
    for positions in _connected(samples, hashes):
        # Sorted, so that sums over them round alike whatever the samples' order.
        counts = Counter(sorted(stratum for position in positions for stratum in strata[position]))
        rarest = min(totals[stratum] for stratum in counts)
        draw = seed_of(seed, "split", min(samples[position].name for position in positions))
        units.append(((-len(positions), rarest, draw), _Unit(positions, counts)))
    return [unit for _, unit in sorted(units, key=lambda pair: pair[0])]


def _strata(sample: Sample) -> tuple[str, ...]:
    """What an image counts for: its stratum, or its classes, or having none."""
    if sample.stratum is not None:
        return (sample.stratum,)
    return tuple(str(label) for label in labels_of(sample)) or ("none",)


def _connected(samples: Sequence[Sample], hashes: Sequence[str]) -> list[tuple[int, ...]]:
    """Positions of images that share a group or a hash, directly or by way of others."""
    parent = list(range(len(samples)))

    def root(position: int) -> int:
        while parent[position] != position:
            parent[position] = position = parent[parent[position]]
        return position

    first: dict[tuple[str, str], int] = {}
    for position, (sample, content) in enumerate(zip(samples, hashes, strict=True)):
        bonds = [("hash", content)] if sample.group is None else [("hash", content), ("group", sample.group)]
        for bond in bonds:
            parent[root(position)] = root(first.setdefault(bond, position))
    members: dict[int, list[int]] = defaultdict(list)
    for position in range(len(samples)):
        members[root(position)].append(position)
    return [tuple(positions) for positions in members.values()]


def _distribute(
    units: Sequence[_Unit], shares: Sequence[float], *, first_needs_all: bool
) -> Iterator[tuple[_Unit, int]]:
    """Give each unit, in their order, to one of the parts.

    Args:
        units: in the order in which they are given away.
        shares: of each part, > 0, together 1.
        first_needs_all: whether the last unit of a stratum that the first part has nothing of goes there.
    """
    totals: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for unit in units:
        totals.update(unit.strata)
        left.update(unit.strata.keys())
    quotas = _quotas(totals, shares, first_needs_all=first_needs_all)
    needed = {stratum: list(row) for stratum, row in quotas.items()}
    lacking = {stratum: {part for part, count in enumerate(row) if count > 0} for stratum, row in quotas.items()}
    open_places = [sum(row[part] for row in quotas.values()) for part in range(len(shares))]

    def gain(unit: _Unit, part: int) -> tuple[float, int]:
        """How much the unit lowers the sum of (what a part still needs)^2 / (what it should have) over its strata."""
        fall = sum(
            count * (2 * needed[stratum][part] - count) / (quotas[stratum][part] or _ROUNDS_TO_ONE)
            for stratum, count in unit.strata.items()
        )
        return fall, open_places[part]

    for unit in units:
        candidates = _candidates(unit, left, lacking, first_needs_all=first_needs_all)
        part = max(sorted(candidates) or range(len(shares)), key=lambda part: gain(unit, part))
        for stratum, count in unit.strata.items():
            needed[stratum][part] -= count
            open_places[part] -= count
            left[stratum] -= 1
            lacking[stratum].discard(part)
        yield unit, part


def _candidates(
    unit: _Unit, left: Mapping[str, int], lacking: Mapping[str, set[int]], *, first_needs_all: bool
) -> set[int]:
    """The parts that must get one of the few units left of some stratum; empty where there are enough units."""
    if first_needs_all and any(left[stratum] == 1 and 0 in lacking[stratum] for stratum in unit.strata):
        return {0}
    for stratum in sorted(unit.strata, key=lambda name: (left[name], name)):
        if left[stratum] <= len(lacking[stratum]):
            return lacking[stratum]
    return set()


def _quotas(totals: Mapping[str, int], shares: Sequence[float], *, first_needs_all: bool) -> dict[str, list[int]]:
    """How many of each stratum a part should have: its share, rounded down or up, so that the parts sum up right too.

    What rounding down leaves of a stratum goes first to parts that would have none of it, then to those that so far
    have lost most by rounding.
    """
    quotas = {}
    lost = [0.0] * len(shares)
    for stratum in sorted(totals):
        wishes = [totals[stratum] * share for share in shares]
        counts = [math.floor(wish + _EXACT) for wish in wishes]
        lost = [before + wish - count for before, wish, count in zip(lost, wishes, counts, strict=True)]
        for _ in range(totals[stratum] - sum(counts)):
            part = max(
                (part for part, wish in enumerate(wishes) if wish - counts[part] > _EXACT),
                key=lambda part: (
                    counts[part] == 0 and part == 0 and first_needs_all,
                    counts[part] == 0 and wishes[part] >= _ROUNDS_TO_ONE - _EXACT,
                    lost[part],
                ),
            )
            counts[part] += 1
            lost[part] -= 1
        quotas[stratum] = counts
    return quotas
