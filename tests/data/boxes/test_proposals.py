import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convolve.data.boxes.proposals import propose_all
from convolve.data.boxes.selective_search import selective_search
from convolve.data.cache import cache_folder
from convolve.data.content import content_hashes
from convolve.data.dataset import Boxes, Dataset, ImageArray, Sample

ENDLESS = """
import numpy as np
from convolve.data.boxes.proposals import propose_all
from convolve.data.content import content_hashes
from convolve.data.dataset import Boxes, Dataset, Sample
images = np.random.default_rng(0).integers(0, 256, (500, 6, 8, 3), np.uint8).repeat(10, axis=1).repeat(10, axis=2)
samples = tuple(Sample(str(row), image, Boxes((60, 80), ())) for row, image in enumerate(images))
data = Dataset("noise", "arrays", ("a",), samples)
propose_all(data, content_hashes(data), progress=lambda what, done, total: print(done, flush=True))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))


def picture(seed: int) -> ImageArray:
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return small.repeat(10, axis=0).repeat(10, axis=1)


def data_set(*images: ImageArray | Path) -> Dataset:
    samples = tuple(Sample(str(row), image, Boxes((60, 80), ())) for row, image in enumerate(images))
    return Dataset("pictures", "arrays", ("a",), samples)


def test_each_image_has_its_own_boxes_as_if_searched_alone() -> None:
    pictures = [picture(seed) for seed in (1, 2, 1)]
    data = data_set(*pictures)
    found = propose_all(data, content_hashes(data), mode="fast", seed=4)
    assert len(found) == 3
    for row, image in enumerate(pictures):
        np.testing.assert_array_equal(found.of(row), selective_search(image, mode="fast", seed=4))
    assert found.broken == {}
    assert 0 < found.seconds_per_image < 5


def test_what_was_searched_once_is_read() -> None:
    data = data_set(picture(1), picture(2))
    hashes = content_hashes(data)
    told: list[tuple[str, int, int]] = []

    def listen(what: str, done: int, total: int) -> None:
        told.append((what, done, total))

    first = propose_all(data, hashes, progress=listen)
    assert told == [("searching for regions", 1, 2), ("searching for regions", 2, 2)]
    again = propose_all(data, hashes, progress=listen)
    assert len(told) == 2
    np.testing.assert_array_equal(first.boxes, again.boxes)
    np.testing.assert_array_equal(first.starts, again.starts)
    # Read: two measurements would differ in some digit.
    assert first.seconds_per_image == again.seconds_per_image
    propose_all(data, hashes, seed=1, most=5, progress=listen)
    assert len(told) == 2
    propose_all(data_set(picture(2), picture(3)), content_hashes(data_set(picture(2), picture(3))), progress=listen)
    assert told[2:] == [("searching for regions", 2, 2)]


def test_fast_and_quality_are_kept_apart() -> None:
    data = data_set(picture(1))
    hashes = content_hashes(data)
    counts = [len(propose_all(data, hashes, mode=mode).boxes) for mode in ("fast", "quality", "fast")]
    assert counts[0] == counts[2] < counts[1]


def test_no_more_than_asked_for() -> None:
    data = data_set(picture(1), picture(2))
    found = propose_all(data, content_hashes(data), most=7)
    assert [len(found.of(row)) for row in range(2)] == [7, 7]


def test_a_broken_image_has_no_boxes_and_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    good = tmp_path / "good.png"
    Image.fromarray(picture(1)).save(good)
    data = data_set(path, good)
    found = propose_all(data, content_hashes(data))
    assert list(found.broken) == [0]
    assert len(found.of(0)) == 0
    np.testing.assert_array_equal(found.of(1), selective_search(picture(1), mode="fast"))


def test_a_turned_photograph_has_boxes_of_its_upright_image(tmp_path: Path) -> None:
    path = tmp_path / "lying.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(1)).save(path, exif=exif)
    data = data_set(path)
    found = propose_all(data, content_hashes(data))
    np.testing.assert_array_equal(found.of(0), selective_search(np.rot90(picture(1), -1), mode="fast"))
    assert found.boxes.max(axis=0)[2:].tolist() == [60, 80]


def test_no_images_no_boxes() -> None:
    data = replace(data_set(), samples=())
    found = propose_all(data, ())
    assert len(found) == 0
    assert np.isnan(found.seconds_per_image)


def test_a_damaged_table_is_begun_anew() -> None:
    data = data_set(picture(1))
    first = propose_all(data, content_hashes(data))
    for table in cache_folder().glob("proposals/*/searched.sqlite"):
        table.write_bytes(b"no database at all" * 100)
    np.testing.assert_array_equal(first.boxes, propose_all(data, content_hashes(data)).boxes)


@pytest.mark.skipif(os.name == "nt", reason="Windows kills otherwise")
def test_a_killed_search_goes_on_where_it_was() -> None:
    # The code is this file's own.
    command = [sys.executable, "-c", ENDLESS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as search:  # noqa: S603
        assert search.stdout is not None
        for _ in range(6):
            assert search.stdout.readline()
        search.send_signal(signal.SIGKILL)
    images = np.random.default_rng(0).integers(0, 256, (500, 6, 8, 3), np.uint8)[:4]
    data = data_set(*images.repeat(10, axis=1).repeat(10, axis=2))
    told: list[int] = []
    found = propose_all(data, content_hashes(data), progress=lambda what, done, total: told.append(done))
    assert told == []
    np.testing.assert_array_equal(found.of(3), selective_search(np.asarray(data.samples[3].image), mode="fast"))
