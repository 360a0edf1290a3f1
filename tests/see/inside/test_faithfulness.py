from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convolve.errors import UserError
from convolve.see.inside.faithfulness import blurred, deletion, insertion, random_heat
from convolve.see.inside.grad_cam import grad_cam
from convolve.see.inside.occlusion import choose_squares, occlude, occlusion_heat
from convolve.see.inside.subject import Question
from see.inside.subjects import red_and_green_question, small_question, small_subject
from see.inside.trained import asked, trained_subject


class _FourPixels(nn.Module):
    """Class 1 against a constant: pixels weigh 1, 2, 3 and 4."""

    def forward(self, images: Tensor) -> Tensor:
        weighed = (images.flatten(1) * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum(dim=1)
        return torch.stack([torch.zeros_like(weighed), weighed], dim=1)


def sigmoid(number: float) -> float:
    return 1 / (1 + np.exp(-number))


def test_deletion_by_hand():
    network = _FourPixels().eval()
    subject = replace(
        small_subject(channels=1, classes=2), network=network, body=network, normalise=lambda images: images, fill=(0,)
    )
    question = Question(image=torch.ones(1, 2, 2), name="ones", wanted=1)
    curve = deletion(subject, question, torch.tensor([[1.0, 2.0], [3.0, 4.0]]), steps=4)
    expected = [sigmoid(10), sigmoid(6), sigmoid(3), sigmoid(1), 0.5]
    torch.testing.assert_close(curve.probabilities, torch.tensor(expected, dtype=torch.float32))
    assert curve.area == pytest.approx((expected[0] / 2 + sum(expected[1:4]) + expected[4] / 2) / 4, abs=1e-6)
    halves = deletion(subject, question, torch.tensor([[4.0, 3.0], [2.0, 1.0]]), steps=2)
    expected = [sigmoid(10), sigmoid(7), 0.5]
    torch.testing.assert_close(halves.probabilities, torch.tensor(expected, dtype=torch.float32))


def test_both_ends_of_the_curves():
    subject, question = small_subject(), small_question()
    heat = random_heat((24, 24), cell=4, key=(0,))

    def probability(image: Tensor) -> float:
        with torch.no_grad():
            return float(subject.logits(image[None]).softmax(dim=1)[0, question.wanted])

    whole = probability(question.image)
    deleted, inserted = deletion(subject, question, heat), insertion(subject, question, heat)
    assert len(deleted.probabilities) == len(inserted.probabilities) == 21
    assert float(deleted.probabilities[0]) == pytest.approx(whole, abs=1e-6)
    assert float(deleted.probabilities[-1]) == pytest.approx(probability(torch.full((3, 24, 24), 0.5)), abs=1e-6)
    assert float(inserted.probabilities[0]) == pytest.approx(probability(blurred(question.image)), abs=1e-6)
    assert float(inserted.probabilities[-1]) == pytest.approx(whole, abs=1e-6)
    onto_fill = insertion(subject, question, heat, onto="fill").probabilities
    assert float(onto_fill[0]) == pytest.approx(float(deleted.probabilities[-1]), abs=1e-6)
    assert float(onto_fill[-1]) == pytest.approx(whole, abs=1e-6)


def test_blurred_keeps_the_mean_and_loses_what_is_small():
    image = small_question().image
    soft = blurred(image)
    assert soft.shape == image.shape
    torch.testing.assert_close(soft.mean(), image.mean(), atol=0.01, rtol=0)
    assert float(soft.std()) < 0.3 * float(image.std())
    assert blurred(image[:1, :2]).shape == (1, 2, 24)


@pytest.mark.parametrize("steps", [0, 577])
def test_steps_that_cannot_be(steps):
    with pytest.raises(UserError, match="1 to 576"):
        deletion(small_subject(), small_question(), torch.zeros(24, 24), steps=steps)


def beats_random(subject, question, heat, *, cell, onto="blur"):
    """(deletion's area below, insertion's above) the median of 10 random orders."""
    hw = tuple(question.image.shape[1:])
    random = [random_heat(hw, cell=cell, key=("test", number)) for number in range(10)]
    lower = np.median([deletion(subject, question, order).area for order in random])
    upper = np.median([insertion(subject, question, order, onto=onto).area for order in random])
    return deletion(subject, question, heat).area < lower, insertion(subject, question, heat, onto=onto).area > upper


def test_maps_of_the_synthetic_question_beat_random():
    subject, question = red_and_green_question()
    occluded = occlude(subject, question.image, choose_squares((40, 40)))
    assert beats_random(subject, question, occlusion_heat(subject, occluded, 0), cell=5) == (True, True)
    cam = grad_cam(subject, question.image[None], torch.tensor([0]))[0]
    assert beats_random(subject, question, cam, cell=5) == (True, True)


@pytest.mark.parametrize("kind", ["occlusion", "grad-cam"])
def test_maps_of_a_trained_network_beat_random(kind):
    subject = trained_subject()
    for question in asked(4):
        if kind == "occlusion":
            occluded = occlude(subject, question.image, choose_squares((24, 24)))
            heat = occlusion_heat(subject, occluded, question.wanted)
        else:
            heat = grad_cam(subject, question.image[None], torch.tensor([question.wanted]))[0]
        # Blurred, red is still red.
        assert beats_random(subject, question, heat, cell=3, onto="fill") == (True, True), question.name


def test_a_map_upside_down_is_worse_than_random():
    subject, question = red_and_green_question()
    heat = occlusion_heat(subject, occlude(subject, question.image, choose_squares((40, 40))), 0)
    assert beats_random(subject, question, -heat, cell=5) == (False, False)
