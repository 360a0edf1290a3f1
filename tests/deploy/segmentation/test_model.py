import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from skimage import data

from convolve.data.decoding import BrokenImage
from convolve.deploy.segmentation.model import SegmentationModel, describe_pixel_network, load_segmentation_model
from convolve.errors import UserError
from convolve.networks.score_maps.building import build_network, build_pixel_network
from convolve.randomness import torch_randomness
from convolve.recipe.schema import Recipe
from convolve.run.tensors import write_tensors
from deploy.segmentation.small_networks import preprocessing

RECIPE = Recipe.model_validate(
    {
        "data": "photos",
        "network": {"name": "patch-net", "options": {"dropout": 0.4}},
        "segment": {"name": "dense", "crop": 33},
    }
)
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def made(channels: int = 3) -> SegmentationModel:
    with torch_randomness(0, "test"):
        network = build_network("patch-net", {}, outputs=3, channels=channels, image_hw=(33, 33))
        pixel_network = build_pixel_network("dense", {}, network, outputs=3, channels=channels, image_hw=(33, 33))
    return SegmentationModel(
        pixel_network,
        describe_pixel_network(pixel_network, RECIPE),
        ("road", "car", "tree"),
        COLOURS,
        preprocessing(channels),
        1.5,
        {"data": "test"},
    )


@pytest.fixture(scope="module")
def model() -> SegmentationModel:
    return made()


@pytest.fixture
def file(model, tmp_path) -> Path:
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_file_says_what_the_model_said_bit_by_bit(model, file):
    pixels = data.astronaut()[:50, :60]
    loaded = load_segmentation_model(file)
    before, after = model.segment(pixels), loaded.segment(pixels)
    assert np.array_equal(before.probabilities, after.probabilities)
    assert np.array_equal(before.labels, after.labels)
    for name in ("classes", "colours", "temperature", "facts", "preprocessing"):
        assert getattr(loaded, name) == getattr(model, name)
    loaded.save(file.with_name("again.safetensors"))
    assert file.with_name("again.safetensors").read_bytes() == file.read_bytes()


def test_five_bands(tmp_path):
    model = made(5)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 45, 5), dtype=np.uint8)
    model.save(tmp_path / "m.safetensors")
    loaded = load_segmentation_model(tmp_path / "m.safetensors")
    assert np.array_equal(model.segment(pixels).probabilities, loaded.segment(pixels).probabilities)


def test_bands_are_taken_from_files_and_from_arrays_that_have_more(model):
    chosen = replace(model, preprocessing=model.preprocessing.model_copy(update={"bands": (4, 2, 1)}))
    pixels = np.random.default_rng(0).integers(0, 256, (30, 30, 5), dtype=np.uint8)
    own = model.segment(np.ascontiguousarray(pixels[..., [3, 1, 0]])).probabilities
    assert np.array_equal(chosen.segment(pixels).probabilities, own)
    assert np.array_equal(chosen.segment(pixels[..., [3, 1, 0]]).probabilities, own)
    with pytest.raises(UserError, match="asks for 4"):
        chosen.segment(pixels[..., :2])


def test_a_file_and_its_pixels_are_segmented_alike(model, tmp_path):
    pixels = data.astronaut()[:40, :50]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(model.segment(tmp_path / "a.png").labels, model.segment(pixels).labels)


def test_passes_and_views_give_spread(model):
    pixels = data.astronaut()[:40, :50]
    plain = model.segment(pixels)
    assert plain.mutual_information is None
    assert plain.deviation is None
    said = model.segment(pixels, passes=4)
    assert said.mutual_information.shape == (40, 50)
    assert said.mutual_information.max() > 0
    assert said.deviation.max() > 0
    assert model.segment(pixels, views="mirror").deviation.max() > 0
    assert not np.array_equal(said.probabilities, model.segment(pixels, passes=4, name="other").probabilities)


def test_where_an_array_has_no_data_there_is_no_class(model):
    valid = np.ones((40, 50), bool)
    valid[5:9, 7:30] = False
    said = model.segment(data.astronaut()[:40, :50], valid=valid)
    assert np.array_equal(said.labels == 255, ~valid)
    assert np.array_equal(said.valid, valid)
    with pytest.raises(BrokenImage, match="valid is"):
        model.segment(data.astronaut()[:41, :50], valid=valid)


def test_patch_by_patch_and_dense_have_the_same_weights(model):
    pixels = data.astronaut()[:20, :24]
    patches = model.with_score_map("patch", {"step": 1})
    np.testing.assert_allclose(patches.segment(pixels).probabilities, model.segment(pixels).probabilities, atol=1e-5)
    back = patches.with_score_map("dense", {})
    assert np.array_equal(back.segment(pixels).probabilities, model.segment(pixels).probabilities)


def test_damaged_files_are_refused_with_words(file, tmp_path):
    tensors = load_file(file)
    with safe_open(file, "pt") as opened:
        label = json.loads(opened.metadata()["convolve"])

    def written(changes: dict[str, object], kept=tensors) -> Path:
        path = tmp_path / "changed.safetensors"
        save_file(kept, path, metadata={"convolve": json.dumps(label | {"card": label["card"] | changes})})
        return path

    assert load_segmentation_model(written({})).classes == ("road", "car", "tree")
    card = label["card"]
    for changes in (
        {"colours": [[1, 2, 3]]},
        {"colours": [[300, 0, 0], *card["colours"][1:]]},
        {"temperature": -1},
        {"temperature": math.inf},
        {"network": card["network"] | {"image_hw": [33, 0]}},
        {"preprocessing": card["preprocessing"] | {"mean": [math.nan] * 3}},
        {"temperature": "warm"},
        {"network": {"name": "patch-net"}},
        {"preprocessing": {}},
        {"facts": 3},
    ):
        with pytest.raises(UserError, match="its description is damaged"):
            load_segmentation_model(written(changes))
    fewer = {name: tensor for name, tensor in tensors.items() if not name.endswith("0.weight")}
    assert len(fewer) < len(tensors)
    with pytest.raises(UserError, match="weights do not fit its network 'patch-net'"):
        load_segmentation_model(written({}, fewer))
    with pytest.raises(UserError, match="unknown network"):
        load_segmentation_model(written({"network": label["card"]["network"] | {"name": "os.system"}}))
    with pytest.raises(UserError, match="there is no such model file"):
        load_segmentation_model(tmp_path / "nothing.safetensors")


def test_a_classifier_is_told_from_it(tmp_path):
    card = {"task": {"name": "classify", "form": "one label", "classes": ["a", "b"]}}
    write_tensors(tmp_path / "m.safetensors", "model", {"w": torch.zeros(1)}, card)
    with pytest.raises(UserError, match="classifies images, not pixels"):
        load_segmentation_model(tmp_path / "m.safetensors")


def test_a_network_of_the_ladder_says_the_same_by_tiles(model):
    pixels = data.astronaut()[:150, :190]
    prediction = model.prediction(passes=0, views="none", tile=100, seed=0)
    plan = prediction.plan((150, 190))
    assert plan.exact
    assert len(plan.rows) > 1
    whole, tiled = model.segment(pixels), model.segment(pixels, tile=100)
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)
