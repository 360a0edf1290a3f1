from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convolve.data.dataset import ClassLabel, Sample
from convolve.errors import UserError
from convolve.workflow.curve_sizes import curve_sizes, first_units, nested_order


@given(images=st.integers(1, 100_000), classes=st.integers(2, 200))
def test_sizes_rise_from_a_few_a_class_to_all_or_there_is_no_curve(images, classes):
    if images < 8 * classes:
        with pytest.raises(UserError, match="too few for a learning curve"):
            curve_sizes(images, classes)
        return
    sizes = curve_sizes(images, classes)
    assert sizes[-1] == images
    assert 4 <= len(sizes) <= 8
    assert sizes[0] in (2 * classes, 5 * classes)
    assert np.all(np.diff(sizes) > 0)


@st.composite
def images(draw):
    counts = draw(st.lists(st.integers(2, 30), min_size=2, max_size=4))
    grouped = draw(st.booleans())
    samples = [
        Sample(f"{label}/{n}.png", Path("x"), ClassLabel(label), group=f"{label}-{n // 3}" if grouped else None)
        for label, count in enumerate(counts)
        for n in range(count)
    ]
    splits = ["validation" if n % 7 == 6 else "train" for n in range(len(samples))]
    return samples, splits, draw(st.integers(0, 5))


@settings(max_examples=60, deadline=None)
@given(images())
def test_beginnings_are_nested_and_keep_groups_whole_and_shares_even(drawn):
    samples, splits, draw = drawn
    hashes = [sample.name for sample in samples]
    order = nested_order(samples, splits, hashes, seed=0, draw=draw)
    assert sorted(np.concatenate(order).tolist()) == list(range(len(samples)))
    groups = Counter(sample.group for sample in samples)
    totals = Counter(sample.target.index for sample in samples)
    before: set[int] = set()
    for size in range(2 * len(totals), len(samples) + 1, 3):
        positions = set(first_units(order, size).tolist())
        assert before <= positions
        assert len(positions) >= size
        before = positions
        if samples[0].group is not None:
            chosen = Counter(samples[position].group for position in positions)
            assert all(groups[group] == count for group, count in chosen.items())
            continue
        assert len(positions) == size
        counts = Counter(samples[position].target.index for position in positions)
        for label, total in totals.items():
            assert counts[label] >= min(2, total)
            # One unit a stratum from rounding (two strata a class), and the two of each class that come first.
            assert abs(counts[label] - size * total / len(samples)) <= 2 + 2 * len(totals)


def test_another_draw_has_other_images_and_the_same_one_the_same():
    samples = [Sample(f"{n}.png", Path("x"), ClassLabel(n % 2)) for n in range(40)]
    names = [sample.name for sample in samples]
    first, again, other = (
        first_units(nested_order(samples, ["train"] * 40, names, seed=0, draw=draw), 10).tolist() for draw in (0, 0, 1)
    )
    assert first == again != other
