import shutil
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from faces.cli.terminal import succeeds
from workflow.pictures import class_folders


@pytest.fixture
def flawed(elsewhere):
    """Two splits with a broken file, a file that is in both, and one under two labels."""
    data = elsewhere / "data"
    class_folders(data / "train", {"cat": 6, "dog": 4})
    class_folders(data / "test", {"cat": 3, "dog": 2}, first=20)
    (data / "train" / "cat" / "00.png").write_bytes(b"no image")
    shutil.copy(data / "train" / "cat" / "01.png", data / "test" / "cat" / "leak.png")
    shutil.copy(data / "train" / "cat" / "02.png", data / "train" / "dog" / "conflict.png")
    return data


def test_counts_by_class_and_split_are_a_table(flawed):
    lines = [line.split() for line in succeeds("look", flawed).out.splitlines()]
    head = lines.index(["class", "train", "test", "all"])
    assert lines[head + 1 : head + 4] == [["cat", "6", "4", "10"], ["dog", "5", "2", "7"], ["images", "11", "6", "17"]]


def test_faults_are_named(flawed):
    out = succeeds("look", flawed).out
    assert "broken: 1\n  train/cat/00.png: " in out
    assert "the same file several times: 2 groups" in out
    assert (
        "copies with different labels: 1 groups\n  train/cat/02.png (cat, train) = train/dog/conflict.png (dog, train)"
        in out
    )
    assert "leaks: copies in more than one split: 1 groups" in out
    advice = [line for line in out.splitlines() if line.startswith("* ")]
    assert "1 file cannot be used" in " ".join(advice)


def test_sizes_and_statistics_are_those_of_the_pixels(elsewhere):
    for number, value in enumerate((0, 51, 102, 153)):
        folder = Path("grey") / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20 + number, 40), value, dtype=np.uint8)).save(folder / f"{number}.png")
    out = succeeds("look", "grey").out
    assert "height 20 / 21.5 / 23, width 40 / 40 / 40 pixels" in out
    assert "stored as L (4)" in out
    values = np.array([0, 51, 102, 153]) / 255
    assert f"mean {values.mean():.3f}, standard deviation {values.std():.3f}" in out


def test_json_says_the_same(flawed):
    found = succeeds("look", flawed, "--json").json
    assert found["counts"] == {"cat": {"train": 6, "test": 4}, "dog": {"train": 5, "test": 2}}
    assert [problem["where"] for problem in found["broken"]] == ["train/cat/00.png"]
    assert sorted((copies["leak"], copies["labels_differ"]) for copies in found["copies"]) == [
        (False, True),
        (True, False),
    ]


def test_html_is_a_page_of_its_own(flawed):
    answer = succeeds("look", flawed, "--html", "page.html")
    assert answer.err == "page: page.html\n"
    page = BeautifulSoup(Path("page.html").read_text(), "html.parser")
    assert "conflict.png" in page.get_text()
    assert all(image["src"].startswith("data:") for image in page.find_all("img"))
    assert len(page.find_all("img")) >= 10


def test_a_table_with_rows_without_files_is_looked_at_all_the_same(elsewhere):
    class_folders(elsewhere, {"cat": 3, "dog": 3})
    rows = [f"{name}/{number:02}.png,{name}" for name in ("cat", "dog") for number in range(4)]
    Path("labels.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    out = succeeds("look", "labels.csv").out
    assert "left out: 2" in out
    assert "cat/03.png" in out or "'03.png' is not in cat/" in out
