"""One training on boxes, and every command on it."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import convolve
from faces.cli.terminal import convolve as run_convolve
from faces.cli.terminal import refused, succeeds
from workflow.detect.shapes import CLASSES, FASTER, HW, SPLITS, drawn


def test_a_training_leaves_results_report_predictions_and_a_model(finished):
    results = json.loads((finished / "results.json").read_text())
    test = results["test"]
    assert (results["task"], test["split"], test["n"]) == ("detect", "test", len(SPLITS["test"]))
    assert set(test["per_class"]) == set(CLASSES)
    assert sum(one["objects"] for one in test["per_class"].values()) == 2 * len(SPLITS["test"])
    # Where every object of every image is found, resamples of the images have no spread.
    low, high = test["map50_ci95"] or (1, 1)
    assert 0.5 < test["map50"] <= 1
    assert 0 <= low <= test["map50"] <= high <= 1
    assert 0 < test["map_ci95"][0] <= test["map"] <= test["map_ci95"][1] <= 1
    assert test["map"] <= test["map50"]
    assert "<svg" in (finished / "report.html").read_text() or "<img" in (finished / "report.html").read_text()
    with (finished / "predictions.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) > 0
    assert (finished / "model.safetensors").is_file()


def test_test_says_what_training_said(finished):
    said = succeeds("test", finished, "--json").json
    kept = json.loads((finished / "results.json").read_text())["test"]
    wanted = {"task", "split", "n", "map50", "map50_ci95", "map", "per_class", "proposal_recall", "ms_per_image"}
    assert wanted <= said.keys()
    for name in ("n", "map50", "map", "proposal_recall"):
        assert said[name] == pytest.approx(kept[name], rel=1e-6), name
    assert said["ms_per_image"] > 0


def test_predict_says_the_models_boxes_and_writes_them_for_annotation_tools(finished, shapes, elsewhere):
    images = [shapes / "JPEGImages" / f"{number:02}.png" for number in SPLITS["test"]]
    asked = [word for form in ("coco", "yolo", "voc", "csv") for word in ("--format", form)]
    lines = succeeds("predict", finished, *images, "--json", *asked).out.splitlines()
    model = convolve.load(finished)
    assert len(lines) == len(images)
    count = 0
    for image, line in zip(images, lines, strict=True):
        answer, said = json.loads(line), model.detect(image, threshold=model.threshold)
        assert answer["image"] == str(image)
        assert [one["label"] for one in answer["boxes"]] == [model.classes[label] for label in said.labels]
        given = np.array([one["box"] for one in answer["boxes"]]).reshape(-1, 4)
        np.testing.assert_allclose(given, said.corners, atol=0.06)
        assert (given[:, 2:] <= (HW[1], HW[0])).all()
        count += len(said.labels)
    assert count > 0
    out = elsewhere / "predicted"
    assert len(json.loads((out / "coco.json").read_text())["annotations"]) == count
    with (out / "boxes.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == count
    assert len(list(out.glob("pictures/*.jpg"))) == len(images)
    for place, ending in (("yolo", "txt"), ("voc", "xml")):
        assert len(list((out / place).rglob(f"[0-9]*.{ending}"))) == len(images)


def test_predicted_coco_is_read_again(finished, shapes, elsewhere):
    images = [shapes / "JPEGImages" / f"{number:02}.png" for number in SPLITS["test"]]
    succeeds("predict", finished, *images, "--format", "coco")
    written = json.loads((elsewhere / "predicted" / "coco.json").read_text())
    said = succeeds("predict", finished, *images, "--json").out.splitlines()
    boxes = [one["box"] for line in said for one in json.loads(line)["boxes"]]
    corners = [[x, y, x + width, y + height] for x, y, width, height in (a["bbox"] for a in written["annotations"])]
    np.testing.assert_allclose(sorted(corners), sorted(boxes), atol=0.06)


def test_a_broken_image_is_said_and_an_unknown_format_refused(finished, shapes, elsewhere):
    (elsewhere / "cut.png").write_bytes((shapes / "JPEGImages" / "18.png").read_bytes()[:200])
    answer = run_convolve("predict", finished, "cut.png", shapes / "JPEGImages" / "18.png", "--json")
    first, second = map(json.loads, answer.out.splitlines())
    assert (answer.code, set(first)) == (1, {"image", "error"})
    assert "boxes" in second
    assert "coco" in refused("predict", finished, shapes / "JPEGImages" / "18.png", "--format", "cocoa")


def test_two_runs_are_compared(finished, shapes, elsewhere):
    succeeds("train", shapes, *FASTER, "epochs=1", "seed=1", "--out", "other")
    compared = succeeds("compare", finished, "other", "--json").json
    told = [json.loads((folder / "results.json").read_text()) for folder in (finished, elsewhere / "other")]
    assert [row["map50"] for row in compared["runs"]] == [one["test"]["map50"] for one in told]
    assert "F1" in compared["tests"][0]["words"]
    shown = succeeds("compare", finished, "other").out
    assert f"{told[0]['test']['map50']:.2%}" in shown


def test_look_counts_the_boxes(shapes, elsewhere):
    said = succeeds("look", shapes, "--json").json
    objects = 2 * sum(map(len, SPLITS.values()))
    assert str(objects) in json.dumps(said)
    succeeds("look", shapes, "--html", "look.html")
    assert "disc" in (elsewhere / "look.html").read_text()


def test_images_without_their_own_size_are_seen_whole(finished):
    model = convolve.load(finished)
    for hw in ((1, 1), (7, 90), (200, 70)):
        pixels = np.zeros((*hw, 3), np.uint8)
        found = model.detect(pixels)
        assert (found.corners >= 0).all()
        assert (found.corners <= (hw[1], hw[0]) * 2).all()


def test_a_drawn_object_is_found_where_it_was_drawn(finished, tmp_path):
    pixels, boxes, labels = drawn(100)
    Image.fromarray(pixels).save(tmp_path / "new.png")
    found = convolve.load(finished).detect(tmp_path / "new.png")
    for box, label in zip(boxes, labels, strict=True):
        mine = found.corners[found.labels == label]
        low, high = np.maximum(mine[:, :2], box[:2]), np.minimum(mine[:, 2:], box[2:])
        shared = (high - low).clip(0).prod(axis=1)
        areas = (mine[:, 2:] - mine[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
        assert (shared / (areas - shared)).max() > 0.5
