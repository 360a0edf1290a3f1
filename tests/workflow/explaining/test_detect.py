import numpy as np
import pytest
from PIL import Image

from convolve.data.decoding import BrokenImage
from convolve.deploy.detection.model import load_detection_model
from convolve.errors import UserError
from convolve.progress import silent
from convolve.see.inside.subject import answer
from convolve.workflow.explaining.detect import BACKGROUND, DetectorExplainer
from convolve.workflow.explaining.explainer import Pointed, nothing_known


def explainer_of(run):
    model = load_detection_model(run / "model.safetensors")
    return DetectorExplainer(model)


@pytest.mark.parametrize("kind", ["faster", "onestage"])
def test_the_answer_about_a_box_is_the_detectors_own(kind, detectors, shapes):
    explainer = explainer_of(detectors / kind)
    image = shapes / "JPEGImages" / "20.png"
    found = explainer.model.detect(image, threshold=explainer.model.threshold)
    found = found if len(found.labels) else explainer.model.detect(image)
    assert len(found.labels) >= 1
    for number in range(min(4, len(found.labels))):
        asked = explainer.ask(image, Pointed(box=number + 1), nothing_known)
        assert asked.answers["box"] == found.corners[number].tolist()
        wanted = asked.question.wanted
        assert asked.subject.classes[wanted] == explainer.model.classes[int(found.labels[number])]
        probability = float(answer(asked.subject, asked.question)[wanted])
        assert probability == pytest.approx(found.probabilities[number], abs=1e-5)


def test_the_answer_about_a_given_proposal_is_the_detectors_own(detectors, shapes):
    explainer, image = explainer_of(detectors / "fast"), shapes / "JPEGImages" / "21.png"
    asked = explainer.ask(image, Pointed(), nothing_known)
    probability = float(answer(asked.subject, asked.question)[asked.question.wanted])
    assert probability == pytest.approx(explainer.model.detect(image).probabilities[0], abs=1e-5)


def test_what_is_inside_is_the_box(detectors, shapes):
    explainer = explainer_of(detectors / "faster")
    asked = explainer.ask(shapes / "JPEGImages" / "20.png", Pointed(), nothing_known)
    # 96 x 128 at side 128: pixels of the image are those of the input.
    left, top, right, bottom = (round(edge) for edge in asked.answers["box"])
    rows, columns = np.nonzero(asked.question.inside)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (left, top, right, bottom)


def test_the_truth_is_the_object_or_the_background(detectors, shapes):
    explainer = explainer_of(detectors / "faster")
    image, dataset = shapes / "JPEGImages" / "20.png", explainer.read(str(shapes), None, silent)
    row = [sample.image for sample in dataset.samples].index(image)
    objects = dataset.samples[row].target.objects
    asked = explainer.ask(image, Pointed(), lambda _image: dataset.keep([row]))
    left, top, right, bottom = asked.answers["box"]

    def overlap(one):
        a, b, c, d = one.corners
        both = max(0, min(right, c) - max(left, a)) * max(0, min(bottom, d) - max(top, b))
        return both / ((right - left) * (bottom - top) + (c - a) * (d - b) - both)

    best = max(objects, key=overlap)
    expected = dataset.classes[best.index] if overlap(best) >= 0.5 else BACKGROUND
    assert asked.subject.classes[asked.question.truth] == expected
    nowhere = explainer.ask(image, Pointed(truth=BACKGROUND), nothing_known)
    assert nowhere.subject.classes[nowhere.question.truth] == BACKGROUND


def test_a_box_that_was_not_found(detectors, shapes):
    explainer = explainer_of(detectors / "faster")
    with pytest.raises(UserError, match="there is no box 999"):
        explainer.ask(shapes / "JPEGImages" / "20.png", Pointed(box=999), nothing_known)


@pytest.mark.parametrize("pointed", [Pointed(pixel=(1, 1)), Pointed(region=(1, 1, 2, 2))])
def test_what_a_detector_cannot_be_asked(detectors, pointed):
    with pytest.raises(UserError, match="--pixel and --region: this model finds boxes"):
        explainer_of(detectors / "faster").check(pointed)


def test_what_is_no_image(detectors, tmp_path):
    (tmp_path / "no.png").write_text("no")
    with pytest.raises(BrokenImage):
        explainer_of(detectors / "faster").ask(tmp_path / "no.png", Pointed(), nothing_known)


def test_grey_images_are_seen_in_the_networks_channels(detectors, shapes, tmp_path):
    Image.open(shapes / "JPEGImages" / "20.png").convert("L").save(tmp_path / "grey.png")
    explainer = explainer_of(detectors / "faster")
    pixels = np.array(Image.open(tmp_path / "grey.png").convert("RGB"))
    _, question = explainer.box(pixels, "grey", np.array([10.0, 20.0, 40.0, 60.0]), 0)
    assert question.image.shape == (3, 96, 128)
