import pytest
import torch
from torch import Tensor, nn

from convolve.errors import UserError
from convolve.networks.network import ARCHITECTURES
from convolve.networks.tracing import split_before_dropout, trace


class DropoutInABranch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Conv2d(1, 2, 3)
        self.inner = nn.Conv2d(2, 2, 1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.before(images)
        return maps + self.dropout(self.inner(maps))


class ByValue(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images) if images.sum() > 0 else images


def test_the_two_parts_are_the_network_and_all_chance_is_in_the_second():
    network = DropoutInABranch().train()
    images = torch.randn(2, 1, 6, 6)
    first, rest = split_before_dropout(trace(network, channels=1, image_hw=(6, 6)))
    crossing = first(images)
    assert len(crossing) == 2
    assert all(torch.equal(one, other) for one, other in zip(crossing, first(images), strict=True))
    assert not torch.equal(rest(*crossing), rest(*crossing))
    network.eval()
    assert torch.equal(rest(*first(images)), network(images))


def test_without_dropout_everything_is_in_the_first():
    network = ARCHITECTURES["residual"].create(3, channels=1, image_hw=(8, 8), options={"depth": 8}).eval()
    images = torch.randn(2, 1, 8, 8)
    first, rest = split_before_dropout(trace(network, channels=1, image_hw=(8, 8)))
    (logits,) = first(images)
    assert torch.equal(logits, network(images))
    assert rest(logits) is logits


def test_the_network_is_left_as_it_was():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    trace(network, channels=1, image_hw=(8, 8))
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_a_forward_that_depends_on_values_is_refused():
    with pytest.raises(UserError, match="cannot be taken apart into its layers"):
        trace(ByValue(), channels=1, image_hw=(8, 8))
