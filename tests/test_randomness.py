from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from convolve.randomness import numpy_generator, seed_of, torch_randomness, uniforms


def splitmix64(seed: int, count: int) -> list[int]:
    """The generator as its authors publish it, one state after the other."""
    mask, state, outputs = 2**64 - 1, seed, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        outputs.append(z ^ (z >> 31))
    return outputs


def test_the_oracle_gives_the_published_numbers() -> None:
    # https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64
    assert splitmix64(1234567, 3) == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_uniforms_are_splitmix64_counted_through() -> None:
    expected = [(number >> 11) / 2**53 for number in splitmix64(seed_of(7, "augment", 2), 12)]
    assert uniforms(7, "augment", 2, rows=np.arange(4), count=3).flatten().tolist() == expected


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=20), st.integers(1, 6))
def test_a_row_draws_the_same_whatever_other_rows_are_asked_for(rows: list[int], count: int) -> None:
    together = uniforms("key", rows=np.array(rows), count=count)
    for row, numbers in zip(rows, together, strict=True):
        assert np.array_equal(uniforms("key", rows=np.array([row]), count=count)[0], numbers)


def test_uniforms_are_uniform_and_uncorrelated() -> None:
    numbers = uniforms(0, "augment", 0, rows=np.arange(20_000), count=4)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert stats.kstest(numbers.flatten(), "uniform").pvalue > 1e-3
    neighbours = np.column_stack([numbers[:-1], numbers[1:]])
    for first, second in combinations(range(8), 2):
        assert abs(np.corrcoef(neighbours[:, first], neighbours[:, second])[0, 1]) < 0.03


@pytest.mark.parametrize("other", [(1, "augment", 0), (0, "augment", 1), (0, "order", 0)])
def test_neighbouring_keys_are_uncorrelated(other: tuple[int, str, int]) -> None:
    rows = np.arange(20_000)
    first, second = uniforms(0, "augment", 0, rows=rows, count=1), uniforms(*other, rows=rows, count=1)
    assert abs(np.corrcoef(first[:, 0], second[:, 0])[0, 1]) < 0.03


def test_pairs_of_uniforms_fill_the_square_evenly() -> None:
    x, y = uniforms(3, rows=np.arange(50_000), count=2).T
    counts = np.histogram2d(x, y, bins=10, range=[[0, 1], [0, 1]])[0]
    assert stats.chisquare(counts.flatten()).pvalue > 1e-3


def test_keys_are_kept_apart() -> None:
    keys = [(1, 23), (12, 3), (123,), ("1", 23), (1, "23"), ("12", 3), (), ("",), ("", ""), (-1,), (2**70,)]
    seeds = [seed_of(*key) for key in keys]
    assert len(set(seeds)) == len(keys)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_seed_stays_what_it_is() -> None:
    # A number of our own, which only detects change: one would make other splits and weights of everybody's recipes.
    assert seed_of(5, "split", 2) == 2038161766435773625


def test_numpy_generators_start_at_their_key() -> None:
    first, again, other = (numpy_generator(0, "order", epoch).random(5) for epoch in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_torch_randomness_is_the_keys_and_leaves_torch_as_it_was() -> None:
    torch.manual_seed(1)
    undisturbed = torch.rand(4)
    torch.manual_seed(1)
    with torch_randomness(0, "weights"):
        first = torch.rand(4)
    assert torch.equal(torch.rand(4), undisturbed)
    with torch_randomness(0, "weights"):
        assert torch.equal(torch.rand(4), first)
    with torch_randomness(1, "weights"):
        assert not torch.equal(torch.rand(4), first)


def test_torch_randomness_is_put_back_after_an_error() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    with pytest.raises(KeyError), torch_randomness(0):
        raise KeyError
    assert torch.equal(torch.get_rng_state(), state)
