import pytest
import torch

from convolve.errors import UserError
from convolve.training.compute import Compute, choose_device


@pytest.mark.parametrize("name", ["cpu:9", "tpu", "nonsense"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="not on this machine"):
        choose_device(name)


def test_channels_last_places_weights_and_images_alike() -> None:
    way = Compute(channels_last=True)
    convolution = way.place(torch.nn.Conv2d(3, 4, 3))
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert way.images(torch.zeros(2, 3, 5, 5)).is_contiguous(memory_format=torch.channels_last)


def test_bfloat16_is_for_activations_alone() -> None:
    linear = torch.nn.Linear(3, 2)
    with Compute(bfloat16=True).precision():
        outputs = linear(torch.zeros(1, 3))
    assert outputs.dtype == torch.bfloat16
    assert linear.weight.dtype == torch.float32
