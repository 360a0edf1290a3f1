"""All randomness is a pure function of a key: (seed, what for, epoch, index).

Nothing here keeps a state, so a resumed training draws what the undisturbed one would have drawn, on any number of
workers and in any order.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

Key: TypeAlias = int | str


def seed_of(*key: Key) -> int:
    """A seed in [0, 2**63) for this key.

    >>> seed_of(0, "split") == seed_of(0, "split"), seed_of(0, "split") == seed_of(1, "split")
    (True, False)
    """
    # The separator keeps (1, 23) and (12, 3) apart, repr keeps 1 and "1" apart.
    text = "\x1f".join(repr(part) for part in key)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 1


def numpy_generator(*key: Key) -> np.random.Generator:
    """A NumPy generator that starts at this key."""
    return np.random.default_rng(seed_of(*key))


@contextmanager
def torch_randomness(*key: Key) -> Iterator[None]:
    """Draw everything torch draws inside (initial weights, dropout masks) from this key; put its state back after."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed_of(*key))
        yield


def uniforms(*key: Key, rows: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), `count` of them for each row number, the same whatever other rows are asked for.

    SplitMix64's output function (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014)
    on a counter: one hash a number instead of one generator an image.

    Args:
        key: what the numbers are for, for example (seed, "augment", epoch).
        rows: (N,) row numbers, for example the samples of a batch; not negative.
        count: how many numbers a row needs.

    Returns:
        (N, count), float64.
    """
    columns = np.arange(count, dtype=np.uint64)
    counter = rows.astype(np.uint64)[:, None] * np.uint64(count) + columns + np.uint64(1)
    state = np.uint64(seed_of(*key)) + counter * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
