import numpy as np
import pytest
from PIL import Image

from readme.pages import blocks

BLOCKS = blocks("python")


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    """photos/, dark cats and bright dogs of 16 x 16 pixels, and new/, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))
    draw = np.random.default_rng(0)
    for name, level, files in [("photos/cat", 40, 12), ("photos/dog", 200, 12), ("new", 200, 2)]:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for number in range(1, files + 1):
            pixels = draw.integers(level - 30, level + 30, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.jpg")
    return tmp_path


def test_there_are_python_blocks():
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page.name}, {len(block.text)} characters")
def test_a_python_block_runs_and_leaves_what_the_readme_promises(block, photographs, capsys):
    exec(compile(block.text, str(block.page), "exec"), {"__name__": "readme"})  # noqa: S102
    printed = capsys.readouterr().out
    if "convolve.train" in block.text:
        run = photographs / "runs" / "five"
        promised = ["report.html", "model.safetensors", "predictions.csv", "split.csv", "recipe.toml", "results.json"]
        promised += ["history.jsonl", "plan.json", "request.json", "environment.json", "tensorboard"]
        assert [name for name in promised if not (run / name).exists()] == []
        assert printed.split()[0] == "runs/five/report.html"
        assert printed.split()[1::2] == ["dog", "dog"]
    else:
        assert "'cat' 'cat' 'cat'" in printed
