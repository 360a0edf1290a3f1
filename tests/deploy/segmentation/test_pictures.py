import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from convolve.deploy.segmentation.maps import Segmentation
from convolve.deploy.segmentation.pictures import distinct_stems, picture_of, write_prediction
from convolve.deploy.segmentation.summary import prediction_summary, summarise
from convolve.errors import UserError
from deploy.segmentation.small_networks import preprocessing

CLASSES, COLOURS = ("road", "car", "tree"), ((255, 0, 0), (0, 255, 0), (0, 0, 250))


def segmentation(h: int = 12, w: int = 15) -> Segmentation:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), (h, w)).transpose(2, 0, 1).astype(np.float32)
    labels = probabilities.argmax(0).astype(np.uint8)
    valid = np.ones((h, w), bool)
    valid[0, :5] = False
    labels[~valid] = 255
    probabilities[:, ~valid] = np.nan
    entropy = -(probabilities * np.log(probabilities)).sum(0)
    return Segmentation(labels, probabilities, entropy, entropy / 2, entropy / 4, valid)


def test_what_is_written_is_what_was_predicted(tmp_path):
    said, image = segmentation(), data.astronaut()[:12, :15]
    files = write_prediction(tmp_path, "a b", image, said, CLASSES, COLOURS, probabilities=True, uncertainty=True)
    assert {name: str(path.relative_to(tmp_path)) for name, path in files.items()} == {
        "labels": "labels/a b.png",
        "overlay": "overlays/a b.png",
        "uncertainty": "uncertainty/a b.png",
        "disagreement": "disagreement/a b.png",
        "probabilities": "probabilities/a b.npz",
    }
    with Image.open(files["labels"]) as labels:
        assert labels.mode == "P"
        assert np.array_equal(np.asarray(labels), said.labels)
        assert labels.getpalette()[:9] == [255, 0, 0, 0, 255, 0, 0, 0, 250]
    with Image.open(files["overlay"]) as overlay:
        mixed = (image[5, 5].astype(float) + COLOURS[said.labels[5, 5]]) / 2
        np.testing.assert_allclose(np.asarray(overlay)[5, 5], mixed, atol=0.5)
    for name, nats in (("uncertainty", said.entropy), ("disagreement", said.mutual_information)):
        with Image.open(files[name]) as grey:
            assert grey.mode == "L"
            np.testing.assert_allclose(np.asarray(grey)[said.valid] / 255 * np.log(3), nats[said.valid], atol=0.003)
            assert (np.asarray(grey)[~said.valid] == 255).all()
    with np.load(files["probabilities"]) as stored:
        np.testing.assert_allclose(stored["probabilities"], said.probabilities, atol=1e-3)
        assert stored["classes"].tolist() == list(CLASSES)


def test_the_same_prediction_is_the_same_bytes(tmp_path):
    parts = (data.astronaut()[:12, :15], segmentation(), CLASSES, COLOURS)
    first, second = (
        write_prediction(tmp_path / name, "a", *parts, probabilities=True, uncertainty=True) for name in "xy"
    )
    assert [path.read_bytes() for path in first.values()] == [path.read_bytes() for path in second.values()]


@pytest.mark.parametrize("stem", ["../a", "a/b", "", ".", "..", "/etc/a", "a\\b", "a\0b", "C:x"])
def test_no_name_leaves_the_folder(tmp_path, stem):
    with pytest.raises(ValueError, match="no plain file name"):
        write_prediction(tmp_path, stem, data.astronaut()[:12, :15], segmentation(), CLASSES, COLOURS)


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "labels").write_text("mine")
    with pytest.raises(UserError, match="labels: cannot be made"):
        write_prediction(tmp_path, "a", data.astronaut()[:12, :15], segmentation(), CLASSES, COLOURS)


@given(names=st.lists(st.text(max_size=12) | st.sampled_from(["a.png", "A.tif", "x/a.jpg", "a-2.png", "../..", "CON"])))
def test_every_image_has_a_plain_name_of_its_own(names):
    stems = distinct_stems(names)
    assert len({stem.casefold() for stem in stems}) == len(names)
    assert all(stem.strip(" .") == stem and not set(stem) & set('/\\:*?"<>|\0\n') for stem in stems)
    assert distinct_stems(stems) == stems


def test_a_stem_alone_of_its_kind_is_kept_so_that_labels_pair_with_images():
    assert distinct_stems(["x/0016E5_07959.png", "tile 1.png", "Ärger.tif"]) == ["0016E5_07959", "tile 1", "Ärger"]


def test_long_names_that_begin_alike_are_plain_names_too():
    stems = distinct_stems([f"{folder}/{200 * 'x'}.tif" for folder in range(12)])
    assert len(set(stems)) == 12
    assert distinct_stems(stems) == stems


def test_pictures_of_many_bands_and_bits():
    photo = data.astronaut()[:6, :7]
    assert np.array_equal(picture_of(photo, preprocessing()), photo)
    bands = np.array([[[0, 5000, 10_000, 7, 20_000]]], np.uint16)
    assert picture_of(bands, preprocessing(5, high=10_000)).tolist() == [[[0, 128, 255]]]
    assert picture_of(np.array([[[2500.0, np.nan]]]), preprocessing(2, high=10_000)).tolist() == [[[64, 64, 64]]]


def test_a_summary_counts_pixels_with_data(tmp_path):
    said = segmentation()
    told = prediction_summary("a.png", summarise(said, 3), CLASSES, {"labels": tmp_path / "a.png"})
    assert told["labels_file"] == str(tmp_path / "a.png")
    assert sum(told["shares"].values()) == pytest.approx(1)
    assert told["shares"]["car"] == np.count_nonzero(said.labels == 1) / 175
    assert list(told["shares"].values()) == sorted(told["shares"].values(), reverse=True)
    assert told["mean_entropy"] == pytest.approx(said.entropy[said.valid].mean(), rel=1e-5)
    assert told["mean_mutual_information"] == pytest.approx(told["mean_entropy"] / 2, rel=1e-5)
    assert told["no_data"] == pytest.approx(5 / 180)


def test_summaries_of_parts_add_up():
    said = segmentation()

    def rows(part: slice) -> Segmentation:
        return Segmentation(
            said.labels[part], said.probabilities[:, part], said.entropy[part], None, None, said.valid[part]
        )

    total = summarise(rows(slice(0, 5)), 3) + summarise(rows(slice(5, None)), 3)
    whole = summarise(rows(slice(None)), 3)
    assert total.pixels.tolist() == whole.pixels.tolist()
    assert (total.no_data, total.mutual_information) == (5, None)
    assert total.entropy == pytest.approx(whole.entropy)


def test_an_image_without_any_data_has_no_shares():
    nothing = np.full((2, 2), np.nan, np.float32)
    said = Segmentation(
        np.full((2, 2), 255, np.uint8), np.stack([nothing] * 3), nothing, None, None, np.zeros((2, 2), bool)
    )
    told = prediction_summary("a", summarise(said, 3), CLASSES, {})
    assert told == {"image": "a", "shares": {}, "mean_entropy": None, "no_data": 1.0}
