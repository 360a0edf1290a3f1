"""Climbing to images: what is to rise rises, the same for the same seed."""

import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.networks.symmetric_features import SymmetricFeatures
from convolve.randomness import torch_randomness
from convolve.see.inside.activation_maximisation import maximise
from convolve.see.inside.subject import Subject
from see.inside.subjects import red_and_green_question, small_body, small_subject


def test_the_logits_rise_above_those_of_common_noise_and_are_those_of_the_images():
    subject = small_subject()
    found = maximise(subject, [0, 1, 2], seed=3)
    with torch.inference_mode():
        logits = subject.logits(found.images).diagonal()
        with torch_randomness("common noise", 0):
            of_noise = subject.logits(torch.rand(50, 3, 24, 24)).mean(dim=0)
    torch.testing.assert_close(torch.tensor(found.after), logits, rtol=0, atol=1e-5)
    assert (logits > of_noise).all()
    assert all(after > before for before, after in zip(found.before, found.after, strict=True))
    assert 0 <= float(found.images.min()) < float(found.images.max()) <= 1


def test_the_colour_that_decides_is_found():
    subject, _ = red_and_green_question()
    found = maximise(subject, [0, 1])
    red, green = found.images
    # Somewhere red, somewhere green: what the network looks for, at its most.
    assert float(nn.functional.avg_pool2d(red, 4)[0].max()) > 0.9
    assert float(nn.functional.avg_pool2d(green, 4)[1].max()) > 0.9
    # No image gives more than 8.
    assert min(found.after) > 7.5


def test_one_image_does_not_depend_on_its_neighbours_objective():
    subject = small_subject()
    alone, together = maximise(subject, [1], steps=5), maximise(subject, [1, 2], steps=5)
    assert alone.images.shape == (1, 3, 24, 24)
    assert together.images.shape == (2, 3, 24, 24)
    assert torch.equal(maximise(subject, [1, 2], steps=5).images, together.images)
    assert not torch.equal(maximise(subject, [1, 2], steps=5, seed=1).images, together.images)


def test_units_of_a_layer_rise_by_the_mean_of_their_map():
    subject = small_subject()
    found = maximise(subject, [4, 2], layer="4", steps=20)
    with torch.inference_mode():
        means = subject.body[:5](subject.normalise(found.images)).mean(dim=(2, 3))
    torch.testing.assert_close(torch.tensor(found.after), means[[0, 1], [4, 2]], rtol=0, atol=1e-5)
    assert all(after > before for before, after in zip(found.before, found.after, strict=True))


def test_units_of_a_network_that_sees_copies():
    with torch_randomness("symmetric", 0):
        body = small_body()
    symmetric = SymmetricFeatures(body, "turns")
    subject = Subject(
        network=nn.Sequential(symmetric, nn.Linear(8, 2)).eval(),
        body=body,
        normalise=lambda images: images,
        classes=("a", "b"),
        channels=3,
        image_hw=(24, 24),
        fill=(0.5,) * 3,
        upright=symmetric.moved_back,
    )
    found = maximise(subject, [1, 3, 5], layer="4", steps=10)
    assert all(after > before for before, after in zip(found.before, found.after, strict=True))


def test_no_gradient_reaches_the_weights():
    subject = small_subject()
    maximise(subject, [0], steps=2)
    assert all(parameter.grad is None for parameter in subject.network.parameters())


def test_a_unit_that_is_not_there_is_an_error():
    with pytest.raises(UserError, match="layer '4' has no unit 8"):
        maximise(small_subject(), [8], layer="4")
