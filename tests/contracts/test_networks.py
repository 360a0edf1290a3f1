"""What every registered network promises."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from convolve.errors import UserError
from convolve.networks.cost import cost_of
from convolve.networks.network import ARCHITECTURES, Network
from convolve.randomness import torch_randomness
from convolve.tasks.classify.one_label import OneLabel
from convolve.training.auxiliary_losses import training_form

NAMES = list(ARCHITECTURES)
OUTPUTS = 5
# A pass over one image; what needs more is asked everything once, by a single test, or only its shapes.
QUICK_MULTIPLY_ADDS = 300e6
# AlexNet has 57 million for so few outputs; larger ones are real in the slow tests alone.
QUICK_PARAMETERS = 57.5e6


def side_of(name: str) -> int:
    architecture = ARCHITECTURES[name]
    return architecture.sides[0] if architecture.sides else max(architecture.smallest_side, 12)


def shapes_only(name: str, *, channels: int = 1) -> Network:
    side = side_of(name)
    with torch.device("meta"):
        return ARCHITECTURES[name].create(OUTPUTS, channels=channels, image_hw=(side, side))


def cost(name: str):
    side = side_of(name)
    return cost_of(shapes_only(name), channels=1, image_hw=(side, side))


COSTS = {name: cost(name) for name in NAMES}
QUICK = [name for name in NAMES if COSTS[name].multiply_adds < QUICK_MULTIPLY_ADDS]
HEAVY = [
    pytest.param(name, marks=[pytest.mark.slow] if COSTS[name].parameters > QUICK_PARAMETERS else [])
    for name in NAMES
    if name not in QUICK
]
every_network = pytest.mark.parametrize("name", NAMES)
quick_network = pytest.mark.parametrize("name", QUICK)


def create(name: str, *, channels: int = 1, key: int = 0) -> Network:
    side = side_of(name)
    with torch_randomness(key, "network"):
        return ARCHITECTURES[name].create(OUTPUTS, channels=channels, image_hw=(side, side))


def images(name: str, count: int, *, channels: int = 1, device: str = "cpu") -> torch.Tensor:
    side = side_of(name)
    drawn = torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(1))
    return drawn.to(device)


def without_gradient(network: Network, batch: torch.Tensor) -> list[str]:
    """Parameters that a step of training on a batch would not move."""
    module, losses = training_form(network, OneLabel([str(number) for number in range(OUTPUTS)]))
    losses(module(batch), torch.arange(len(batch)) % OUTPUTS).mean().backward()
    return [path for path, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]


def test_the_networks_are_found():
    assert {"lenet5", "mlp", "residual", "alexnet", "zfnet", "vgg-cnn-s", "overfeat", "googlenet"} <= set(NAMES)
    assert len(QUICK) + len(HEAVY) == len(NAMES)
    assert {"lenet5", "mlp", "residual", "patch-net", "small-vgg"} <= set(QUICK)


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
    network = shapes_only(name, channels=channels)
    batch = images(name, 4, channels=channels, device="meta")
    features = network.backbone(batch)
    assert features.shape == (4, network.features)
    assert network(batch).shape == (4, OUTPUTS)


@quick_network
def test_untrained_it_prefers_no_class(name):
    logits = create(name)(images(name, 32)).detach()
    loss = F.cross_entropy(logits, torch.arange(32) % OUTPUTS)
    assert loss.item() == pytest.approx(math.log(OUTPUTS), abs=0.1)


@quick_network
def test_a_gradient_reaches_every_parameter(name):
    assert without_gradient(create(name), images(name, 8)) == []


@quick_network
def test_an_image_is_read_the_same_alone_and_in_company(name):
    network = create(name).eval()
    batch = images(name, 4)
    with torch.no_grad():
        alone = torch.cat([network(image[None]) for image in batch])
        torch.testing.assert_close(network(batch), alone)


@quick_network
def test_the_same_key_draws_the_same_weights_and_another_key_others(name):
    first, again, other = create(name).state_dict(), create(name).state_dict(), create(name, key=1).state_dict()
    assert all(torch.equal(first[path], again[path]) for path in first)
    assert any(not torch.equal(first[path], other[path]) for path in first)


@quick_network
def test_saved_and_loaded_it_computes_the_same_bits(name, tmp_path: Path):
    network, other = create(name), create(name, key=1)
    network(images(name, 8))  # so that running averages are not at their start
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        assert torch.equal(network.eval()(images(name, 4)), other.eval()(images(name, 4)))


@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_network_keeps_the_same_promises(name, tmp_path: Path):
    network, batch = create(name), images(name, 2)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    with torch.no_grad():
        logits = network.eval()(batch)
        alone = torch.cat([network(image[None]) for image in batch])
    torch.testing.assert_close(logits, alone)
    loss = F.cross_entropy(logits, torch.arange(2))
    assert loss.item() == pytest.approx(math.log(OUTPUTS), abs=0.1)
    # Half of its units drop out of a step, so that two images may not reach every one of a layer's; a layer they do.
    assert without_gradient(network.train(), batch) == []
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
        network.load_state_dict(load_file(tmp_path / "weights.safetensors"))
        assert torch.equal(network.eval()(batch), logits)


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
