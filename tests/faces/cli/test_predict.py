import csv
import io
import json

import pytest

from faces.cli.terminal import convolve, succeeds
from workflow.pictures import picture


def test_one_object_a_line_and_failures_stop_nobody(run, tmp_path):
    good = [picture(tmp_path / f"{number}.png", number, 90 + number) for number in (0, 1)]
    broken, text = tmp_path / "broken.png", tmp_path / "notes.txt"
    broken.write_bytes(good[0].read_bytes()[:100])
    text.write_text("no image")
    images = [good[0], tmp_path / "gone.png", broken, text, good[1]]
    answer = convolve("predict", run, *images, "--json")
    assert answer.code == 1
    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert [line["image"] for line in lines] == [str(image) for image in images]
    assert [line.keys() for line in lines[1:4]] == [{"image", "error"}] * 3
    for line, label in zip((lines[0], lines[4]), ("cat", "dog"), strict=True):
        assert line.keys() == {"image", "label", "probability", "probabilities"}
        assert line["label"] == label
        assert line["probabilities"][label] == line["probability"] == max(line["probabilities"].values())
        assert sum(line["probabilities"].values()) == pytest.approx(1)


def test_people_get_failures_on_stderr(run, animals, tmp_path):
    answer = convolve("predict", run, tmp_path / "gone.png", animals / "cat" / "00.png")
    assert answer.code == 1
    assert answer.err == f"{tmp_path / 'gone.png'}: there is no such file\n"
    assert answer.out.startswith(f"{animals / 'cat' / '00.png'}: cat (")


def test_a_folder_stands_for_the_images_in_it(run, animals):
    answer = succeeds("predict", run, animals, "--csv")
    rows = list(csv.DictReader(io.StringIO(answer.out)))
    assert [row["image"] for row in rows] == sorted(str(path) for path in animals.rglob("*.png"))
    assert all(float(row["cat"]) + float(row["dog"]) == pytest.approx(1, abs=2e-6) for row in rows)


def test_the_model_file_alone_predicts_the_same(run, animals):
    image = animals / "dog" / "07.png"
    assert succeeds("predict", run / "model.safetensors", image).out == succeeds("predict", run, image).out
