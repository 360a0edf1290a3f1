"""Images that show the same: the same bytes, or nearly the same picture (another size, quality or brightness).

Two copies on both sides of a split make a network look better than it is, so they are found before it is split.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from convolve.data.dataset import ImageArray
from convolve.data.preprocessing import Preprocessing
from convolve.data.resizing import fit_stack

SMALLEST_SIDE = 32
"""Below this many pixels a side, different images of one kind (digits, icons) have the same few low frequencies."""

_AT_ONCE = 256
_COMPARED_AT_ONCE = 4096
_GREY = Preprocessing(image_hw=(SMALLEST_SIDE, SMALLEST_SIDE), fit="stretch", channels=1, mean=(0.0,), std=(1.0,))
_COLOUR = _GREY.model_copy(update={"channels": 3, "mean": (0.0,) * 3, "std": (1.0,) * 3, "fill": (0,) * 3})
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_SAME_PICTURE = 0.98
_PLAIN = 2.0

_Pairs: TypeAlias = NDArray[np.int64]
"""(M, 2) rows."""


def exact_duplicates(hashes: Sequence[str]) -> list[tuple[int, ...]]:
    """Groups of rows with equal content hashes, each ascending, in the order of their first rows.

    >>> exact_duplicates(["a", "b", "a", "c"])
    [(0, 2)]
    """
    rows = defaultdict(list)
    for row, digest in enumerate(hashes):
        rows[digest].append(row)
    return [tuple(group) for group in rows.values() if len(group) > 1]


def near_duplicates(images: ImageArray, *, max_distance: int) -> list[tuple[int, ...]]:
    """Groups of rows that show nearly the same picture, each ascending, in the order of their first rows.

    Two images match if at most `max_distance` of the 64 bits of their perceptual hashes differ, and their 32 x 32 grey
    thumbnails correlate by 0.98 or more, which tells apart what only has the same coarse layout. A group is what
    matches hold together, so its ends may differ more. Images of one plain colour match nothing.

    Time and memory grow little faster than the number of images: hashes are compared only if one of their
    max_distance + 1 bands is equal, as it must be (Norouzi, Punjani and Fleet, "Fast Search in Hamming Space with
    Multi-Index Hashing", CVPR 2012).

    Args:
        images: (N, H, W, C) uint8, without padding best, H and W at least 32.
        max_distance: 0..15; half of all bits differ between unrelated images, and the number is even since every
            hash has as many ones as zeros.

    Raises:
        ValueError: smaller images, or another distance.
    """
    if min(images.shape[1:3]) < SMALLEST_SIDE:
        raise ValueError(f"images of {images.shape[1]} x {images.shape[2]} pixels are too small to tell apart")
    if not 0 <= max_distance <= 15:
        raise ValueError(f"max_distance={max_distance} is not in 0..15")
    thumbnails = _thumbnails(images)
    detailed = np.flatnonzero(thumbnails.reshape(len(images), -1).std(axis=1) > _PLAIN)
    hashes = _hashes(thumbnails[detailed])
    matches: list[tuple[int, int]] = []
    for pairs in _close_pairs(hashes, max_distance):
        rows = detailed[pairs]
        matches.extend(map(tuple, rows[_correlations(thumbnails, rows) >= _SAME_PICTURE].tolist()))
    return _groups(matches)


def perceptual_hashes(images: ImageArray) -> NDArray[np.uint64]:
    """The 64-bit hash of each image: which of its 8 x 8 lowest frequencies lie above their median.

    Grey, 32 x 32 pixels, discrete cosine transform, without the constant row and column: C. Zauner, "Implementation and
    Benchmarking of Perceptual Image Hash Functions", Upper Austria University of Applied Sciences 2010, section 3.2.1
    (without its mean filter: the thumbnail is antialiased already).

    Args:
        images: (N, H, W, C) uint8, C of 1 or 3.

    Returns:
        (N,) the first bit the most significant.
    """
    return _hashes(_thumbnails(images))


def _thumbnails(images: ImageArray) -> ImageArray:
    """(N, 32, 32), grey."""
    small = np.empty((len(images), SMALLEST_SIDE, SMALLEST_SIDE), np.uint8)
    for start in range(0, len(images), _AT_ONCE):
        some = fit_stack(np.asarray(images[start : start + _AT_ONCE]), _GREY if images.shape[3] == 1 else _COLOUR)
        small[start : start + len(some)] = some[..., 0] if some.shape[3] == 1 else np.rint(some @ _LUMA)
    return small


def _hashes(thumbnails: ImageArray) -> NDArray[np.uint64]:
    side = thumbnails.shape[1]
    frequencies, positions = np.arange(1, 9)[:, None], np.arange(side) + 0.5
    cosines = np.cos(np.pi / side * frequencies * positions)
    spectrum = np.einsum("uy,nyx,vx->nuv", cosines, thumbnails.astype(np.float64), cosines, optimize=True)
    flat = spectrum.reshape(len(thumbnails), 64)
    bits = flat > np.median(flat, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)


def _close_pairs(hashes: NDArray[np.uint64], max_distance: int) -> Iterator[_Pairs]:
    """Positions of hashes at most `max_distance` bits apart; of equal hashes only the first with each other one."""
    distinct, first, which = np.unique(hashes, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[which] != np.arange(len(hashes)))
    yield np.stack([first[which][again], again], axis=1)
    edges = [64 * band // (max_distance + 1) for band in range(max_distance + 2)]
    for low, high in pairwise(edges):
        bands = (distinct >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(bands, kind="stable")
        ends = np.flatnonzero(np.diff(bands[order])) + 1
        for members in np.split(order, ends):
            yield from (first[pairs] for pairs in _compared(distinct, members, max_distance))


def _compared(hashes: NDArray[np.uint64], members: NDArray[np.int64], max_distance: int) -> Iterator[_Pairs]:
    """Every member against the later ones, a block at a time."""
    for start in range(0, len(members) - 1, _COMPARED_AT_ONCE):
        some, rest = members[start : start + _COMPARED_AT_ONCE], members[start:]
        distances = np.bitwise_count(hashes[some][:, None] ^ hashes[rest])
        left, right = np.nonzero(np.triu(distances <= max_distance, k=1))
        if len(left):
            yield np.stack([some[left], rest[right]], axis=1)


def _correlations(thumbnails: ImageArray, rows: _Pairs) -> NDArray[np.float32]:
    """(M,) Pearson's r of the thumbnails of each pair."""
    found = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _COMPARED_AT_ONCE):
        pairs = thumbnails[rows[start : start + _COMPARED_AT_ONCE]].reshape(-1, 2, SMALLEST_SIDE**2).astype(np.float32)
        pairs -= pairs.mean(axis=2, keepdims=True)
        pairs /= np.linalg.norm(pairs, axis=2, keepdims=True)
        found[start : start + len(pairs)] = (pairs[:, 0] * pairs[:, 1]).sum(axis=1)
    return found


def _groups(matches: Iterable[tuple[int, int]]) -> list[tuple[int, ...]]:
    """What matches hold together (union-find)."""
    parents: dict[int, int] = {}

    def root(row: int) -> int:
        while parents.setdefault(row, row) != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    for left, right in matches:
        low, high = sorted((root(left), root(right)))
        parents[high] = low
    members = defaultdict(list)
    for row in sorted(parents):
        members[root(row)].append(row)
    return [tuple(group) for group in members.values()]
