"""Patch by patch and dense are one function: at every pixel, borders included, on real images."""

from copy import deepcopy
from functools import cache

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor, nn

from convolve.errors import UserError
from convolve.networks.network import ARCHITECTURES, Network
from convolve.networks.pixel_network import PixelNetwork
from convolve.networks.score_maps import SCORE_MAPS
from convolve.randomness import torch_randomness

CLASSES = 6
float32_and_float64 = pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])


@cache
def photo(name: str, height: int, width: int) -> Tensor:
    """(1, C, H, W), float64, normalised by its own mean and spread."""
    whole = getattr(data, name)()
    pixels = np.atleast_3d(whole)[100 : 100 + height, 150 : 150 + width].astype(np.float64)
    return torch.from_numpy((pixels - pixels.mean()) / pixels.std()).permute(2, 0, 1)[None]


def classifier(name="patch-net", *, channels=3, side=65, **options) -> Network:
    """With weights and running averages as of a trained network: logits of several units, no layer's scale 1."""
    with torch_randomness("dense", name, side):
        network = ARCHITECTURES[name].create(CLASSES, channels=channels, image_hw=(side, side), options=options)
        nn.init.normal_(network.head.weight, std=0.3)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.normal_(layer.running_mean, std=0.1)
                nn.init.uniform_(layer.running_var, 0.5, 2.0)
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.normal_(layer.bias, std=0.1)
    return network.eval()


def rung(name: str, network: Network, *, channels=3, side=65, **options) -> PixelNetwork:
    build = SCORE_MAPS[name].build
    return build(network, outputs=CLASSES, channels=channels, image_hw=(side, side), **options).eval()


def logits(network: PixelNetwork, images: Tensor, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode():
        return network.to(dtype)(images.to(dtype))


@float32_and_float64
@pytest.mark.parametrize(
    ("name", "side", "photograph", "hw", "options"),
    [
        ("patch-net", 65, "astronaut", (17, 11), {}),
        ("patch-net", 33, "coffee", (24, 31), {}),
        ("patch-net", 64, "coffee", (5, 9), {"batch_norm": False}),
        ("lenet5", 32, "astronaut", (12, 9), {}),
        ("lenet5", 32, "camera", (12, 9), {}),
        ("mlp", 8, "camera", (10, 10), {"dropout": 0.5, "input_dropout": 0.2, "batch_norm": True}),
    ],
)
def test_both_ways_of_moving_it_are_the_patches_at_every_pixel(name, side, photograph, hw, options, dtype, tolerance):
    images = photo(photograph, *hw)
    channels = images.shape[1]
    network = classifier(name, channels=channels, side=side, **options)
    expected = logits(rung("patch", network, channels=channels, side=side), images, dtype)
    assert expected.shape == (1, CLASSES, *hw)
    assert expected.std() > 0.1
    for way in ("dilation", "shift-and-stitch"):
        found = logits(rung("dense", network, channels=channels, side=side, way=way), images, dtype)
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


@float32_and_float64
def test_the_two_ways_agree_on_a_whole_image(dtype, tolerance):
    images = photo("astronaut", 60, 75)
    network = classifier(side=33)
    by_dilation = logits(rung("dense", network, side=33), images, dtype)
    by_shifts = logits(rung("dense", network, side=33, way="shift-and-stitch"), images, dtype)
    assert by_dilation.shape == (1, CLASSES, 60, 75)
    torch.testing.assert_close(by_dilation, by_shifts, rtol=0, atol=tolerance)


@pytest.mark.parametrize("hw", [(1, 1), (1, 40), (3, 2), (7, 33)])
def test_images_smaller_than_a_patch_have_their_pixels_too(hw):
    images = photo("coffee", *hw)
    network = classifier(side=33)
    expected = logits(rung("patch", network, side=33), images, torch.float64)
    assert expected.shape == (1, CLASSES, *hw)
    for way in ("dilation", "shift-and-stitch"):
        found = logits(rung("dense", network, side=33, way=way), images, torch.float64)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_a_pixel_is_judged_by_the_patch_that_numpy_cuts_around_it():
    images = photo("astronaut", 20, 20)
    network = classifier(side=32).double()
    found = logits(rung("dense", network, side=32), images, torch.float64)
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (16, 15), (16, 15)), mode="reflect")
    for row, column in ((0, 0), (19, 19), (0, 7), (11, 13)):
        patch = torch.from_numpy(padded[:, :, row : row + 32, column : column + 32].copy())
        with torch.inference_mode():
            torch.testing.assert_close(found[:, :, row, column], network(patch), rtol=0, atol=1e-10)


def test_the_weights_of_one_rung_are_those_of_the_other_by_name_shape_and_bit():
    patch, dense = rung("patch", classifier(side=33), side=33), rung("dense", classifier(side=33, dropout=0.1), side=33)
    assert {name: value.shape for name, value in patch.state_dict().items()} == {
        name: value.shape for name, value in dense.state_dict().items()
    }
    with torch.no_grad():
        for weight in patch.parameters():
            weight.mul_(1.01)
    dense.load_state_dict(patch.state_dict())
    images = photo("coffee", 9, 9)
    expected = logits(patch, images, torch.float64)
    torch.testing.assert_close(logits(dense, images, torch.float64), expected, rtol=0, atol=1e-10)
    for name, value in dense.state_dict().items():
        assert torch.equal(value, patch.state_dict()[name])


def test_what_is_trained_is_the_classifier_and_the_map_follows_it():
    dense = rung("dense", classifier(side=33), side=33)
    images = photo("coffee", 9, 9)
    before = logits(dense, images, torch.float32)
    assert dense.trained_on == "patches"
    assert dense.patch_side == 33
    optimiser = torch.optim.SGD(dense.trained.parameters(), lr=0.1)
    dense.trained(torch.randn(4, 3, 33, 33)).square().sum().backward()
    optimiser.step()
    assert not torch.equal(logits(dense, images, torch.float32), before)


def test_a_copy_has_weights_of_its_own():
    dense = rung("dense", classifier(side=33), side=33)
    images = photo("coffee", 9, 9)
    before = logits(dense, images, torch.float32)
    copy = deepcopy(dense)
    with torch.no_grad():
        for weight in copy.parameters():
            weight.zero_()
    assert not logits(copy, images, torch.float32).any()
    assert torch.equal(logits(dense, images, torch.float32), before)


@pytest.mark.parametrize("name", ["patch", "dense"])
def test_only_the_second_step_draws(name):
    network = rung(name, classifier(side=33), side=33)
    for layer in network.modules():
        if isinstance(layer, nn.Dropout):
            layer.train()
    images = photo("coffee", 9, 7).float()
    with torch.inference_mode():
        encoded = network.encode(images)
        assert all(torch.equal(one, other) for one, other in zip(encoded, network.encode(images), strict=True))
        assert not torch.equal(network.score(encoded, (9, 7)), network.score(encoded, (9, 7)))


def test_a_pixel_does_not_depend_on_what_is_out_of_reach():
    for network in (rung("dense", classifier(side=33), side=33), rung("patch", classifier(side=33), side=33, step=3)):
        assert network.reach is not None
        images = photo("astronaut", 70, 70)
        other = images.clone()
        other[:, :, :, : 35 - network.reach] = 5.0
        first, second = logits(network, images, torch.float64), logits(network, other, torch.float64)
        torch.testing.assert_close(first[..., 35:], second[..., 35:], rtol=0, atol=1e-10)
        assert not torch.allclose(first[..., 30], second[..., 30], rtol=0, atol=1e-6)


def test_the_reach_of_a_padded_network_is_that_of_its_map_not_of_its_patch():
    network = rung("dense", classifier("residual", side=16, depth=8), side=16)
    images = photo("astronaut", 100, 3)
    other = images.clone()
    other[:, :, 50 + network.reach + 1 :] = 5.0
    first, second = logits(network, images, torch.float64), logits(network, other, torch.float64)
    assert network.reach > 16
    torch.testing.assert_close(first[:, :, :51], second[:, :, :51], rtol=0, atol=1e-10)
    other = images.clone()
    other[:, :, : 50 - network.reach] = 5.0
    second = logits(network, other, torch.float64)
    torch.testing.assert_close(first[:, :, 50:], second[:, :, 50:], rtol=0, atol=1e-10)


def test_a_network_that_pads_is_close_after_a_little_training():
    """Trained on five gray levels of coffee's centre pixels, most pixels have the patches' class, not all of them."""
    images = photo("coffee", 48, 48).float()
    network = classifier("residual", side=16, depth=8, width=8)
    levels = images[0].mean(0)
    classes = torch.bucketize(levels, torch.quantile(levels, torch.linspace(0, 1, CLASSES + 1)[1:-1]))
    windows = images[0].unfold(1, 16, 1).unfold(2, 16, 1).permute(1, 2, 0, 3, 4)
    with torch_randomness("training"):
        optimiser = torch.optim.Adam(network.train().parameters(), lr=0.01)
        for _ in range(40):
            rows, columns = torch.randint(0, 33, (2, 64))
            loss = nn.functional.cross_entropy(network(windows[rows, columns]), classes[rows + 8, columns + 8])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    patch = logits(rung("patch", network, side=16), images, torch.float32).argmax(1)
    dense = logits(rung("dense", network, side=16), images, torch.float32).argmax(1)
    alike = (patch == dense).float().mean().item()
    assert patch.unique().numel() >= 4
    assert 0.5 < alike < 1.0


def test_a_layer_that_looks_at_the_whole_patch_is_named():
    import torchvision

    network = torchvision.models.mobilenet_v3_small(num_classes=CLASSES)
    with pytest.raises(UserError, match=r"cannot be moved over an image: layer 'mul': maps of two resolutions meet"):
        rung("dense", network, side=64)


def test_patches_that_are_not_square_are_refused():
    with pytest.raises(UserError, match="not 65 x 33"):
        SCORE_MAPS["dense"].build(classifier(), outputs=CLASSES, channels=3, image_hw=(65, 33))
