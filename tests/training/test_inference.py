import torch
from torch import nn

from convolve.training.compute import Compute
from convolve.training.inference import compute_outputs
from training.small_trainings import GREY, convolutional, loader


def outputs(network, batch_size=8):
    return compute_outputs(network, loader(range(20), batch_size=batch_size, shuffle=False), GREY.normalise, Compute())


def test_outputs_do_not_depend_on_the_batch():
    network = convolutional(dropout=0.5)
    network.train()
    expected = outputs(network, 20).outputs
    for batch_size in (3, 7):
        torch.testing.assert_close(outputs(network, batch_size).outputs, expected, rtol=1e-5, atol=1e-6)
    assert expected.shape == (20, 3)


def test_every_modules_mode_is_put_back():
    network = convolutional()
    network.train()
    network[1].eval()
    outputs(network)
    assert [module.training for module in network] == [True, False, True, True, True, True, True]


def test_out_of_memory_goes_on_by_halves():
    class Small(nn.Module):
        def forward(self, images):
            if len(images) > 3:
                raise torch.OutOfMemoryError("out of memory")
            return images.flatten(1)

    network = Small()
    assert torch.equal(outputs(network, 8).outputs, outputs(nn.Flatten(), 8).outputs)
