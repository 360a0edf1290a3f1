"""The files that `convolve predict` leaves, against what the model says in Python."""

import json

import numpy as np
import pytest
from PIL import Image

import convolve
from faces.cli.terminal import convolve as run_convolve
from faces.cli.terminal import refused, succeeds
from workflow.segment.scenes import CLASSES, HW, SPLITS, drawn


@pytest.fixture(scope="module")
def model(finished):
    return convolve.load(finished)


def read(path):
    return np.array(Image.open(path))


def test_label_files_are_the_models_labels_in_the_classes_colours(finished, scenes, elsewhere, model):
    images = scenes / "test" / "images"
    lines = succeeds("predict", finished, images, "--json").out.splitlines()
    assert len(lines) == len(SPLITS["test"])
    for line in lines:
        answer = json.loads(line)
        labels = model.segment(images / answer["image"].rsplit("/", 1)[1]).labels
        with Image.open(answer["labels_file"]) as file:
            assert file.mode == "P"
            np.testing.assert_array_equal(np.array(file), labels)
            np.testing.assert_array_equal(np.array(file.convert("RGB")), np.array(model.colours, np.uint8)[labels])
        shares = [answer["shares"].get(name, 0) for name in CLASSES]
        np.testing.assert_allclose(shares, np.bincount(labels.ravel(), minlength=3) / labels.size, atol=1e-6)
    assert sorted(path.name for path in (elsewhere / "predicted").iterdir()) == ["labels", "overlays"]


def test_passes_with_dropout_give_the_same_files_twice_and_maps_of_what_they_disagree_on(
    finished, scenes, elsewhere, model
):
    image = scenes / "test" / "images" / f"{SPLITS['test'][0]:02}.png"
    asked = ("predict", finished, image, "--passes", 4, "--uncertainty", "--probabilities", "--out")
    for out in ("one", "two"):
        succeeds(*asked, out)
    kinds = {"labels": "png", "overlays": "png", "uncertainty": "png", "disagreement": "png", "probabilities": "npz"}
    files = {kind: f"{kind}/{image.stem}.{ending}" for kind, ending in kinds.items()}
    assert {path.relative_to(elsewhere / "one").as_posix() for path in (elsewhere / "one").glob("*/*")} == {
        *files.values()
    }
    assert all(
        (elsewhere / "one" / file).read_bytes() == (elsewhere / "two" / file).read_bytes() for file in files.values()
    )
    said, once = model.segment(image, passes=4), model.segment(image)
    np.testing.assert_array_equal(read(elsewhere / "one" / files["labels"]), said.labels)
    saved = np.load(elsewhere / "one" / files["probabilities"])
    assert saved["classes"].tolist() == list(CLASSES)
    np.testing.assert_allclose(saved["probabilities"], said.probabilities, atol=1e-3)
    assert np.abs(said.probabilities - once.probabilities).max() > 1e-3
    for kind, nats in (("uncertainty", said.entropy), ("disagreement", said.mutual_information)):
        np.testing.assert_allclose(read(elsewhere / "one" / files[kind]) / 255, nats / np.log(3), atol=0.51 / 255)
    assert (said.mutual_information <= said.entropy + 1e-5).all()


def test_views_are_averaged(finished, scenes, elsewhere, model):
    image = scenes / "test" / "images" / f"{SPLITS['test'][0]:02}.png"
    succeeds("predict", finished, image, "--views", "flips")
    said = model.segment(image, views="flips")
    np.testing.assert_array_equal(read(elsewhere / "predicted" / "labels" / image.name), said.labels)


def test_a_broken_image_is_said_and_the_others_are_predicted(finished, scenes, elsewhere):
    good = scenes / "test" / "images" / f"{SPLITS['test'][0]:02}.png"
    (elsewhere / "cut.png").write_bytes(good.read_bytes()[:200])
    answer = run_convolve("predict", finished, "cut.png", good, "--json")
    assert answer.code == 1
    first, second = map(json.loads, answer.out.splitlines())
    assert first.keys() == {"image", "error"}
    assert "shares" in second


def test_what_makes_no_sense_for_masks_is_refused(finished, scenes):
    image = scenes / "test" / "images" / f"{SPLITS['test'][0]:02}.png"
    assert "--csv" in refused("predict", finished, image, "--csv")
    assert "flips" in refused("predict", finished, image, "--views", "flip")


def test_a_geotiff_gives_geotiffs_that_lie_where_it_lies(finished, elsewhere, model):
    rasterio = pytest.importorskip("rasterio")
    affine = pytest.importorskip("affine")
    pixels, _ = drawn(30, hw=(150, 170))
    place = {"crs": "EPSG:32633", "transform": affine.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)}
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": 150, "width": 170}
    with rasterio.open("scene.tif", "w", **profile, **place) as file:
        file.write(np.moveaxis(pixels, 2, 0))
    answer = json.loads(succeeds("predict", finished, "scene.tif", "--uncertainty", "--passes", 2, "--json").out)
    said = model.segment(elsewhere / "scene.tif", passes=2)
    with rasterio.open(answer["labels_file"]) as file:
        assert (file.crs, file.transform) == (rasterio.CRS.from_epsg(32633), place["transform"])
        np.testing.assert_array_equal(file.read(1), said.labels)
    with rasterio.open("predicted/uncertainty/scene.tif") as file:
        assert file.transform == place["transform"]
        np.testing.assert_allclose(file.read(1), said.entropy, atol=1e-2)
    assert (elsewhere / "predicted" / "disagreement" / "scene.tif").exists()


def test_images_of_any_size_get_maps_of_their_size(finished, elsewhere, model):
    for hw in (HW, (9, 7), (1, 1), (131, 40)):
        pixels, _ = drawn(31, hw=(max(hw[0], 40), max(hw[1], 40)))
        labels = model.segment(np.ascontiguousarray(pixels[: hw[0], : hw[1]])).labels
        assert labels.shape == hw
