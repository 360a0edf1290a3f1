"""Levels that are not trained give the upper ones the maps that the whole pyramid gives them."""

import pytest
import torch

from convolve.networks.architectures.residual import residual
from convolve.networks.feature_pyramid import feature_pyramid
from convolve.progress import silent
from convolve.training.compute import Compute
from convolve.training.frozen_lower import FrozenLower

TRAINING = (4, 32, 48)


def pyramid_entered_at(entry):
    torch.manual_seed(0)
    pyramid = feature_pyramid(
        residual(2, channels=3, image_hw=(32, 32), depth=8).backbone, channels=3, image_hw=(32, 32)
    )
    pyramid(torch.randn(8, 3, 32, 32))  # Norms have statistics of their own.
    pyramid.entry = entry
    return pyramid.eval()


def frozen_lower(pyramid, engine="torch"):
    compute = Compute(engine=engine)
    return FrozenLower(
        pyramid, lambda images: 2 * images - 1, compute, training_shape=TRAINING, engine_required=True, progress=silent
    )


@pytest.mark.parametrize("entry", [1, 2])
def test_lower_and_upper_levels_are_the_whole(entry):
    pyramid = pyramid_entered_at(entry)
    lower = frozen_lower(pyramid)
    for hw in ((32, 48), (40, 40), (33, 47), (64, 32)):
        images = torch.rand(3, 3, *hw)
        upper = pyramid(lower(images))
        pyramid.entry = 0
        with torch.no_grad():
            whole = pyramid(2 * images - 1)
        pyramid.entry = entry
        for ours, expected in zip(upper, whole[entry - 1 :], strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_what_is_trained_gets_gradients_and_norms_below_keep_their_statistics():
    pyramid = pyramid_entered_at(1).train()
    before = {name: tensor.clone() for name, tensor in pyramid.levels[0].state_dict().items()}
    pyramid(frozen_lower(pyramid)(torch.rand(4, 3, 32, 48)))[-1].square().sum().backward()
    assert pyramid.levels[0].training
    assert all(torch.equal(tensor, before[name]) for name, tensor in pyramid.levels[0].state_dict().items())
    assert all(parameter.grad is None for parameter in pyramid.levels[0].parameters())
    assert all(parameter.grad is not None for parameter in pyramid.levels[1].parameters())


def test_evaluating_first_changes_no_bit_of_what_training_gets():
    """As after a training that was stopped between the last step of an epoch and its evaluation."""
    pytest.importorskip("openvino")
    pyramid = pyramid_entered_at(2)
    batch, others = torch.rand(4, 3, 32, 48), [torch.rand(2, 3, *hw) for hw in ((40, 40), (64, 32), (24, 24))]
    trained_first, evaluated_first = frozen_lower(pyramid, "openvino"), frozen_lower(pyramid, "openvino")
    expected = trained_first(batch)
    expected_others = [trained_first(images) for images in others]
    found_others = [evaluated_first(images) for images in others]
    assert torch.equal(evaluated_first(batch), expected)
    assert all(torch.equal(one, other) for one, other in zip(found_others, expected_others, strict=True))
    # Else there would be nothing to compare: torch rounds otherwise.
    assert not torch.equal(frozen_lower(pyramid)(batch), expected)


def test_a_short_batch_first_changes_no_bit_either():
    pytest.importorskip("openvino")
    pyramid = pyramid_entered_at(1)
    batch = torch.rand(4, 3, 32, 48)
    whole_first, short_first = frozen_lower(pyramid, "openvino"), frozen_lower(pyramid, "openvino")
    expected = whole_first(batch)
    short_first(batch[:1])
    assert torch.equal(short_first(batch), expected)
