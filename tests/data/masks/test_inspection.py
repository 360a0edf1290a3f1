import os
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convolve.data.dataset import Dataset, Mask, MaskCoding, Outline, Outlines, Sample
from convolve.data.masks.findings import recipe_lines
from convolve.data.masks.inspection import inspect_masks
from convolve.data.masks.palette import class_colours
from convolve.data.masks.settling import MaskOptions, settle_masks


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))


def index_coding(classes, ignored=(255,)):
    return MaskCoding("index", tuple((index,) for index in range(classes)), ignored, class_colours(classes))


def dataset(masks, classes=("ground", "tree"), *, splits=None, coding=None):
    generator = np.random.default_rng(0)
    samples = tuple(
        Sample(f"{row}.png", generator.integers(0, 256, (*mask.shape[:2], 3), dtype=np.uint8), Mask(mask), split=split)
        for row, (mask, split) in enumerate(zip(masks, splits or [None] * len(masks), strict=True))
    )
    return Dataset("fields", "arrays", classes, samples, coding=coding or index_coding(len(classes)))


def ground(side=40):
    return np.zeros((side, side), np.uint8)


def advice(found):
    return " ".join(found.advice)


def test_shares_are_of_the_pixels_that_have_a_class_and_images_are_those_that_show_it():
    masks = [ground(), ground(), ground()]
    masks[0][:, :10] = 1
    masks[1][:20] = 255
    masks[2][:10] = 7
    found = inspect_masks(dataset(masks, splits=["train", "train", "test"]))
    tree = found.classes[1]
    assert tree.pixels == {"train": 400, "test": 0}
    assert tree.images == {"train": 1}
    assert tree.share == pytest.approx(400 / (3 * 1600 - 800 - 400))
    assert found.share_in(tree, "train") == pytest.approx(400 / 2400)
    assert found.share_in(tree, "test") == 0
    assert found.ignored_share == pytest.approx(1200 / 4800)
    assert found.undeclared == {"7": pytest.approx(400 / 4800)}
    assert found.undeclared_images == 1
    assert found.pixels == {"train": 3200, "test": 1600}
    assert "Not in the test split: tree" in advice(found)
    assert "1 mask with values that no class has, ignored: 7 (8.33 %)" in advice(found)


def test_regions_touch_at_corners_and_their_narrow_parts_are_told():
    mask = ground(64)
    mask[5:15, 5:15] = 1
    mask[15:25, 15:25] = 1
    mask[40:43, :] = 1
    found = inspect_masks(dataset([mask, mask]))
    tree = found.classes[1]
    assert tree.objects == 4
    assert tree.median_area == 196  # of 200, 192, 200 and 192
    assert tree.narrow_share == pytest.approx(192 / 392)
    assert found.sampled == 2


def test_a_class_of_poles_calls_for_finer_maps():
    mask = ground(64)
    mask[:, 10:13] = 1
    found = inspect_masks(dataset([mask]))
    assert found.classes[1].narrow_share == 1
    assert "Mostly narrower than 8 pixels, one cell of FCN-8s: tree (100 % of it)" in advice(found)


def test_a_rare_class_calls_for_weights_and_sampling():
    mask = ground(100)
    mask[:9, :9] = 1
    words = advice(inspect_masks(dataset([mask])))
    assert "Under 1 % of the pixels: tree (0.81 %); 'ground' has 122 times" in words
    assert "loss.class_weights=median-frequency" in words
    assert "segment.sampling=classes" in words
    assert "Always answering 'ground' is right for 99.2 % of the pixels" in words


def test_what_is_well_needs_no_advice():
    mask = ground(64)
    mask[:32] = 1
    assert inspect_masks(dataset([mask, mask.T])).advice == ()


def test_classification_s_findings_are_not_passed_off_on_masks():
    mask = ground(64)
    mask[:32] = 1
    found = inspect_masks(dataset([mask, mask]))
    assert found.files.counts == {"ground": {"no split": 2}, "tree": {"no split": 2}}
    assert found.files.unlabelled == 0
    assert "label" not in advice(found)


def test_a_class_that_never_occurs_and_an_image_without_any_are_named():
    nothing = np.full((40, 40), 255, np.uint8)
    found = inspect_masks(dataset([ground(), nothing]))
    assert found.all_ignored == ("1.png",)
    assert "In no mask: tree." in advice(found)
    assert "1 image without one pixel that counts, left out: 1.png" in advice(found)


def test_masks_that_do_not_fit_or_cannot_be_read_are_among_the_problems(tmp_path):
    half = ground()
    half[:20] = 1
    Image.fromarray(half[:, :30]).save(tmp_path / "narrow.png")
    (tmp_path / "text.png").write_text("no mask", encoding="utf-8")
    whole = dataset([half, half, half])
    narrow, text = (Mask(tmp_path / name) for name in ("narrow.png", "text.png"))
    first, second, third = whole.samples
    samples = (first, Sample("b", second.image, narrow), Sample("c", third.image, text))
    found = inspect_masks(Dataset("fields", "arrays", whole.classes, samples, coding=whole.coding))
    assert [(one.where, one.what) for one in found.broken] == [
        ("mask of b", "the mask has 30 x 40 pixels and the image 40 x 40"),
        ("mask of c", "it holds text, not an image"),
    ]
    assert found.pixels == {"no split": 1600}
    assert "2 masks cannot be used" in advice(found)


def test_a_broken_image_is_told_once_and_its_mask_counts_nowhere(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG but no more")
    half = ground()
    half[:20] = 1
    sample = Sample("broken.png", tmp_path / "broken.png", Mask(half))
    whole = dataset([half])
    found = inspect_masks(Dataset("fields", "arrays", whole.classes, (*whole.samples, sample), coding=whole.coding))
    assert [one.where for one in found.files.broken] == ["broken.png"]
    assert found.broken == ()
    assert found.pixels == {"no split": 1600}


def test_masks_nobody_looked_at_are_refused():
    unsettled = Dataset("fields", "arrays", ("a", "b"), ())
    with pytest.raises(ValueError, match="not settled"):
        inspect_masks(unsettled)


def test_everything_can_be_written_as_json():
    mask = ground()
    mask[:20] = 1
    plain = inspect_masks(dataset([mask, mask + 7])).as_json()
    assert plain["classes"][1]["name"] == "tree"
    assert plain["undeclared"] == {"7": 0.25, "8": 0.25}


STRIPES = np.repeat(np.array([0, 1, 2, 255], np.uint8), 10)[:, None] * np.ones((1, 40), np.uint8)
CODINGS = {
    "index": (STRIPES, MaskOptions(coding="index", classes=["a", "b", "c"], values=[2, 0, 1])),
    "binary": (np.where(STRIPES == 2, np.uint8(255), np.uint8(0)), MaskOptions(coding="binary", classes=["no", "yes"])),
    "colour": (
        np.stack([STRIPES, STRIPES // 2, STRIPES // 3], axis=2),
        MaskOptions(coding="colour", classes=["a", "b"], values=["#010000", "2,1,0"], ignore=["#ff7f55"]),
    ),
}


@pytest.mark.parametrize("kind", CODINGS)
def test_the_lines_for_the_recipe_settle_the_masks_in_the_same_way(kind):
    mask, options = CODINGS[kind]
    unsettled = dataset([mask], ())
    unsettled = Dataset("fields", "arrays", (), unsettled.samples)
    settled = settle_masks(unsettled, options)
    assert settled.coding is not None
    told = tomllib.loads("\n".join(recipe_lines(settled.coding, settled.classes)))["masks"]
    again = settle_masks(unsettled, MaskOptions(**told))
    assert again.classes == settled.classes
    assert again.coding.values == settled.coding.values
    assert set(again.coding.ignored) == set(settled.coding.ignored)


def test_shapes_need_no_lines_since_their_format_names_the_classes():
    shape = Outline(1, polygons=((5.0, 5.0, 25.0, 5.0, 25.0, 25.0, 5.0, 25.0),))
    image = np.zeros((40, 40, 3), np.uint8)
    samples = (Sample("a", image, Mask(Outlines((40, 40), (shape,)))),)
    found = inspect_masks(Dataset("nuts", "COCO", ("background", "nut"), samples, coding=index_coding(2)))
    assert found.recipe == ()
    assert found.classes[1].objects == 1
    assert found.classes[1].pixels == {"no split": pytest.approx(400, abs=41)}


@pytest.mark.skipif("CONVOLVE_TEST_DATA" not in os.environ, reason="CONVOLVE_TEST_DATA is not set")
def test_camvid_is_as_its_authors_say():
    """Shares of the training pixels from the data set's own notes; void is 3.9 % there."""
    folder = Path(os.environ["CONVOLVE_TEST_DATA"]) / "camvid"
    names = (folder / "classes.txt").read_text(encoding="utf-8").split()
    classes = [name for name in names if not name.isdigit()][:11]
    samples = tuple(
        Sample(image.name, image, Mask(folder / "trainannot" / f"{image.stem}.png"), split="train")
        for image in sorted((folder / "train").glob("*.jpg"))
    )
    found = inspect_masks(Dataset("camvid", "pairs", tuple(classes), samples, coding=index_coding(11, (11,))))
    share = {one.name: 100 * one.share * (1 - found.ignored_share) for one in found.classes}
    assert 100 * found.ignored_share == pytest.approx(3.9, abs=0.05)
    assert share["bicyclist"] == pytest.approx(0.3, abs=0.05)
    assert share["pedestrian"] == pytest.approx(0.6, abs=0.05)
    assert share["pole"] == pytest.approx(1.0, abs=0.05)
    assert found.undeclared == {}
    assert "Mostly narrower than 8 pixels, one cell of FCN-8s: pole" in advice(found)
