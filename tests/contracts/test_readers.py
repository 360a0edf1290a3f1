"""What every reader owes: it knows its own format and no other, and reads it alike everywhere."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from convolve.data.dataset import Boxes, Note, labels_of
from convolve.data.decoding import decode
from convolve.data.masks.settling import MaskOptions, settle_masks
from convolve.data.reading import READERS, BoxReader, read_dataset
from convolve.errors import UserError

NAMES = list(READERS)
BOX_NAMES = [name for name in NAMES if isinstance(READERS[name], BoxReader)]

LISTING = """
import json, sys
from convolve.data.reading import read_dataset
print(json.dumps([
    [[sample.name, str(sample.target), str(sample.split)] for sample in read_dataset(source).samples]
    for source in sys.argv[1:]
]))
"""


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "kept"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "example").mkdir()
    return tmp_path / "example"


def test_there_are_readers() -> None:
    assert len(NAMES) >= 6
    assert len(BOX_NAMES) == 4


@pytest.mark.parametrize("name", NAMES)
def test_it_alone_recognises_its_example(name: str, folder: Path) -> None:
    source = READERS[name].write_example(folder)
    assert [other for other in NAMES if READERS[other].recognise(source)] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_its_example_is_a_whole_data_set(name: str, folder: Path) -> None:
    dataset = read_dataset(READERS[name].write_example(folder))
    names = [sample.name for sample in dataset.samples]
    assert len(set(names)) == len(names) >= 2
    assert not any("\\" in sample_name for sample_name in names)
    assert all(isinstance(problem, Note) for problem in dataset.problems)
    if dataset.has_masks:  # which classes there are is in the masks' values
        dataset = settle_masks(dataset, MaskOptions())
    else:
        carried = {label for sample in dataset.samples for label in labels_of(sample)}
        assert carried == set(range(len(dataset.classes)))
    assert len(set(dataset.classes)) == len(dataset.classes) >= 2
    for sample in dataset.samples[:20]:
        pixels = decode(sample.image, channels=1)
        assert (pixels.dtype, pixels.ndim) == (np.uint8, 3)
        if isinstance(sample.target, Boxes):
            assert sample.target.hw == pixels.shape[:2]
            for left, top, right, bottom in (box.corners for box in sample.target.objects):
                assert 0 <= left < right <= pixels.shape[1]
                assert 0 <= top < bottom <= pixels.shape[0]


@pytest.mark.parametrize("name", BOX_NAMES)
def test_its_boxes_are_what_a_detector_reads(name: str, folder: Path) -> None:
    source = READERS[name].write_example(folder)
    assert [other for other in BOX_NAMES if READERS[other].holds_boxes(source)] == [name]
    assert read_dataset(source, task="detect") == read_dataset(source)


def test_another_process_reads_the_same_order(folder: Path) -> None:
    sources = []
    for name in NAMES:
        (folder / name).mkdir()
        sources.append(READERS[name].write_example(folder / name))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "77"}
    command = [sys.executable, "-c", LISTING, *sources]
    listing = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout  # noqa: S603
    for source, there in zip(sources, json.loads(listing), strict=True):
        here = [[sample.name, str(sample.target), str(sample.split)] for sample in read_dataset(source).samples]
        assert there == here


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_copy_is_read_or_answered_in_words(name: str, folder: Path) -> None:
    """Each file of the example in turn is emptied, cut in half, or overwritten with zeros or noise."""
    noise = np.random.default_rng(0).bytes(300)
    source = READERS[name].write_example(folder)
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        whole = path.read_bytes()
        for hostile in (b"", whole[: len(whole) // 2], bytes(300), noise, whole[:60] + noise):
            path.write_bytes(hostile)
            # Damage within an image is the decoder's to find, so there may be no error; any other is a fault of ours.
            with contextlib.suppress(UserError):
                read_dataset(source)
        path.write_bytes(whole)
