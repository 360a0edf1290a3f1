"""Against the gradient: with positive weights and no rectifier, the pixels that matter are the field."""

import copy

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from convolve.networks.cost import cost_of
from convolve.networks.receptive_field import FieldTracker


class Branches(nn.Module):
    """Two windows side by side, added."""

    def __init__(self, first: int, second: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 1, first, stride=stride, padding=first // 2)
        self.second = nn.Conv2d(1, 1, second, stride=stride, padding=second // 2)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.first(maps) + self.second(maps)


windows = st.tuples(st.integers(1, 5), st.integers(1, 2), st.integers(0, 2), st.integers(1, 2))
layers = st.one_of(
    windows.map(lambda w: nn.Conv2d(1, 1, w[0], stride=w[1], padding=w[2], dilation=w[3])),
    windows.map(lambda w: nn.MaxPool2d(w[0], stride=w[1], padding=min(w[2], w[0] // 2))),
    st.tuples(st.sampled_from([1, 3, 5]), st.sampled_from([1, 3]), st.integers(1, 2)).map(lambda b: Branches(*b)),
)


def smooth(network: nn.Module) -> nn.Module:
    """A copy whose gradient shows all that a unit sees: positive weights, means for maxima, neither ReLU nor norm."""
    network = copy.deepcopy(network).double().eval()
    for path, layer in list(network.named_modules()):
        parent = network.get_submodule(path.rpartition(".")[0])
        name = path.rpartition(".")[2]
        if isinstance(layer, nn.MaxPool2d):
            setattr(parent, name, nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding))
        elif isinstance(layer, nn.ReLU | nn.BatchNorm2d):
            setattr(parent, name, nn.Identity())
        elif isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
    return network


def seen_by_gradient(network: nn.Module, image: torch.Tensor) -> tuple[int, int]:
    """Height and width of the box of pixels that the middle unit of the last map depends on."""
    image = image.double().requires_grad_()
    maps = smooth(network)(image)
    maps[0, :, maps.shape[2] // 2, maps.shape[3] // 2].sum().backward()
    rows, columns = torch.nonzero(image.grad.abs().sum(dim=(0, 1)), as_tuple=True)
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


@settings(max_examples=40, deadline=None)
@given(st.lists(layers, min_size=1, max_size=4))
def test_it_is_what_the_gradient_shows(chain):
    network = nn.Sequential(*chain)
    field = cost_of(network, channels=1, image_hw=(160, 160)).receptive_field
    assert seen_by_gradient(network, torch.zeros(1, 1, 160, 160)) == (field, field)


def test_a_strip_shows_resnet18s_field_by_gradient_too():
    # A strip is enough for one axis, and thirty times cheaper than a square.
    network = torchvision.models.resnet18(weights=None)
    maps = nn.Sequential(*list(network.children())[:-2])
    height, _ = seen_by_gradient(maps, torch.zeros(1, 3, 640, 32))
    assert height == cost_of(network, channels=3, image_hw=(224, 224)).receptive_field == 435


def test_padding_and_cutting_move_the_field():
    image = torch.empty(1, 1, 32, 32, device="meta")
    with torch.no_grad(), FieldTracker(image) as tracker:
        shifted = nn.functional.pad(image, (1, 0, 2, 0))[:, :, 3:, ::2]
        nn.functional.conv2d(shifted, torch.empty(1, 1, 3, 3, device="meta"))
    assert tracker.last_field is not None
    assert (tracker.last_field.low, tracker.last_field.high) == ((1, -1), (3, 3))
    assert tracker.last_field.jump == (1, 2)


class SqueezeAndExcite(nn.Module):
    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps * maps.mean(dim=(2, 3), keepdim=True).sigmoid()


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(1, 1, 3), SqueezeAndExcite(), nn.Conv2d(1, 1, 3)),
        nn.Sequential(nn.Flatten(), nn.Linear(24 * 24, 2)),
        nn.Sequential(nn.Conv2d(1, 8, 4, stride=4), nn.Flatten(2), nn.TransformerEncoderLayer(36, 1, 8)),
    ],
    ids=["squeeze and excitation", "fully connected", "attention"],
)
def test_what_sees_everything_has_no_field(network):
    assert cost_of(network, channels=1, image_hw=(24, 24)).receptive_field is None
