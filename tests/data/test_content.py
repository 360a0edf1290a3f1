import os
import time
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest

from convolve.data.content import content_hashes, dataset_fingerprint
from convolve.data.dataset import ClassLabel, ClassLabels, Dataset, Sample


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def dataset_of(*images: Path | np.ndarray) -> Dataset:
    samples = tuple(Sample(f"sample {row}", image, ClassLabel(row % 2)) for row, image in enumerate(images))
    return Dataset("test", "by hand", ("a", "b"), samples)


def written(path: Path, content: bytes, *, seconds_ago: float = 100) -> Path:
    path.write_bytes(content)
    then = time.time() - seconds_ago
    os.utime(path, (then, then))
    return path


def blake(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def test_files_are_hashed_by_their_bytes_and_told_of(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{row}.png", b"x" * row) for row in range(3)]
    told: list[tuple[str, int, int]] = []
    hashes = content_hashes(dataset_of(*paths), lambda *step: told.append(step))
    assert hashes == tuple(blake(b"x" * row) for row in range(3))
    assert told[-1][1:] == (3, 3)


def test_a_known_file_is_not_read_again_and_a_changed_one_is(tmp_path: Path) -> None:
    path = written(tmp_path / "a.png", b"before")
    kept = path.stat()
    dataset = dataset_of(path)
    [before] = content_hashes(dataset)
    # Other bytes under the same size, time and inode show that the file is not opened.
    path.write_bytes(b"BEFORE")
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert content_hashes(dataset) == (before,)
    written(path, b"behind", seconds_ago=50)
    assert content_hashes(dataset) == (blake(b"behind"),)


def test_a_file_just_written_is_read_again(tmp_path: Path) -> None:
    path = written(tmp_path / "a.png", b"before", seconds_ago=0)
    kept = path.stat()
    dataset = dataset_of(path)
    content_hashes(dataset)
    path.write_bytes(b"BEFORE")
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert content_hashes(dataset) == (blake(b"BEFORE"),)


@pytest.mark.parametrize("keep_header", [False, True])
def test_a_damaged_database_is_begun_anew(keep_header: bool, tmp_path: Path, cache: Path) -> None:
    dataset = dataset_of(written(tmp_path / "a.png", b"x"))
    content_hashes(dataset)
    [database] = cache.rglob("*.sqlite")
    content = database.read_bytes()
    damaged = content[:100] + b"\xff" * (len(content) - 100) if keep_header else b"junk" * 1000
    database.write_bytes(damaged)
    assert content_hashes(dataset) == (blake(b"x"),)
    assert database.read_bytes() != damaged


def test_an_unreadable_file_has_a_hash_of_its_name(tmp_path: Path) -> None:
    missing = dataset_of(tmp_path / "absent.png", tmp_path)
    first, second = content_hashes(missing)
    assert first != second
    assert content_hashes(missing) == (first, second)
    assert first != blake(b"sample 0")


def test_names_that_are_no_text_are_hashed(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    try:
        written(path, b"x")
    except OSError:
        pytest.skip("this file system has only text for names")
    samples = (Sample(path.name, path, ClassLabel(0)), Sample(path.name + "2", path.with_name("a"), ClassLabel(0)))
    assert content_hashes(Dataset("test", "by hand", ("a",), samples))[0] == blake(b"x")


def test_arrays_are_hashed_by_shape_and_pixels() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    hashes = content_hashes(dataset_of(pixels, pixels.copy(), pixels.reshape(4, 3), pixels[:, ::-1], pixels[..., None]))
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 4


def test_the_fingerprint_changes_with_everything_a_training_sees() -> None:
    image = np.zeros((2, 2), np.uint8)
    hashes = ("1" * 32,)

    def fingerprint(sample: Sample, classes: tuple[str, ...] = ("a", "b"), hashes: tuple[str, ...] = hashes) -> str:
        return dataset_fingerprint(Dataset("test", "by hand", classes, (sample,)), hashes)

    plain = Sample("0", image, ClassLabel(0))
    different = {
        fingerprint(plain),
        fingerprint(Sample("1", image, ClassLabel(0))),
        fingerprint(Sample("0", image, ClassLabel(1))),
        fingerprint(Sample("0", image, ClassLabels((0,)))),
        fingerprint(Sample("0", image, ClassLabel(0), split="test")),
        fingerprint(plain, classes=("a", "c")),
        fingerprint(plain, hashes=("2" * 32,)),
    }
    assert len(different) == 7
    assert fingerprint(plain) == fingerprint(Sample("0", image + 1, ClassLabel(0)))
