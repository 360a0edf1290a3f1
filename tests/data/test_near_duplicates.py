from io import BytesIO
from itertools import combinations
from time import perf_counter

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter
from skimage.data import astronaut, camera, coffee

from convolve.data.dataset import ImageArray
from convolve.data.near_duplicates import exact_duplicates, near_duplicates, perceptual_hashes


def square(picture: ImageArray, side: int = 64) -> ImageArray:
    return np.asarray(Image.fromarray(picture).convert("RGB").resize((side, side)))


def compressed(picture: ImageArray) -> ImageArray:
    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=30)
    return np.asarray(Image.open(file))


def blobs(count: int, side: int = 32, seed: int = 0) -> ImageArray:
    noise = np.random.default_rng(seed).normal(size=(count, side, side))
    smooth = gaussian_filter(noise, (0, 2, 2))
    return np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)[..., None]


def test_copies_of_other_quality_brightness_and_size_match_and_others_do_not() -> None:
    pictures = [square(astronaut()), square(camera()), square(coffee())]
    copies = [
        compressed(pictures[0]),
        square(square(astronaut(), side=200)),
        np.clip(pictures[1] * 0.8 + 20, 0, 255).astype(np.uint8),
    ]
    assert near_duplicates(np.stack(pictures + copies), max_distance=4) == [(0, 3, 4), (1, 5)]


def test_the_hash_is_the_papers() -> None:
    image = blobs(1)[0, ..., 0]
    spectrum = dctn(image.astype(float), type=2)[1:9, 1:9].ravel()
    bits = "".join("1" if value > np.median(spectrum) else "0" for value in spectrum)
    [found] = perceptual_hashes(image[None, :, :, None])
    assert int(found) == int(bits, 2)


def test_hashes_differ_by_half_their_bits_between_unrelated_images() -> None:
    hashes = perceptual_hashes(blobs(200))
    distances = [(int(a) ^ int(b)).bit_count() for a, b in combinations(hashes, 2)]
    assert 30 < np.mean(distances) < 34
    assert {distance % 2 for distance in distances} == {0}


@pytest.mark.parametrize("max_distance", [0, 2, 5, 10, 15])
def test_bands_find_what_all_pairs_find(max_distance: int) -> None:
    base = blobs(60)
    wobble = np.random.default_rng(1).normal(size=(4, *base.shape)) * np.array([1, 3, 6, 9])[:, None, None, None, None]
    images = np.clip(np.concatenate([base, *(base + wobble)]), 0, 255).astype(np.uint8)
    hashes = perceptual_hashes(images)
    flat = images.reshape(len(images), -1)
    linked = {row: {row} for row in range(len(images))}
    for a, b in combinations(range(len(images)), 2):
        near = (int(hashes[a]) ^ int(hashes[b])).bit_count() <= max_distance
        if near and np.corrcoef(flat[a], flat[b])[0, 1] >= 0.98:
            joined = linked[a] | linked[b]
            linked |= dict.fromkeys(joined, joined)
    slow = sorted({tuple(sorted(group)) for group in linked.values() if len(group) > 1})
    assert near_duplicates(images, max_distance=max_distance) == slow
    assert len(slow) > 20


def test_plain_images_match_nothing() -> None:
    images = np.stack([np.full((32, 32, 3), value, np.uint8) for value in (0, 0, 10, 255)])
    assert near_duplicates(images, max_distance=8) == []


def test_many_images_and_many_copies_take_seconds() -> None:
    images = np.concatenate([blobs(4000), np.repeat(blobs(1, seed=5), 4000, axis=0)])
    start = perf_counter()
    assert near_duplicates(images, max_distance=4) == [tuple(range(4000, 8000))]
    assert perf_counter() - start < 30


def test_small_images_and_odd_distances_are_refused() -> None:
    with pytest.raises(ValueError, match="28 x 28 pixels are too small"):
        near_duplicates(np.zeros((2, 28, 28, 1), np.uint8), max_distance=4)
    with pytest.raises(ValueError, match="max_distance=16"):
        near_duplicates(blobs(2), max_distance=16)


def test_exact_duplicates_are_grouped() -> None:
    assert exact_duplicates(["c", "a", "b", "a", "b", "a"]) == [(1, 3, 5), (2, 4)]
    assert exact_duplicates([]) == []
