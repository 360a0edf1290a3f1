"""The small network learns, what it shows is of it, and it repeats."""

import pytest
import torch

from convolve.see.tour.topics.seeing import SIDE, digits, small_network, trained
from see.tour.topics.sections import section_of


@pytest.fixture(scope="module")
def section():
    return section_of("seeing")


def test_digits_are_told_apart(section):
    assert section.numbers["test digits"] == 450
    assert section.numbers["right, percent"] > 95
    assert 0.5 < section.numbers["its probability"] <= 1
    assert section.numbers["largest fall of it when covered"] > 0


def test_the_digits_are_enlarged_within_their_range():
    images, labels = digits()
    assert images.shape == (1797, 1, SIDE, SIDE)
    assert (float(images.min()), labels.bincount().numel()) == (0.0, 10)
    assert float(images.max()) <= 1


def test_training_draws_from_its_seed_alone():
    images, labels = digits()
    some = slice(0, 256)
    state = torch.get_rng_state()
    first, again, other = (trained(seed, images[some], labels[some]) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first[0][0].weight, again[0][0].weight)
    assert not torch.equal(first[0][0].weight, other[0][0].weight)
    assert small_network()(images[:2]).shape == (2, 10)
