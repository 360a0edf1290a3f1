"""Integrated gradients against sums and functions whose answer is known."""

import pytest
import torch
from torch import nn

from convolve.see.inside.integrated_gradients import integrated_gradients
from convolve.see.inside.subject import Subject
from see.inside.subjects import small_question, small_subject


def subject_of(network):
    return Subject(
        network=network,
        body=network,
        normalise=lambda images: images,
        classes=("a", "b"),
        channels=1,
        image_hw=(2, 2),
        fill=(0.25,),
    )


def test_of_a_linear_function_each_pixel_adds_its_weight_times_the_way():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    image = torch.tensor([[[1.0, 0.0], [0.25, 0.5]]])
    found = integrated_gradients(subject_of(network), image, 1, steps=3)
    expected = network[1].weight[1].detach().view(1, 2, 2) * (image - 0.25)
    torch.testing.assert_close(found.attributions, expected)
    assert found.completeness_error == pytest.approx(0, abs=1e-6)


class Products(nn.Module):
    """Logit 1 is x00 x01: by symmetry of the line, x00 and x01 add int_0^1 of the other times their way."""

    def forward(self, images):
        product = images[:, 0, 0, 0] * images[:, 0, 0, 1]
        return torch.stack([torch.zeros_like(product) * product, product], dim=1)


def test_of_a_product_worked_by_hand():
    found = integrated_gradients(subject_of(Products()), torch.tensor([[[0.75, 1.25], [1.0, 0.0]]]), 1)
    # x00: way 0.5 times the mean of x01 from 0.25 to 1.25; x01: way 1 times the mean of x00 from 0.25 to 0.75.
    torch.testing.assert_close(found.attributions, torch.tensor([[[0.375, 0.5], [0.0, 0.0]]]))
    assert (found.logit, found.empty_logit) == pytest.approx((0.9375, 0.0625))


def test_the_parts_sum_to_the_rise_of_the_logit_better_with_more_steps():
    subject, question = small_subject(), small_question()
    few, many = (integrated_gradients(subject, question.image, 1, steps=steps) for steps in (4, 400))
    with torch.inference_mode():
        logits = subject.logits(torch.stack([question.image, torch.full((3, 24, 24), 0.5)]))[:, 1]
    rise = float(logits[0] - logits[1])
    assert many.logit - many.empty_logit == pytest.approx(rise, abs=1e-6)
    assert float(many.attributions.sum()) == pytest.approx(rise, abs=2e-3 * abs(rise))
    assert abs(many.completeness_error) < abs(few.completeness_error)


def test_pixels_as_empty_as_nothing_add_nothing():
    subject, question = small_subject(), small_question()
    image = question.image.clone()
    image[:, :, 12:] = 0.5
    assert int(integrated_gradients(subject, image, 0).attributions[:, :, 12:].count_nonzero()) == 0
