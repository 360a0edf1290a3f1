import re

import numpy as np
import pytest
from PIL import Image

from readme.pages import blocks

BLOCKS = blocks("python")


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    """photos/, dark cats and bright dogs of 16 x 16 pixels, and new/; streets/, half dark, half bright, with masks;
    cells/, a bright square each, with its box."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))
    draw = np.random.default_rng(0)
    for name, level, files in [("photos/cat", 40, 12), ("photos/dog", 200, 12), ("new", 200, 2)]:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for number in range(1, files + 1):
            pixels = draw.integers(level - 30, level + 30, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.jpg")
    for part in ("images", "masks"):
        (tmp_path / "streets" / part).mkdir(parents=True)
    for number in range(1, 13):
        shown = np.zeros((48, 48), np.uint8)
        shown[:, draw.integers(12, 36) :] = 1
        pixels = np.where(shown[..., None], 200, 40) + draw.integers(-30, 30, (48, 48, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "streets" / "images" / f"{number:04}.jpg")
        Image.fromarray(shown).save(tmp_path / "streets" / "masks" / f"{number:04}.png")
    _draw_cells(tmp_path / "cells", draw)
    return tmp_path


def _draw_cells(folder, draw):
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(1, 13):
        pixels = draw.integers(10, 70, (64, 64, 3)).astype(np.uint8)
        left, top, side = draw.integers((2, 2, 16), 30)
        pixels[top : top + side, left : left + side] += 150
        Image.fromarray(pixels).save(folder / "images" / f"{number:04}.jpg")
        label = f"0 {(left + side / 2) / 64} {(top + side / 2) / 64} {side / 64} {side / 64}\n"
        (folder / "labels" / f"{number:04}.txt").write_text(label)
    (folder / "classes.txt").write_text("cell\n")


def test_there_are_python_blocks():
    assert len(BLOCKS) >= 4
    assert any("ImageSegmenter" in block.text for block in BLOCKS)
    assert any("ObjectDetector" in block.text for block in BLOCKS)
    assert any("convolve.explain" in block.text for block in BLOCKS)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page.name}, {len(block.text)} characters")
def test_a_python_block_runs_and_leaves_what_the_readme_promises(block, photographs, capsys):
    exec(compile(block.text, str(block.page), "exec"), {"__name__": "readme"})  # noqa: S102
    printed = capsys.readouterr().out
    if "streets" in block.text:
        _check_maps(block.text, photographs, printed)
    elif "cells" in block.text:
        _check_boxes(block.text, photographs, printed)
    elif "convolve.explain" in block.text:
        _check_explained(photographs, printed)
    elif "convolve.train" in block.text:
        run = photographs / "runs" / "five"
        promised = ["report.html", "model.safetensors", "predictions.csv", "split.csv", "recipe.toml", "results.json"]
        promised += ["history.jsonl", "plan.json", "request.json", "environment.json", "tensorboard"]
        assert [name for name in promised if not (run / name).exists()] == []
        assert printed.split()[0] == "runs/five/report.html"
        assert printed.split()[1::2] == ["dog", "dog"]
    else:
        assert "'cat' 'cat' 'cat'" in printed


def _check_explained(folder, printed):
    page, *answers = printed.splitlines()
    assert (folder / page).is_file()
    assert len(answers) == 2
    for answer in answers:
        whole, lowest = map(
            float,
            re.fullmatch(r"(?:cat|dog) ([01]\.\d\d), with one square covered at least ([01]\.\d\d)", answer).groups(),
        )
        assert 0 <= lowest <= 1
        assert 0.5 <= whole <= 1
    pictures = [path.relative_to(folder / "explained").parts for path in (folder / "explained").glob("*/*.png")]
    assert {(name, file.partition("-")[0]) for name, file in pictures} == {
        (name, instrument) for name in ("1", "2") for instrument in ("grad", "occlusion")
    }


def _check_maps(text, folder, printed):
    if "ImageSegmenter" in text:
        assert "(48, 48) (2, 48, 48)" in printed
        assert 0 <= float(printed.partition("mean IoU ")[2].split(",")[0]) <= 1
        assert (folder / "streets.safetensors").is_file()
    else:
        shapes, doubts = printed.splitlines()
        assert shapes == "(16, 16) (2, 16, 16)"
        entropy, information, deviation = map(float, doubts.split())
        assert 0 <= information <= entropy <= np.log(2) + 1e-6
        assert 0 <= deviation <= 0.5
        assert (folder / "runs" / "streets" / "report.html").is_file()


def _check_boxes(text, folder, printed):
    if "ObjectDetector" in text:
        shapes = re.match(r"\((\d+), 4\) \((\d+),\) \((\d+),\)$", printed.splitlines()[0])
        assert len(set(shapes.groups())) == 1
        assert 0 <= float(printed.partition("mAP@.5 ")[2].split(",")[0]) <= 1
        assert (folder / "cells.safetensors").is_file()
    else:
        counts, best = printed.splitlines()
        every, shown = map(int, re.findall(r"\d+", counts))
        assert 0 <= shown <= every
        probability, corners = re.fullmatch(r"cell ([01]\.\d\d) \[(.+)\]", best).groups()
        assert 0 < float(probability) <= 1
        left, top, right, bottom = map(float, corners.split())
        assert 0 <= left < right <= 64
        assert 0 <= top < bottom <= 64
        assert (folder / "runs" / "cells" / "report.html").is_file()
