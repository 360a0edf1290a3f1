import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from scipy.special import entr, softmax
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score

from convolve.data.dataset import IGNORE
from convolve.tasks.segment.results import results
from convolve.tasks.segment.tally import tally_image

K = 4
CLASSES = ("sky", "road", "tree", "car")
HW = (24, 32)


def logits_of(truth, seed, classes=K):
    """Logits that a mask was drawn from, more certain where it is far from a border."""
    generator = np.random.default_rng(seed)
    likely = np.stack([ndimage.gaussian_filter((truth == index).astype(float), 2) for index in range(classes)])
    return 5 * likely + generator.normal(scale=1, size=likely.shape)


def pictures(images=8, classes=K):
    """(probabilities, mask) of squares of one class, the top row ignored."""
    for seed in range(images):
        generator = np.random.default_rng(seed)
        mask = generator.integers(0, classes, (HW[0] // 8, HW[1] // 8)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        probabilities = softmax(logits_of(mask, seed, classes), axis=0).astype(np.float32)
        mask[0] = IGNORE
        yield probabilities, mask


def tallies_of(pairs):
    return [tally_image(one, mask, entropy=entr(one).sum(axis=0)) for one, mask in pairs]


def flat(pairs):
    truth = np.concatenate([mask[mask != IGNORE] for _, mask in pairs])
    return truth, np.concatenate([one.argmax(axis=0)[mask != IGNORE] for one, mask in pairs])


def told(pairs, *, groups=None, classes=CLASSES):
    found = results(tallies_of(pairs), classes, names=[f"{n}.png" for n in range(len(pairs))], groups=groups)
    # None in place of what JSON does not know.
    json.dumps(found, allow_nan=False)
    return found


@pytest.fixture(scope="module")
def pairs():
    return list(pictures())


@pytest.fixture(scope="module")
def found(pairs):
    return told(pairs)


def test_figures_are_scikit_learns_over_all_pixels_together(pairs, found):
    truth, called = flat(pairs)
    assert (found["n"], found["groups"], found["pixels"], found["ignored_pixels"]) == (8, None, 8 * 23 * 32, 8 * 32)
    assert found["confusion"] == confusion_matrix(truth, called).tolist()
    assert found["pixel_accuracy"] == pytest.approx(accuracy_score(truth, called))
    assert found["mean_iou"] == pytest.approx(jaccard_score(truth, called, average="macro"))
    assert found["frequency_weighted_iou"] == pytest.approx(jaccard_score(truth, called, average="weighted"))
    rows = found["per_class"]
    assert [row["class"] for row in rows] == list(CLASSES)
    assert [row["iou"] for row in rows] == pytest.approx(jaccard_score(truth, called, average=None))
    assert [row["f1"] for row in rows] == pytest.approx(f1_score(truth, called, average=None))
    assert [row["pixels"] for row in rows] == np.bincount(truth).tolist()
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert [row["images"] for row in rows] == [sum((mask == index).any() for _, mask in pairs) for index in range(K)]


def test_the_mean_over_images_is_another_number(pairs, found):
    own = [jaccard_score(*flat([pair]), average="macro") for pair in pairs]
    assert [row["mean_iou"] for row in found["per_image"]] == pytest.approx(own)
    assert found["mean_image_iou"] == pytest.approx(np.mean(own))
    assert found["mean_image_iou"] != found["mean_iou"]
    assert [row["name"] for row in found["per_image"]] == [f"{n}.png" for n in range(8)]
    assert [row["pixel_accuracy"] for row in found["per_image"]] == pytest.approx(
        [accuracy_score(*flat([pair])) for pair in pairs]
    )


def test_the_interval_is_that_of_drawing_images_again(pairs, found):
    generator = np.random.default_rng(1)
    drawn = [
        jaccard_score(*flat([pairs[row] for row in generator.integers(0, len(pairs), len(pairs))]), average="macro")
        for _ in range(400)
    ]
    assert found["mean_iou_ci95"] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.01)
    assert found["mean_iou_ci95_method"] == "percentile bootstrap over 8 images, 2,000 resamples"


def test_a_class_interval_is_that_of_drawing_images_again(pairs, found):
    generator = np.random.default_rng(1)
    with_car = [pair for pair in pairs if (flat([pair])[0] == 3).any() or (flat([pair])[1] == 3).any()]
    drawn = [
        jaccard_score(
            *flat([with_car[row] for row in generator.integers(0, len(with_car), len(with_car))]),
            average=None,
            labels=[3],
        )[0]
        for _ in range(400)
    ]
    assert found["per_class"][3]["iou_ci95"] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.015)


def test_intervals_hold_their_figures_and_repeat(pairs, found):
    for low, value, high in [
        (*found["pixel_accuracy_ci95"][:1], found["pixel_accuracy"], *found["pixel_accuracy_ci95"][1:]),
        *((row["iou_ci95"][0], row["iou"], row["iou_ci95"][1]) for row in found["per_class"]),
    ]:
        assert 0 <= low < value < high <= 1
    assert told(pairs) == found


def test_images_of_one_group_count_as_one(pairs, found):
    """A panorama of two images gives the intervals of a group of these two, which are wider than those of images."""
    grouped = told(pairs, groups=[str(n // 2) for n in range(8)])
    joined = told(
        [
            tuple(np.concatenate(both, axis=-1) for both in zip(one, other, strict=True))
            for one, other in zip(pairs[::2], pairs[1::2], strict=True)
        ]
    )
    assert (grouped["n"], grouped["groups"], joined["n"]) == (8, 4, 4)
    for name in ("mean_iou", "mean_iou_ci95", "pixel_accuracy_ci95"):
        assert grouped[name] == joined[name]
    assert [row["iou_ci95"] for row in grouped["per_class"]] == [row["iou_ci95"] for row in joined["per_class"]]
    assert [row["images"] for row in grouped["per_class"]] == [row["images"] for row in found["per_class"]]
    assert "4 groups" in grouped["mean_iou_ci95_method"]


def test_a_rare_class_is_as_sure_as_the_images_that_show_it():
    """In 2 of 40 images, where its IoU is 1/2 and 3/4: a resample without it says nothing of it."""
    hot = np.eye(K, dtype=np.float32)
    sky = np.zeros((1, 8), np.uint8)
    pairs = [(hot[sky].transpose(2, 0, 1), sky)] * 38
    for found_of_it in (2, 3):
        mask = np.array([[3, 3, 3, 3, 0, 0, 0, 0]], np.uint8)
        called = np.where(np.arange(8) < found_of_it, 3, 0)[None]
        pairs.append((hot[called].transpose(2, 0, 1), mask))
    assert told(pairs)["per_class"][3]["iou_ci95"] == [0.5, 0.75]


def test_one_image_has_no_interval(pairs):
    found = told(pairs[:1])
    assert (found["mean_iou_ci95"], found["pixel_accuracy_ci95"]) == (None, None)
    assert found["mean_iou_ci95_method"].startswith("no interval")


def test_what_is_right_everywhere_claims_no_certainty():
    perfect = [
        (np.eye(K, dtype=np.float32)[np.where(mask == IGNORE, 0, mask)].transpose(2, 0, 1), mask)
        for _, mask in pictures()
    ]
    found = told(perfect)
    assert (found["mean_iou"], found["pixel_accuracy"], found["mean_accuracy"], found["nll"]) == (1, 1, 1, 0)
    assert (found["mean_iou_ci95"], found["auroc"], found["calibration_error"]) == (None, None, 0)
    assert [row["errors"] for row in found["least_certain"]] == [None] * 4


def drawn_pictures():
    """Masks drawn from their probabilities, pixel by pixel."""
    generator = np.random.default_rng(0)
    for _ in range(4):
        logits = generator.normal(scale=2, size=(K, 150, 150))
        mask = (logits + generator.gumbel(size=logits.shape)).argmax(axis=0).astype(np.uint8)
        yield softmax(logits, axis=0).astype(np.float32), mask


def test_probabilities_that_a_truth_is_drawn_from_are_calibrated_and_know_where_they_are_wrong():
    pairs = list(drawn_pictures())
    found = told(pairs)
    assert found["calibration_error"] < 0.01
    assert max(found["calibration_error_per_class"].values()) < 0.02
    assert found["nll"] == pytest.approx(np.mean([entr(one).sum(axis=0).mean() for one, _ in pairs]), rel=0.02)
    kept = [row["accuracy"] for row in found["retained"]]
    assert [row["share"] for row in found["retained"]] == pytest.approx(np.arange(20, 0, -1) / 20)
    assert (np.diff(kept) > -2e-3).all()
    assert kept[0] == pytest.approx(found["pixel_accuracy"])
    assert [row["errors"] > 1.4 * row["share"] for row in found["least_certain"]] == [True] * 4
    assert 0.7 < found["auroc"] < 1


def test_overconfidence_shows():
    sharper = [(softmax(3 * np.log(one), axis=0), mask) for one, mask in drawn_pictures()]
    found = told(sharper)
    assert found["calibration_error"] > 0.1
    assert all(point["accuracy"] < point["confidence"] for point in found["reliability"])


def test_a_class_that_is_nowhere_has_none_and_a_note():
    mask = np.repeat(np.array([[0, 1]], np.uint8), 4, axis=1)
    hot = np.eye(K, dtype=np.float32)
    pairs = [(hot[np.array([[0, 0, 0, 0, 1, 1, 1, 2]])].transpose(2, 0, 1), mask)] * 3
    found = told(pairs)
    sky, road, tree, car = found["per_class"]
    assert (sky["iou"], sky["note"]) == (1, "")
    assert (road["iou"], road["precision"], road["recall"]) == (0.75, 1, 0.75)
    assert (tree["iou"], tree["recall"], tree["pixels"], tree["note"]) == (0, None, 0, "does not occur")
    assert (car["iou"], car["f1"], car["iou_ci95"], car["note"]) == (
        None,
        None,
        None,
        "does not occur, never predicted",
    )
    assert found["mean_iou"] == pytest.approx((1 + 0.75 + 0) / 3)
    assert found["calibration_error_per_class"]["car"] is None


def test_nothing_counted_is_none_not_0():
    pairs = [(one, np.full_like(mask, IGNORE)) for one, mask in pictures(2)]
    found = told(pairs)
    for name in ("pixel_accuracy", "mean_iou", "mean_accuracy", "nll", "brier", "calibration_error", "mean_image_iou"):
        assert found[name] is None
    assert found["ignored_pixels"] == 2 * HW[0] * HW[1]
    assert found["reliability"] == []


def test_many_classes_stay_small():
    """254 classes, the most a mask can have: the bootstrap must not keep a matrix for every resample."""
    pairs = list(pictures(2, classes=254))
    tallies = tallies_of(pairs)
    tracemalloc.start()
    results(tallies, [str(n) for n in range(254)], names=["a", "b"], groups=None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


@pytest.mark.skipif("CONVOLVE_TEST_DATA" not in os.environ, reason="CONVOLVE_TEST_DATA names no folder of data sets")
def test_real_masks_score_as_scikit_learn_says():
    """CamVid; a prediction is the mask moved by some pixels, as if the camera had turned."""
    masks = sorted(Path(os.environ["CONVOLVE_TEST_DATA"], "camvid", "testannot").glob("*.png"))[::60]
    pairs = []
    for seed, path in enumerate(masks):
        mask = np.asarray(Image.open(path))
        void = mask == 11
        moved = ndimage.shift(np.where(void, 0, mask), (3, 5), order=0, mode="nearest")
        probabilities = softmax(logits_of(moved, seed, 11), axis=0).astype(np.float32)
        pairs.append((probabilities, np.where(void, IGNORE, mask).astype(np.uint8)))
    assert len(pairs) == 4
    found = told(pairs, classes=[str(index) for index in range(11)])
    truth, called = flat(pairs)
    there = np.union1d(truth, called)
    assert len(there) > 8
    expected = dict.fromkeys(range(11)) | dict(zip(there, jaccard_score(truth, called, average=None), strict=True))
    assert [row["iou"] for row in found["per_class"]] == pytest.approx([expected[index] for index in range(11)])
    assert found["mean_iou"] == pytest.approx(jaccard_score(truth, called, average="macro"))
    assert found["confusion"] == confusion_matrix(truth, called, labels=range(11)).tolist()
    assert found["ignored_pixels"] > 0
