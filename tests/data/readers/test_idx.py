import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from torchvision.datasets import MNIST
from torchvision.datasets.mnist import read_image_file

from convolve.data.reading import read_dataset
from convolve.errors import UserError


def idx(values: NDArray[np.uint8], kind: int = 8) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, kind, values.ndim, *values.shape) + values.tobytes()


IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 7), np.uint8)
LABELS = np.array([7, 3, 3, 7, 200, 3], np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))
    return tmp_path


def test_pixels_and_labels(folder: Path) -> None:
    dataset = read_dataset(str(folder))
    assert dataset.classes == ("3", "7", "200")
    for number, sample in enumerate(dataset.samples):
        assert isinstance(sample.image, np.ndarray)
        np.testing.assert_array_equal(sample.image, IMAGES[number])
        assert dataset.classes[sample.target.index] == str(LABELS[number])
    assert dataset.given_splits == {"train"}
    assert dataset.samples[2].name == "train/2"


def test_torchvision_reads_the_same(folder: Path) -> None:
    theirs = read_image_file(str(folder / "train-images-idx3-ubyte"))
    ours = [sample.image for sample in read_dataset(str(folder)).samples]
    np.testing.assert_array_equal(np.stack(ours), theirs.numpy())


def test_what_mnist_downloads_is_recognised(folder: Path) -> None:
    names = [Path(name).name for name, _ in MNIST.resources]
    for name in names:
        values = IMAGES if "images" in name else LABELS
        (folder / name).write_bytes(gzip.compress(idx(values)))
    dataset = read_dataset(str(folder))  # train is there twice, gzipped and not
    assert [sum(sample.split == split for sample in dataset.samples) for split in ("train", "test")] == [6, 6]


def test_a_single_pair_by_its_images(folder: Path) -> None:
    dataset = read_dataset(str(folder / "train-images-idx3-ubyte"))
    assert len(dataset.samples) == 6
    assert dataset.given_splits == frozenset()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (idx(IMAGES)[:-1], "truncated: 210 values by its header, 209 in the file"),
        (idx(IMAGES) + b"x", "too long: 210 values by its header, more in the file"),
        (idx(IMAGES)[:9], "truncated: it ends in its header"),
        (idx(IMAGES, kind=0x0D), "it starts with 00 00 0d 03, not 00 00 08 03"),
        (idx(LABELS), "it starts with 00 00 08 01, not 00 00 08 03"),
        (b"", "it starts with nothing"),
        (struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), "4294967295 x .* values: damaged"),
        (idx(IMAGES[:5]), "5 images, but 6 labels in train-labels-idx1-ubyte"),
    ],
)
def test_faults_are_answered(folder: Path, content: bytes, words: str) -> None:
    (folder / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(UserError, match=f"train-images-idx3-ubyte: .*{words}"):
        read_dataset(str(folder))


@pytest.mark.parametrize("damage", [slice(0, 40), slice(3, None)])
def test_damaged_gzip_is_answered(folder: Path, damage: slice) -> None:
    (folder / "train-images-idx3-ubyte").unlink()
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES))[damage])
    with pytest.raises(UserError, match=r"ubyte\.gz: damaged or truncated gzip file"):
        read_dataset(str(folder))


def test_missing_labels_are_named(folder: Path) -> None:
    (folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match=r"no labels beside it\n.*train-labels-idx1-ubyte \(or \.gz\)"):
        read_dataset(str(folder))
