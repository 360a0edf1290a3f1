"""What every loss promises: one number an image, in float32, from any dtype, that no neighbour in the batch changes."""

import inspect
import pkgutil
from importlib import import_module

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import convolve.tasks.losses

LOSSES = {
    module.name: getattr(import_module(f"convolve.tasks.losses.{module.name}"), module.name)
    for module in pkgutil.iter_modules(convolve.tasks.losses.__path__)
}
WEIGHTS = torch.tensor([0.5, 1.0, 2.0])


def batch(name, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(8, 3, generator=generator).to(dtype)
    labels = torch.arange(8) % 3
    return outputs, labels if name == "softmax_nll" else F.one_hot(labels, 3).float()


@pytest.mark.parametrize("name", LOSSES)
class TestEveryLoss:
    def test_states_its_source(self, name):
        assert "Source: " in inspect.getdoc(LOSSES[name])

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
    def test_is_at_least_float32_from_any_dtype(self, name, dtype):
        outputs, targets = batch(name, dtype)
        losses = LOSSES[name](outputs, targets, class_weights=WEIGHTS, label_smoothing=0.1)
        assert (losses.shape, losses.dtype) == ((8,), torch.promote_types(dtype, torch.float32))
        assert torch.allclose(
            losses.float(), LOSSES[name](outputs.float(), targets, class_weights=WEIGHTS, label_smoothing=0.1)
        )

    def test_an_image_does_not_depend_on_its_neighbours(self, name):
        outputs, targets = batch(name)
        alone = [LOSSES[name](outputs[[i]], targets[[i]], class_weights=WEIGHTS, label_smoothing=0.1) for i in range(8)]
        assert torch.allclose(
            LOSSES[name](outputs, targets, class_weights=WEIGHTS, label_smoothing=0.1), torch.cat(alone)
        )

    def test_huge_outputs_stay_finite(self, name):
        _, targets = batch(name)
        losses = LOSSES[name](torch.full((8, 3), 1e4).bfloat16(), targets, label_smoothing=0.1)
        assert losses.isfinite().all()

    def test_the_perfect_answer_costs_nothing(self, name):
        outputs = 200 * F.one_hot(torch.arange(8) % 3, 3).float() - 100
        assert LOSSES[name](outputs, batch(name)[1]).max() < 1e-6

    def test_the_gradient_is_that_of_finite_differences(self, name):
        outputs, targets = batch(name)
        point = outputs.requires_grad_()
        LOSSES[name](point, targets, class_weights=WEIGHTS, label_smoothing=0.1).sum().backward()
        step = torch.zeros(8, 3)
        step[4, 1] = 1e-2
        above, below = (
            LOSSES[name](outputs.detach() + sign * step, targets, class_weights=WEIGHTS, label_smoothing=0.1).sum()
            for sign in (1, -1)
        )
        assert point.grad[4, 1] == pytest.approx(float(above - below) / 2e-2, abs=2e-3)

    def test_no_images_give_no_losses(self, name):
        outputs, targets = batch(name)
        assert LOSSES[name](outputs[:0], targets[:0], class_weights=WEIGHTS).shape == (0,)


def test_softmax_nll_of_the_textbook_example():
    outputs = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    loss = LOSSES["softmax_nll"](outputs, torch.tensor([0]))
    loss.sum().backward()
    assert loss.item() == pytest.approx(2.407606, abs=1e-6)
    assert outputs.grad[0].tolist() == pytest.approx([-0.909969, 0.244728, 0.665241], abs=1e-6)


def test_softmax_nll_smooths_as_torch_does():
    outputs, targets = batch("softmax_nll")
    expected = F.cross_entropy(outputs, targets, label_smoothing=0.1, reduction="none")
    assert torch.allclose(LOSSES["softmax_nll"](outputs, targets, label_smoothing=0.1), expected)


def test_softmax_nll_weights_agree_with_torch_where_their_mean_over_the_images_is_1():
    outputs, targets = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 0, 0, 0, 1, 2])
    balanced = torch.tensor([0.5, 2.0, 2.0])
    assert balanced[targets].mean() == 1
    expected = F.cross_entropy(outputs, targets, weight=balanced)
    assert torch.allclose(LOSSES["softmax_nll"](outputs, targets, class_weights=balanced).mean(), expected)


def test_sigmoid_nll_is_the_mean_over_classes_of_the_binary_loss():
    outputs, targets = batch("sigmoid_nll")
    probabilities = 1 / (1 + np.exp(-outputs.double().numpy()))
    truth = targets.numpy()
    expected = -np.mean(truth * np.log(probabilities) + (1 - truth) * np.log(1 - probabilities), axis=1)
    assert LOSSES["sigmoid_nll"](outputs, targets).numpy() == pytest.approx(expected, rel=1e-5)


def test_sigmoid_nll_smoothing_is_that_of_a_softmax_over_yes_and_no():
    outputs, targets = batch("sigmoid_nll")
    two = torch.stack([torch.zeros(24), outputs.flatten()], dim=1)
    expected = F.cross_entropy(two, targets.flatten().long(), label_smoothing=0.2, reduction="none").view(8, 3).mean(1)
    assert torch.allclose(LOSSES["sigmoid_nll"](outputs, targets, label_smoothing=0.2), expected, atol=1e-6)
