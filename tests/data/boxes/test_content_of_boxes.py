from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convolve.data.content import content_hashes, dataset_fingerprint
from convolve.data.dataset import Box, Boxes, Dataset, Sample

BOX = Box(0, (1.0, 2.0, 3.0, 4.5))


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "kept"))


def fingerprint(*objects: Box, hw: tuple[int, int] = (8, 8)) -> str:
    sample = Sample("a.png", np.zeros((8, 8), np.uint8), Boxes(hw, objects))
    beside = replace(sample, name="b.png", target=Boxes((8, 8), (BOX, Box(1, (0, 0, 8, 8)))))
    dataset = Dataset("data", "boxes", ("fig", "nut"), (sample, beside))
    return dataset_fingerprint(dataset, content_hashes(dataset))


def test_any_change_of_a_box_changes_the_fingerprint() -> None:
    variants = [
        (BOX,),
        (),
        (BOX, BOX),
        (replace(BOX, index=1),),
        (replace(BOX, kind="difficult"),),
        (replace(BOX, kind="crowd"),),
        *((replace(BOX, corners=(*BOX.corners[:n], BOX.corners[n] + 1e-6, *BOX.corners[n + 1 :])),) for n in range(4)),
    ]
    found = [fingerprint(*objects) for objects in variants]
    assert len(set(found)) == len(variants)
    assert found == [fingerprint(*objects) for objects in variants]
    assert fingerprint(BOX, hw=(9, 8)) not in found
