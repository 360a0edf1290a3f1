import numpy as np
import pytest
import torch
from PIL import Image

from convolve.data.reading import read_dataset
from convolve.deploy.model import load_model
from convolve.errors import UserError
from convolve.progress import silent
from convolve.see.inside.grad_cam import grad_cam
from convolve.see.inside.occlusion import choose_squares, occlude, occlusion_heat
from convolve.see.inside.subject import answer
from convolve.workflow.explaining.classify import ClassifierExplainer
from convolve.workflow.explaining.explainer import Pointed, nothing_known
from workflow.explaining.squares import COLOURS, SIDE, SQUARE, drawn


@pytest.fixture
def explainer(classifier):
    return ClassifierExplainer(load_model(classifier / "model.safetensors"))


def test_the_question_is_what_the_model_itself_would_say(explainer, squares):
    for colour in COLOURS:
        image = squares / colour / "03.png"
        asked = explainer.ask(image, Pointed(), nothing_known)
        (said,) = explainer.model.predict([image])
        assert asked.answers["label"] == said["label"]
        probabilities = dict(zip(explainer.model.classes, answer(asked.subject, asked.question).tolist(), strict=True))
        assert probabilities == pytest.approx(said["probabilities"], abs=1e-6)
        assert explainer.model.classes[asked.question.wanted] == said["label"]


def test_a_class_and_a_truth_can_be_pointed_at(explainer, squares):
    pointed = Pointed(wanted="blue", truth="red")
    question = explainer.ask(squares / "red" / "00.png", pointed, nothing_known).question
    assert [explainer.model.classes[index] for index in (question.wanted, question.truth)] == ["blue", "red"]


def test_the_truth_comes_from_the_data(explainer, squares):
    dataset = explainer.read(str(squares), None, silent)
    rows = [row for row, sample in enumerate(dataset.samples) if sample.name.startswith("red")]
    asked = explainer.ask(squares / "blue" / "00.png", Pointed(), lambda _image: dataset.keep(rows[:1]))
    assert explainer.model.classes[asked.question.truth] == "red"


def test_maps_lie_on_what_decides(explainer, tmp_path):
    found = {"occlusion": 0, "grad-cam": 0}
    for number in range(100, 106):
        pixels, (top, left) = drawn("red", number)
        Image.fromarray(pixels).save(tmp_path / "new.png")
        asked = explainer.ask(tmp_path / "new.png", Pointed(wanted="red"), nothing_known)
        inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
        # The square, and beside it what a filter of 5 x 5 sees of it.
        inside[max(0, top - 4) : top + SQUARE + 4, max(0, left - 4) : left + SQUARE + 4] = True
        occluded = occlude(asked.subject, asked.question.image, choose_squares((SIDE, SIDE), side=8, stride=4))
        heats = {
            "occlusion": occlusion_heat(asked.subject, occluded, asked.question.wanted),
            "grad-cam": grad_cam(asked.subject, asked.question.image[None], torch.tensor([asked.question.wanted]))[0],
        }
        for name, heat in heats.items():
            full = torch.nn.functional.interpolate(heat[None, None].float(), (SIDE, SIDE), mode="bilinear")[0, 0]
            row, column = divmod(int(full.argmax()), SIDE)
            found[name] += bool(inside[row, column])
    assert found["occlusion"] == 6
    assert found["grad-cam"] >= 5


def test_images_to_compare_with_are_those_of_the_rows(explainer, squares):
    dataset = read_dataset(str(squares))
    rows = [3, 40]
    gallery = explainer.gallery(dataset, rows, [str(row) for row in range(len(dataset.samples))], silent)
    assert list(gallery.names) == [dataset.samples[row].name for row in rows]
    for place, row in enumerate(rows):
        assert np.array_equal(gallery.pixels(place), np.array(Image.open(dataset.samples[row].image)))


@pytest.mark.parametrize(
    ("pointed", "words"),
    [
        (Pointed(pixel=(1, 1)), "--pixel, --region and --box"),
        (Pointed(region=(1, 1, 2, 2)), "--pixel, --region and --box"),
        (Pointed(box=1), "--pixel, --region and --box"),
        (Pointed(wanted="rde"), "unknown class of the model 'rde'"),
        (Pointed(truth="green"), "unknown class of the model 'green'"),
    ],
)
def test_what_a_classifier_cannot_be_asked(explainer, pointed, words):
    with pytest.raises(UserError, match=words):
        explainer.check(pointed)
