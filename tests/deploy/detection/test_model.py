import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from skimage import data

from convolve.data.boxes.selective_search import selective_search
from convolve.data.decoding import BrokenImage
from convolve.deploy.detection import running
from convolve.deploy.detection.model import DetectionModel, load_detection_model
from convolve.deploy.loading import load_any_model
from convolve.deploy.segmentation.model import load_segmentation_model
from convolve.errors import UserError
from convolve.networks.detection.detector import Limits
from convolve.training.compute import Compute
from deploy.detection.small_detectors import CLASSES, real_model, small_model

PIXELS = data.astronaut()[:150, :200]


@pytest.fixture(scope="module")
def model() -> DetectionModel:
    return real_model("faster")


@pytest.fixture
def file(model, tmp_path) -> Path:
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def same(some, others) -> bool:
    return all(np.array_equal(getattr(some, name), getattr(others, name)) for name in some.__dataclass_fields__)


@pytest.mark.parametrize("rung", ["faster", "fast", "onestage", "rcnn"])
def test_a_file_finds_what_the_model_found_bit_by_bit(rung, tmp_path):
    model = real_model(rung)
    model.network.limits = Limits(nms_iou=0.4, soft_nms="linear", min_probability=0.001, max_boxes=7)
    model = replace(model, proposals="quality", threshold=0.25)
    model.save(tmp_path / "m.safetensors")
    loaded = load_any_model(tmp_path / "m.safetensors")
    assert isinstance(loaded, DetectionModel)
    regions = selective_search(PIXELS[:60, :80])[:9] if model.network.takes_regions else None
    before, after = (some.detect(PIXELS, regions=regions) for some in (model, loaded))
    assert len(before.labels) > 0
    assert same(before, after)
    for name in ("architecture", "classes", "preprocessing", "tile", "threshold", "proposals", "facts"):
        assert getattr(loaded, name) == getattr(model, name)
    assert loaded.network.limits == model.network.limits
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "m.safetensors").read_bytes()


def test_margins_of_support_vector_machines_stay_margins(tmp_path):
    model = real_model("fast")
    model.network.classifier_scores = "svm"
    model.save(tmp_path / "m.safetensors")
    assert load_detection_model(tmp_path / "m.safetensors").network.classifier_scores == "svm"


def test_boxes_are_in_pixels_of_the_image_and_in_it(model):
    found = model.detect(PIXELS)
    assert found.corners.dtype == found.probabilities.dtype == np.float64
    assert found.labels.dtype == np.int64
    assert (found.corners >= 0).all()
    assert (found.corners[:, 2:] <= (200, 150)).all()
    assert (found.corners[:, 2:] > found.corners[:, :2]).all()
    assert (np.diff(found.probabilities) <= 0).all()
    some = float(np.median(found.probabilities))
    shown = model.detect(PIXELS, threshold=some)
    assert len(shown.labels) == (found.probabilities >= some).sum() < len(found.labels)


def test_enlarged_images_have_the_same_boxes_enlarged():
    """Scaling is undone: the network sees the same pixels of an image and of one with each pixel four times."""
    model = small_model(256, tile=512)
    image = np.random.default_rng(0).integers(0, 256, (8, 16, 3), np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    found, twice = model.detect(image), model.detect(image.repeat(2, axis=0).repeat(2, axis=1))
    assert len(found.labels) > 5
    # Resizing blurs the pixels at the edges of the squares a little.
    pairs = np.abs(found.corners[:, None] * 2 - twice.corners[None]).max(axis=2).min(axis=1)
    assert np.median(pairs) < 2


def test_a_file_its_pixels_and_a_turned_file_are_seen_alike(model, tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    turned = Image.fromarray(np.rot90(PIXELS))
    exif = turned.getexif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    turned.save(tmp_path / "b.png", exif=exif)
    expected = model.detect(PIXELS)
    assert same(model.detect(tmp_path / "a.png"), expected)
    assert same(model.detect(tmp_path / "b.png"), expected)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(BrokenImage):
        model.detect(tmp_path / "broken.png")


def test_grey_images():
    model = small_model(160, tile=512, channels=1)
    grey = PIXELS[..., 1]
    assert same(model.detect(grey), model.detect(np.repeat(grey[..., None], 3, axis=2)))


@pytest.mark.parametrize("hw", [(1, 1), (1, 300), (5, 7)])
def test_tiny_images(model, hw):
    found = model.detect(np.zeros((*hw, 3), np.uint8))
    assert (found.corners <= np.tile(hw[::-1], 2)).all()


def test_regions_are_searched_for_where_none_are_given():
    model = real_model("fast")
    image = PIXELS[:60, :80]
    searched = model.detect(image)
    assert same(searched, model.detect(image, regions=selective_search(image, mode="fast")))
    none = model.detect(image, regions=np.zeros((0, 4)))
    assert none.corners.shape == (0, 4)
    assert none.labels.shape == none.probabilities.shape == (0,)
    with pytest.raises(ValueError, match="makes its own regions"):
        real_model("faster").detect(image, regions=np.zeros((1, 4)))


@pytest.mark.parametrize("rung", ["faster", "fast", "onestage"])
def test_the_time_is_told_stage_by_stage(rung):
    model, image = real_model(rung), PIXELS[:60, :80]
    told = model.detect_timed(image)
    spent = told.timings
    assert same(told.detections, model.detect(image))
    assert told.seconds["network"] == spent.network
    assert spent.reading > 0
    assert spent.network > 0
    assert spent.suppression > 0
    assert spent.preparing == 0
    assert (spent.proposals > 0) == (rung != "onestage")


@pytest.mark.parametrize("tile", [64, 256])
def test_given_regions_are_told_and_take_no_time(tile):
    given = np.array([[0, 0, 9, 9], [100, 50, 200, 150], [50, 30, 90, 70.5]])
    told = real_model("fast", tile=tile).detect_timed(PIXELS, regions=given)
    assert told.timings.proposals == 0
    assert told.regions.dtype == np.float32
    order = [int(np.abs(told.regions - one).max(axis=1).argmin()) for one in given]
    np.testing.assert_allclose(told.regions[order], given, atol=20 if tile == 64 else 1e-4)


def test_own_proposals_are_told_in_pixels_of_the_image(model):
    regions = model.detect_timed(PIXELS).regions
    assert 0 < len(regions) <= 300
    assert (regions >= 0).all()
    assert (regions[:, 2:] <= (200 + 1e-3, 150 + 1e-3)).all()
    assert regions[:, 2].max() > 150


def test_openvino_takes_over_once_converting_pays(monkeypatch):
    found = small_model(160, tile=512).detect(PIXELS)
    fast = small_model(160, tile=512, compute=Compute(engine="openvino"))
    first = fast.detect_timed(PIXELS)
    assert same(first.detections, found)
    assert first.timings.preparing == 0
    monkeypatch.setattr(running, "_WORTH_CONVERTING", 0)
    told = fast.detect_timed(PIXELS)
    second = told.detections
    assert told.timings.preparing > 0
    assert fast.detect_timed(PIXELS).timings.preparing == 0
    np.testing.assert_allclose(second.probabilities, found.probabilities, atol=1e-4)
    np.testing.assert_allclose(second.corners, found.corners, atol=0.05)


def test_damaged_and_hostile_files_are_refused_with_words(file, tmp_path):
    tensors = load_file(file)
    with safe_open(file, "pt") as opened:
        label = json.loads(opened.metadata()["convolve"])
    card = label["card"]
    path = tmp_path / "changed.safetensors"

    def written(changes: dict[str, object], kept=tensors) -> Path:
        save_file(kept, path, metadata={"convolve": json.dumps(label | {"card": card | changes})})
        return path

    assert load_detection_model(written({})).classes == CLASSES
    network = card["network"]
    for changes in (
        {"tile": 0},
        {"tile": 10**9},
        {"tile": float("inf")},
        {"threshold": float("nan")},
        {"threshold": "high"},
        {"proposals": "other"},
        {"proposals": ["fast"]},
        {"classifier_scores": "other"},
        {"limits": {**card["limits"], "nms_iou": -1}},
        {"limits": {**card["limits"], "max_boxes": 10**12}},
        {"limits": None},
        {"preprocessing": {**card["preprocessing"], "std": [0, 0, 0]}},
        {"preprocessing": {**card["preprocessing"], "side": 10**9}},
        {"preprocessing": 3},
        {"facts": 3},
        {"task": {"name": "detect"}},
        {"network": []},
        {"network": {**network, "image_hw": [0, 5]}},
        {"network": {**network, "image_hw": [10**12, 5]}},
        {"network": {**network, "anchors": {"sizes": [], "ratios": [1]}}},
        {"network": {**network, "anchors": {"sizes": [float("inf")], "ratios": [1]}}},
        {"network": {**network, "anchors": {"sizes": list(range(1, 10_000)), "ratios": [1]}}},
        {"network": {**network, "anchors": {"sizes": [8], "ratios": [-1]}}},
        {"network": {name: value for name, value in network.items() if name != "detector"}},
    ):
        with pytest.raises(UserError, match=r"changed\.safetensors: its description is damaged"):
            load_detection_model(written(changes))
    with pytest.raises(UserError, match="weights do not fit"):
        load_detection_model(written({}, dict(sorted(tensors.items())[1:])))
    with pytest.raises(UserError, match="weights do not fit"):
        load_detection_model(written({"task": {"name": "detect", "classes": ["one", "two", "three"]}}))
    wide = {"name": "faster", "options": {"width": 10**9}}
    with pytest.raises(UserError, match="weights do not fit"):
        load_detection_model(written({"network": {**network, "detector": wide}}))
    with pytest.raises(UserError, match="unknown detector"):
        load_detection_model(written({"network": {**network, "detector": {"name": "os.system", "options": {}}}}))
    with pytest.raises(UserError, match="unknown option"):
        load_detection_model(written({"network": {**network, "detector": {"name": "faster", "options": {"x": 1}}}}))


def test_files_of_other_tasks(file, tmp_path):
    with pytest.raises(UserError):
        load_segmentation_model(file)
    other = tmp_path / "other.safetensors"
    card = {"task": {"name": "classify", "classes": ["a"]}}
    label = {"kind": "model", "version": 1, "card": card}
    save_file({"a": torch.zeros(1)}, other, metadata={"convolve": json.dumps(label)})
    with pytest.raises(UserError, match="finds no objects"):
        load_detection_model(other)
