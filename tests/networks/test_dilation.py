import pytest
import torch
import torch.nn.functional as F
import torchvision
from skimage import data
from torch import Tensor, nn

from convolve.errors import UserError
from convolve.networks.cost import cost_of
from convolve.networks.dilation import make_dense


def by_patches(network: nn.Module, images: Tensor, side: int) -> Tensor:
    """(1, K, H - side + 1, W - side + 1): a loop over all patches inside the image."""
    height, width = images.shape[2] - side + 1, images.shape[3] - side + 1
    rows = [
        torch.stack([network(images[:, :, y : y + side, x : x + side])[0] for x in range(width)]) for y in range(height)
    ]
    return torch.stack(rows).permute(2, 0, 1)[None]


CHAINS = {
    "pooling that overlaps, convolutions with strides and dilation": (
        14,
        nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2),
            nn.MaxPool2d(3, stride=1),
            nn.Conv2d(4, 5, (2, 1), dilation=(2, 1), groups=1),
            nn.Sigmoid(),
            nn.Flatten(),
            nn.Linear(5 * 2 * 4, 6),
            nn.Tanh(),
            nn.Linear(6, 3),
        ),
    ),
    "means, with strides that differ by axis": (
        13,
        nn.Sequential(
            nn.AvgPool2d((2, 3)), nn.Conv2d(3, 4, 2), nn.ELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
        ),
    ),
    "channels that inhibit each other, means of halves": (
        11,
        nn.Sequential(
            nn.Conv2d(3, 4, 4),
            nn.LocalResponseNorm(3),
            nn.MaxPool2d(2, dilation=1),
            nn.AdaptiveAvgPool2d((2, 4)),
            nn.Flatten(),
            nn.Linear(4 * 2 * 4, 3),
        ),
    ),
}


@pytest.mark.parametrize("keep_strides", [False, True])
@pytest.mark.parametrize("chain", CHAINS)
def test_every_place_is_what_the_classifier_gives_for_the_patch_there(chain, keep_strides):
    side, layers = CHAINS[chain]
    network = layers.double().eval()
    images = torch.randn(1, 3, side + 6, side + 9, dtype=torch.float64)
    form = make_dense(network, channels=3, patch_hw=(side, side), keep_strides=keep_strides)
    rows, columns = form.place.jump if keep_strides else (1, 1)
    with torch.no_grad():
        expected = by_patches(network, images, side)[:, :, ::rows, ::columns]
        found = form.layers(images)[:, :, : expected.shape[2], : expected.shape[3]]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


class Branches(nn.Module):
    """Two branches without padding, joined."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2)
        self.left, self.right = nn.Conv2d(4, 4, 3, stride=2), nn.MaxPool2d(3, stride=2)
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = F.relu(self.stem(images))
        maps = torch.cat([self.left(maps), self.right(maps)], dim=1)
        return self.head((maps + 1).mean([2, 3]))


def test_branches_of_one_resolution_are_followed():
    network = Branches().double().eval()
    images = torch.randn(1, 3, 21, 19, dtype=torch.float64)
    form = make_dense(network, channels=3, patch_hw=(15, 15))
    with torch.no_grad():
        expected = by_patches(network, images, 15)
        found = form.layers(images)[:, :, : expected.shape[2], : expected.shape[3]]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert not form.place.padded


def test_all_weights_are_the_classifiers_own():
    network = Branches()
    form = make_dense(network, channels=3, patch_hw=(15, 15))
    assert {id(weight) for weight in form.layers.parameters()} == {id(weight) for weight in network.parameters()}


def test_the_field_of_a_padded_network_is_that_which_the_operations_have():
    """Up to the mean over the patch's 2 x 2 last units, 32 pixels apart, which adds 32 pixels."""
    network = torchvision.models.resnet18()
    place = make_dense(network, channels=3, patch_hw=(64, 64)).place
    assert place.padded
    assert place.before[0] + place.after[0] + 1 == cost_of(network, channels=3, image_hw=(64, 64)).receptive_field + 32
    assert place.jump == (32, 32)


def test_a_padded_network_of_torchvision_is_moved_too_and_comes_close():
    side = 64
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torchvision.models.resnet18(num_classes=4).eval()
    pixels = torch.from_numpy(data.astronaut()[: side + 3, : side + 2] / 127.5 - 1).float()
    images = pixels.permute(2, 0, 1)[None]
    form = make_dense(network, channels=3, patch_hw=(side, side))
    with torch.inference_mode():
        expected = by_patches(network, images, side)
        found = form.layers(images)[:, :, :4, :3]
    assert not torch.allclose(found, expected, rtol=0, atol=1e-4)
    assert (found - expected).abs().mean() < expected.abs().mean()


class Permuted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.permute(0, 2, 3, 1)).mean([1, 2])


class Cropped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images[:, :, 2:, 2:]).mean([2, 3])


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Permuted(), "layer 'permute': not known to do the same"),
        (Cropped(), "layer 'getitem': it takes a part"),
        (nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, padding_mode="reflect")), "layer '0': it pads with reflect"),
        pytest.param(
            nn.Sequential(nn.Conv2d(3, 2, 2, padding="same")),
            "layer '0': it pads one side more",
            marks=pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel"),
        ),
        (nn.Sequential(nn.Conv2d(3, 2, 1), nn.MaxPool2d(2, ceil_mode=True)), "layer '1': it rounds"),
        (nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(2)), "layer '1': it makes 2 x 2 of 9 x 9"),
        (nn.Sequential(nn.Conv2d(3, 2, 1), nn.InstanceNorm2d(2)), "layer '1': not known to do the same"),
        (nn.Sequential(nn.Flatten(), nn.BatchNorm1d(243), nn.Linear(243, 2)), "layer '1': it normalises each place"),
        (
            nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)),
            "layer '1': .*over the batch",
        ),
        (nn.Sequential(nn.Conv2d(3, 2, 3)), "layer '.*': more than one vector a patch"),
    ],
)
def test_a_layer_that_cannot_be_moved_is_named(network, message):
    with pytest.raises(UserError, match=message):
        make_dense(network, channels=3, patch_hw=(9, 9))
