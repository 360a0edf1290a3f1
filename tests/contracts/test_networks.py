"""What every registered network promises."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from convolve.errors import UserError
from convolve.networks.network import ARCHITECTURES, Network
from convolve.randomness import torch_randomness

NAMES = list(ARCHITECTURES)
OUTPUTS = 5
every_network = pytest.mark.parametrize("name", NAMES)


def side_of(name: str) -> int:
    architecture = ARCHITECTURES[name]
    return architecture.sides[0] if architecture.sides else max(architecture.smallest_side, 12)


def create(name: str, *, channels: int = 1, key: int = 0) -> Network:
    side = side_of(name)
    with torch_randomness(key, "network"):
        return ARCHITECTURES[name].create(OUTPUTS, channels=channels, image_hw=(side, side))


def images(name: str, count: int, *, channels: int = 1) -> torch.Tensor:
    side = side_of(name)
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(1))


def test_the_networks_are_found():
    assert {"lenet5", "mlp", "residual"} <= set(NAMES)


@every_network
def test_it_is_known_by_its_own_name_and_says_what_it_is(name):
    architecture = ARCHITECTURES[name]
    assert architecture.name == name
    assert architecture.about
    assert architecture.source
    assert list(architecture.sides) == sorted(architecture.sides)


@every_network
@pytest.mark.parametrize("channels", [1, 3])
def test_it_gives_every_image_its_outputs(name, channels):
    network = create(name, channels=channels)
    batch = images(name, 4, channels=channels)
    features = network.backbone(batch)
    assert features.shape == (4, network.features)
    assert network(batch).shape == (4, OUTPUTS)


@every_network
def test_untrained_it_prefers_no_class(name):
    logits = create(name)(images(name, 32)).detach()
    loss = F.cross_entropy(logits, torch.arange(32) % OUTPUTS)
    assert loss.item() == pytest.approx(math.log(OUTPUTS), abs=0.1)


@every_network
def test_a_gradient_reaches_every_parameter(name):
    network = create(name)
    F.cross_entropy(network(images(name, 8)), torch.arange(8) % OUTPUTS).backward()
    without = [path for path, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


@every_network
def test_an_image_is_read_the_same_alone_and_in_company(name):
    network = create(name).eval()
    batch = images(name, 4)
    with torch.no_grad():
        alone = torch.cat([network(image[None]) for image in batch])
        torch.testing.assert_close(network(batch), alone)


@every_network
def test_the_same_key_draws_the_same_weights_and_another_key_others(name):
    first, again, other = create(name).state_dict(), create(name).state_dict(), create(name, key=1).state_dict()
    assert all(torch.equal(first[path], again[path]) for path in first)
    assert any(not torch.equal(first[path], other[path]) for path in first)


@every_network
def test_saved_and_loaded_it_computes_the_same_bits(name, tmp_path: Path):
    network, other = create(name), create(name, key=1)
    network(images(name, 8))  # so that running averages are not at their start
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        assert torch.equal(network.eval()(images(name, 4)), other.eval()(images(name, 4)))


@every_network
def test_images_of_two_channels_are_refused(name):
    side = side_of(name)
    with pytest.raises(UserError, match=rf"'{name}' takes images of 1 or 3 channels, not 2"):
        ARCHITECTURES[name].create(OUTPUTS, channels=2, image_hw=(side, side))


@pytest.mark.parametrize("name", [name for name in NAMES if ARCHITECTURES[name].smallest_side > 1])
def test_too_small_images_are_refused(name):
    smallest = ARCHITECTURES[name].smallest_side
    with pytest.raises(UserError, match=rf"at least {smallest} x {smallest} pixels, not {smallest} x {smallest - 1}"):
        ARCHITECTURES[name].create(OUTPUTS, channels=1, image_hw=(smallest, smallest - 1))


@every_network
def test_an_unknown_option_is_refused(name):
    side = side_of(name)
    with pytest.raises(UserError, match=r"network\.options: unknown option 'colour'"):
        ARCHITECTURES[name].create(OUTPUTS, channels=1, image_hw=(side, side), options={"colour": "red"})
