from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convolve.data.dataset import SPLITS, ClassLabel, ClassLabels, Dataset, Sample, Split
from convolve.data.splitting import assign_folds, assign_splits
from convolve.errors import UserError


def dataset(samples: list[Sample]) -> Dataset:
    return Dataset(name="cells", form="test", classes=tuple("abcdef"), samples=tuple(samples))


def sample(
    number: int, label: int = 0, *, split: Split | None = None, group: str | None = None, stratum: str | None = None
) -> Sample:
    name = f"{number}.png"
    return Sample(name, Path(name), ClassLabel(label), split=split, group=group, stratum=stratum)


def with_counts(*counts: int) -> Dataset:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    return dataset([sample(number, label) for number, label in enumerate(labels)])


def alone(data: Dataset) -> list[str]:
    """Hashes of images that all differ."""
    return [f"hash of {sample.name}" for sample in data.samples]


def split(
    data: Dataset, *, seed: int = 0, validation: float = 0.15, test: float = 0.15, hashes: list[str] | None = None
) -> tuple[Split, ...]:
    return assign_splits(data, seed=seed, validation=validation, test=test, hashes=hashes or alone(data))


def table(data: Dataset, splits: tuple[Split, ...]) -> Counter[tuple[int, Split]]:
    pairs = Counter()
    for item, part in zip(data.samples, splits, strict=True):
        assert isinstance(item.target, ClassLabel)
        pairs[item.target.index, part] += 1
    return pairs


SHARES = st.floats(0.05, 0.4)
quickly = settings(max_examples=60, deadline=None)  # a busy machine is no fault


@st.composite
def grouped(draw: st.DrawFn) -> tuple[Dataset, list[str]]:
    count = draw(st.integers(1, 40))
    groups = draw(st.lists(st.one_of(st.none(), st.sampled_from("pqrstuvw")), min_size=count, max_size=count))
    labels = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    contents = draw(st.lists(st.integers(0, 60), min_size=count, max_size=count))
    data = dataset([sample(number, labels[number], group=groups[number]) for number in range(count)])
    return data, [str(content) for content in contents]


@quickly
@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(0, 99), SHARES, SHARES)
def test_classes_of_single_images_come_out_within_one_image(
    counts: list[int], seed: int, validation: float, test: float
) -> None:
    data = with_counts(*counts)
    made = table(data, split(data, seed=seed, validation=validation, test=test))
    for label, count in enumerate(counts):
        assert abs(made[label, "validation"] - validation * count) <= 1
        assert abs(made[label, "test"] - test * count) <= 1
        if count >= 1:
            assert made[label, "train"] >= 1


@quickly
@given(st.integers(1, 80), st.integers(1, 80))
def test_the_whole_is_near_its_share_however_small_the_classes(count: int, other: int) -> None:
    data = with_counts(count, other, count)
    made = Counter(split(data, validation=0.25, test=0.25))
    assert abs(made["validation"] - 0.25 * len(data.samples)) <= 2
    assert abs(made["test"] - 0.25 * len(data.samples)) <= 2


def test_many_tiny_classes_still_leave_something_to_validate_and_test_on() -> None:
    data = with_counts(*[2] * 6)  # 0.3 of an image each, which alone would round to nothing
    made = Counter(split(data))
    assert made == {"train": 8, "validation": 2, "test": 2}


def test_a_class_of_four_is_in_every_split_and_of_one_in_train() -> None:
    data = with_counts(4, 1, 40)
    made = table(data, split(data))
    assert [made[0, part] for part in SPLITS] == [2, 1, 1]
    assert [made[1, part] for part in SPLITS] == [1, 0, 0]


@quickly
@given(grouped(), st.integers(0, 9))
def test_what_belongs_together_stays_together(pair: tuple[Dataset, list[str]], seed: int) -> None:
    data, hashes = pair
    splits = split(data, seed=seed, hashes=hashes)
    folds = assign_folds(data, seed=seed, folds=2, hashes=hashes) if _units(data, hashes) >= 2 else None
    for (i, one), (j, other) in product(enumerate(data.samples), repeat=2):
        if hashes[i] == hashes[j] or (one.group is not None and one.group == other.group):
            assert splits[i] == splits[j]
            assert folds is None or folds[i] == folds[j]


def _units(data: Dataset, hashes: list[str]) -> int:
    """Connected components, by growing sets until nothing overlaps."""
    sets = [{f"name {item.name}", f"hash {h}"} for item, h in zip(data.samples, hashes, strict=True)]
    for bonds, item in zip(sets, data.samples, strict=True):
        bonds |= {f"group {item.group}"} if item.group else set()
    merged: list[set[str]] = []
    for bonds in sets:
        touching = [other for other in merged if other & bonds]
        merged = [other for other in merged if not other & bonds] + [bonds.union(*touching)]
    return len(merged)


@quickly
@given(grouped())
def test_a_class_with_two_units_is_in_train(pair: tuple[Dataset, list[str]]) -> None:
    data, hashes = pair
    made = table(data, split(data, validation=0.3, test=0.3, hashes=hashes))
    for label in {label for label, _ in made}:
        assert made[label, "train"] >= 1


@quickly
@given(grouped(), st.randoms(use_true_random=False))
def test_the_order_of_samples_plays_no_part(pair: tuple[Dataset, list[str]], random) -> None:
    data, hashes = pair
    order = list(range(len(hashes)))
    random.shuffle(order)
    shuffled, contents = data.keep(order), [hashes[position] for position in order]
    assert split(shuffled, hashes=contents) == tuple(split(data, hashes=hashes)[position] for position in order)


def test_the_seed_decides() -> None:
    data = with_counts(30, 30)
    assert split(data, seed=1) == split(data, seed=1) != split(data, seed=2)


@quickly
@given(st.lists(st.integers(1, 5), min_size=20, max_size=40), st.integers(0, 9))
def test_small_groups_come_near_the_wished_shares(sizes: list[int], seed: int) -> None:
    groups = [f"patient {number}" for number, size in enumerate(sizes) for _ in range(size)]
    data = dataset([sample(number, number % 2, group=group) for number, group in enumerate(groups)])
    made = Counter(split(data, seed=seed, validation=0.2, test=0.2))
    for part, share in (("train", 0.6), ("validation", 0.2), ("test", 0.2)):
        assert abs(made[part] - share * len(groups)) <= max(sizes)


def test_three_patients_of_a_class_are_one_in_each_split() -> None:
    data = dataset([sample(number, number // 30, group=f"patient {number // 10}") for number in range(60)])
    made = table(data, split(data))
    assert [made[label, part] for label in (0, 1) for part in SPLITS] == [10] * 6


def test_groups_and_duplicates_chain() -> None:
    chain = [sample(0, group="p"), sample(1, group="p"), sample(2, group="q"), sample(3, group="q")]
    data = dataset(chain + [sample(number) for number in range(4, 20)])
    hashes = alone(data)
    hashes[2] = hashes[1]
    for seed in range(20):
        assert len(set(split(data, seed=seed, validation=0.4, test=0.4, hashes=hashes)[:4])) == 1


def test_strata_are_spread_before_classes() -> None:
    kinds = ["mono", "poly"]
    data = dataset([sample(number, 0, stratum=kinds[number % 2]) for number in range(40)])
    splits = split(data, validation=0.2, test=0.3)
    made = Counter((item.stratum, part) for item, part in zip(data.samples, splits, strict=True))
    assert {key: made[key] for key in product(kinds, SPLITS)} == {
        (kind, part): count for kind in kinds for part, count in zip(SPLITS, (10, 4, 6), strict=True)
    }


def test_several_labels_are_spread_each() -> None:
    random = np.random.default_rng(0)
    carried = random.random((400, 4)) < (0.5, 0.3, 0.1, 0.03)
    targets = [ClassLabels(tuple(map(int, np.flatnonzero(row)))) for row in carried]
    data = dataset([Sample(f"{n}.png", Path("x"), target) for n, target in enumerate(targets)])
    splits = np.array(split(data, validation=0.2, test=0.2))
    for part, share in zip(SPLITS, (0.6, 0.2, 0.2), strict=True):
        np.testing.assert_allclose(carried[splits == part].sum(axis=0), share * carried.sum(axis=0), atol=4)
        assert abs((splits == part).sum() - share * 400) <= 8


def test_no_share_no_split() -> None:
    assert set(split(with_counts(9, 9), validation=0, test=0)) == {"train"}
    assert set(split(with_counts(9, 9), validation=0.2, test=0)) == {"train", "validation"}


def test_given_splits_are_kept() -> None:
    parts: list[Split] = ["train", "validation", "test"]
    data = dataset([sample(number, number % 2, split=parts[number % 3]) for number in range(30)])
    assert split(data) == tuple(item.split for item in data.samples)


def test_nothing_is_carved_out_of_train_for_a_test_split() -> None:
    data = dataset([sample(n, n % 2, split="train" if n < 20 else "validation") for n in range(30)])
    assert split(data) == tuple(item.split for item in data.samples)


def test_validation_is_carved_out_of_train_next_to_a_given_test() -> None:
    data = dataset([sample(n, n % 2, split="train" if n < 40 else "test") for n in range(60)])
    made = split(data, validation=0.2)
    assert made[40:] == ("test",) * 20
    assert Counter(made[:40]) == {"train": 32, "validation": 8}


def test_what_is_all_train_is_split_as_if_nothing_were_given() -> None:
    data = dataset([sample(n, n % 2, split="train") for n in range(40)])
    assert Counter(split(data, validation=0.2, test=0.2)) == {"train": 24, "validation": 8, "test": 8}


def test_free_images_go_around_given_ones() -> None:
    data = dataset([sample(n, split="test" if n < 5 else "train" if n < 10 else None) for n in range(50)])
    made = split(data, validation=0.25)
    assert made[:10] == ("test",) * 5 + ("train",) * 5
    assert Counter(made[10:]) == {"train": 30, "validation": 10}


def test_a_free_twin_of_a_test_image_joins_it() -> None:
    data = dataset([sample(0, split="test", group="p"), sample(1, group="p"), *map(sample, range(2, 12))])
    assert split(data)[:2] == ("test", "test")


def test_a_free_image_of_a_unit_in_two_splits_is_not_trained_on() -> None:
    parts: list[Split | None] = ["train", "test", None, "validation"]
    data = dataset([sample(number, split=part, group="p") for number, part in enumerate(parts)])
    assert split(data) == ("train", "test", "test", "validation")


def test_a_train_image_whose_twin_is_in_test_stays_in_train() -> None:
    data = dataset([sample(0, split="test"), *(sample(number, split="train") for number in range(1, 21))])
    hashes = alone(data)
    hashes[1] = hashes[0]
    for seed in range(10):
        assert split(data, seed=seed, validation=0.4, hashes=hashes)[:2] == ("test", "train")


def test_shares_that_leave_nothing_are_refused() -> None:
    with pytest.raises(UserError, match=r"data\.validation=0\.5 and data\.test=0\.5 leave nothing"):
        split(with_counts(9), validation=0.5, test=0.5)


@quickly
@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.integers(2, 6))
def test_folds_have_each_class_within_one_image(counts: list[int], folds: int) -> None:
    data = with_counts(*counts)
    assume(sum(counts) >= folds)
    made = assign_folds(data, seed=3, folds=folds, hashes=alone(data))
    assert made.dtype == np.int64
    assert set(made) <= set(range(folds))
    labels = np.repeat(np.arange(len(counts)), counts)
    for label, count in enumerate(counts):
        held = np.bincount(made[labels == label], minlength=folds)
        assert held.min() >= count // folds
        assert held.max() <= -(-count // folds)
    sizes = np.bincount(made, minlength=folds)
    assert sizes.max() - sizes.min() <= 1


def test_more_folds_than_units_are_refused() -> None:
    data = dataset([sample(number, group=f"patient {number % 3}") for number in range(30)])
    with pytest.raises(UserError, match=r"5 folds of 3 images[\s\S]*at most 3 folds"):
        assign_folds(data, seed=0, folds=5, hashes=alone(data))
