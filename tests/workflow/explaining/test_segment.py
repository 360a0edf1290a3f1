import numpy as np
import pytest
import torch
from PIL import Image

from convolve.data.decoding import BrokenImage
from convolve.deploy.segmentation.model import load_segmentation_model
from convolve.errors import UserError
from convolve.progress import silent
from convolve.run.folder import Run
from convolve.see.inside.subject import answer
from convolve.workflow.explaining.explainer import Pointed, nothing_known
from convolve.workflow.explaining.segment import SegmenterExplainer
from convolve.workflow.explaining.window import read_window
from workflow.segment.scenes import CLASSES, HW, VOID, drawn


@pytest.fixture(scope="module")
def explainer(segmenter):
    return SegmenterExplainer(load_segmentation_model(segmenter / "model.safetensors"))


@pytest.fixture(scope="module")
def image(scenes):
    return scenes / "test" / "images" / "12.png"


def logits_of(explainer, image):
    """(K, H, W) of the network itself."""
    pixels = torch.from_numpy(np.array(Image.open(image))).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        return explainer.model.network(explainer.model.preprocessing.normalise(pixels))[0]


@pytest.mark.parametrize("pixel", [(0, 0), (79, 63), (79, 0), (17, 41)])
def test_a_pixel_is_asked_about_as_the_model_segments_it(explainer, image, pixel):
    asked = explainer.ask(image, Pointed(pixel=pixel), nothing_known)
    x, y = pixel
    found = explainer.model.segment(image)
    assert answer(asked.subject, asked.question).tolist() == pytest.approx(found.probabilities[:, y, x], abs=1e-5)
    assert asked.question.wanted == found.labels[y, x]
    assert np.argwhere(asked.question.inside).tolist() == [[y, x]]


def test_a_regions_logits_are_their_mean(explainer, image):
    left, top, right, bottom = 10, 20, 31, 27
    asked = explainer.ask(image, Pointed(region=(left, top, right, bottom)), nothing_known)
    maps = logits_of(explainer, image)
    with torch.inference_mode():
        found = asked.subject.logits(asked.question.image[None])[0]
    by_hand = [maps[k, top:bottom, left:right].double().mean().item() for k in range(len(CLASSES))]
    assert found.tolist() == pytest.approx(by_hand, abs=1e-4)
    assert asked.question.inside.sum() == (right - left) * (bottom - top)


def test_without_a_place_it_is_the_commonest_class_where_it_was_found(explainer, image):
    labels = logits_of(explainer, image).argmax(dim=0).numpy()
    counts = np.bincount(labels.ravel(), minlength=len(CLASSES))
    asked = explainer.ask(image, Pointed(), nothing_known)
    assert asked.question.wanted == counts.argmax()
    assert np.array_equal(asked.question.inside, labels == counts.argmax())
    assert list(asked.answers["shares"].values()) == pytest.approx(counts / labels.size)


def test_the_truth_is_the_masks(explainer, segmenter, scenes, image):
    mask = drawn(12)[1]
    dataset = explainer.read(str(scenes), explainer.recipe_of(Run(segmenter)), silent)
    row = [sample.image for sample in dataset.samples].index(image)

    def known(_image):
        return dataset.keep([row])

    for label in range(len(CLASSES)):
        y, x = np.argwhere(mask == label)[5]
        assert explainer.ask(image, Pointed(pixel=(int(x), int(y))), known).question.truth == label
    y, x = np.argwhere(mask == VOID)[0]
    assert explainer.ask(image, Pointed(pixel=(int(x), int(y))), known).question.truth is None


def test_of_a_large_image_a_window_around_the_pixel_is_seen(explainer, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (700, 900, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    question = explainer.ask(tmp_path / "large.png", Pointed(pixel=(850, 30)), nothing_known).question
    assert question.image.shape == (3, 512, 512)
    ((row, column),) = np.argwhere(question.inside).tolist()
    assert (question.image[:, row, column] * 255).round().int().tolist() == pixels[30, 850].tolist()
    # The window ends with the image, so nothing is made up.
    assert torch.equal((question.image * 255).round().byte(), torch.from_numpy(pixels[:512, 388:]).permute(2, 0, 1))


def test_what_a_small_image_is_continued_by_is_not_asked_about(segmenter, tmp_path):
    explainer = SegmenterExplainer(load_segmentation_model(segmenter / "model.safetensors"))
    # As of an encoder that takes no smaller images.
    explainer.model.network.smallest_side = 16
    Image.fromarray(drawn(3)[0][:5, :6]).save(tmp_path / "small.png")
    window = read_window(explainer.model, tmp_path / "small.png", None, (512, 512))
    assert (window.shown_hw, window.image.shape) == ((5, 6), (3, 16, 16))
    everything = explainer.ask(tmp_path / "small.png", Pointed(), nothing_known)
    assert not everything.question.inside[5:].any()
    assert not everything.question.inside[:, 6:].any()
    assert sum(everything.answers["shares"].values()) == pytest.approx(1)
    region = explainer.ask(tmp_path / "small.png", Pointed(region=(0, 0, 6, 5)), nothing_known).question.inside
    assert region.sum() == 30


def test_the_surest_mistake_is_one(explainer):
    pixels, mask = drawn(13)
    # Not what the network can know: a third of the image is said to be squares.
    truth = np.where(mask == VOID, 255, mask)
    truth[:20] = 2
    subject, question, probability = explainer.mistake(pixels, "13", truth)
    assert question.wanted != question.truth
    assert set(truth[question.inside].tolist()) == {question.truth}
    labels = explainer.model.segment(pixels).labels
    assert set(labels[question.inside].tolist()) == {question.wanted}
    expected = explainer.model.segment(pixels).probabilities[question.wanted][question.inside].mean()
    assert probability == pytest.approx(expected, abs=1e-5)
    assert int(answer(subject, question).argmax()) == question.wanted


def test_where_all_is_right_there_is_no_mistake(explainer):
    pixels = drawn(13)[0]
    assert explainer.mistake(pixels, "13", explainer.model.segment(pixels).labels.astype(np.uint8)) is None
    assert explainer.mistake(pixels, "13", np.full(HW, 255, np.uint8)) is None


def test_maps_are_of_a_layer_before_the_scores(explainer):
    subject = explainer.network()
    assert subject.telling
    assert subject.telling not in ("scorer", "to_pixels")


@pytest.mark.parametrize(
    ("pointed", "words"),
    [
        (Pointed(box=1), "--box: this model finds no boxes"),
        (Pointed(pixel=(1, 1), region=(1, 1, 2, 2)), "one question at a time"),
        (Pointed(wanted="disk"), "unknown class of the model 'disk'"),
    ],
)
def test_what_a_network_for_masks_cannot_be_asked(explainer, pointed, words):
    with pytest.raises(UserError, match=words):
        explainer.check(pointed)


@pytest.mark.parametrize("pixel", [(80, 0), (0, 64), (-1, 0)])
def test_a_pixel_outside(explainer, image, pixel):
    with pytest.raises(UserError, match=r"is not in what is looked at: columns 0 to 79, rows 0 to 63"):
        explainer.ask(image, Pointed(pixel=pixel), nothing_known)


def test_what_is_no_image(explainer, tmp_path):
    (tmp_path / "no.png").write_text("no")
    with pytest.raises(BrokenImage):
        explainer.ask(tmp_path / "no.png", Pointed(), nothing_known)
