import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.networks.architectures.residual import residual
from convolve.networks.catalogue import find_architecture
from convolve.networks.feature_pyramid import feature_pyramid
from convolve.networks.loading import load_backbone
from convolve.networks.pretrained import find_weights


def backbone(name: str, channels: int = 3, side: int = 64, **options) -> nn.Module:
    network = find_architecture(name).create(2, channels=channels, image_hw=(side, side), options=options)
    return network.backbone.eval()


def pyramid_of(name: str, channels: int = 3, side: int = 64):
    return feature_pyramid(backbone(name, channels, side), channels=channels, image_hw=(side, side)).eval()


def test_maps_are_those_that_timm_gives_as_features():
    timm = pytest.importorskip("timm")
    weights = find_weights("timm:tf_efficientnet_lite0")
    if weights is None or not weights.at_hand():
        pytest.skip("the packaged weights are not installed")
    network = find_architecture("timm:tf_efficientnet_lite0").create(2, channels=3, image_hw=(64, 64))
    load_backbone(network, weights)
    reference = timm.create_model("tf_efficientnet_lite0", features_only=True).eval()
    reference.load_state_dict(network.backbone.state_dict(), strict=False)
    pyramid = feature_pyramid(network.backbone, channels=3, image_hw=(64, 64)).eval()
    images = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        maps, expected = pyramid(images), reference(images)
    # timm's last features are those before the classifier's 1 x 1 convolution.
    assert pyramid.channels == (16, 24, 40, 112, 1280)
    for ours, theirs in zip(maps[:4], expected[:4], strict=True):
        torch.testing.assert_close(ours, theirs)


def test_resnets_maps_are_those_of_its_layers():
    network = backbone("torchvision:resnet18")
    images = torch.randn(1, 3, 64, 96)
    expected = []
    for layer in (network.relu, network.layer1, network.layer2, network.layer3, network.layer4):
        layer.register_forward_hook(lambda _layer, _inputs, output: expected.append(output))
    with torch.no_grad():
        network(images)
        first, *maps = feature_pyramid(network, channels=3, image_hw=(64, 64))(images)
    assert torch.equal(first, expected[0])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(maps, expected[1:5], strict=True))


@pytest.mark.parametrize(
    ("name", "channels", "centres"),
    [
        ("torchvision:resnet18", 3, {2: 0, 4: 0, 8: 0, 16: 0, 32: 0}),
        ("timm:tf_efficientnet_lite0", 3, {2: 1, 4: 3, 8: 7, 16: 15, 32: 31}),
        # Squeeze and excitation has no bound, but it moves nothing.
        ("torchvision:mobilenet_v3_small", 3, {2: 0, 4: 0, 8: 0, 16: 0, 32: 0}),
        ("patch-net", 3, {1: 2, 2: 6.5, 4: 11.5, 8: 21.5}),
        ("residual", 1, {1: 0, 2: 0, 4: 0}),
        # Layer normalisation is unknown to the arithmetic: the middle of the stride, where its patches are.
        ("timm:convnext_atto", 3, {4: 1.5, 8: 3.5, 16: 7.5, 32: 15.5}),
    ],
)
def test_strides_and_centres_are_known_ones(name, channels, centres):
    pyramid = pyramid_of(name, channels)
    assert {lattice.stride: lattice.centre for lattice in pyramid.lattices} == centres
    maps = pyramid(torch.zeros(1, channels, 128, 192))
    assert tuple(one.shape[1] for one in maps) == pyramid.channels


@pytest.mark.parametrize("name", ["timm:tf_efficientnet_lite0", "torchvision:mobilenet_v3_small", "residual"])
def test_centres_are_where_the_gradient_comes_from(name):
    """A wrong parity of padding would be half a stride away."""
    torch.manual_seed(0)
    network = backbone(name)
    pyramid = feature_pyramid(network, channels=3, image_hw=(64, 64)).double().eval()
    for level, lattice in enumerate(pyramid.lattices[:3]):
        images = torch.randn(3, 3, 96, 96, dtype=torch.float64, requires_grad=True)
        unit = 48 // lattice.stride
        pyramid(images)[level][:, :, unit, unit].square().sum().backward()
        rows = images.grad.square().sum(dim=(0, 1, 3))
        mean = float((rows * torch.arange(96)).sum() / rows.sum())
        assert abs(mean - (lattice.centre + unit * lattice.stride)) < 0.35 * lattice.stride + 0.5


@pytest.mark.parametrize(("name", "side"), [("residual", 64), ("torchvision:resnet18", 64), ("patch-net", 65)])
def test_units_see_no_pixel_beyond_their_reach(name, side):
    pyramid = pyramid_of(name, side=side).double()
    image = torch.randn(1, 3, 512, 64, dtype=torch.float64, requires_grad=True)
    maps = pyramid(image)[-1]
    unit = maps.shape[2] // 2
    (gradient,) = torch.autograd.grad(maps[:, :, unit].sum(), image)
    rows = gradient.abs().sum(dim=(0, 1, 3)).nonzero()
    centre = pyramid.lattices[-1].centre + unit * pyramid.lattices[-1].stride
    farthest = max(centre - rows.min().item(), rows.max().item() - centre)
    assert farthest <= pyramid.reach[-1]
    assert farthest > 0.5 * pyramid.reach[-1]


def test_any_size_will_do_and_units_stay_where_they_are():
    pyramid = pyramid_of("timm:tf_efficientnet_lite0")
    image = torch.randn(1, 3, 640, 64)
    with torch.no_grad():
        whole = pyramid(image)
        cut = pyramid(image[:, :, :601])
    for ours, theirs in zip(cut, whole, strict=True):
        torch.testing.assert_close(ours[:, :, : ours.shape[2] // 4], theirs[:, :, : ours.shape[2] // 4])
    assert [one.shape[2:] for one in pyramid(torch.zeros(1, 3, 1, 33))][-1] == (1, 2)


def test_the_layers_are_the_backbones_own_and_have_one_name_each():
    network = residual(2, channels=3, image_hw=(32, 32), depth=8)
    pyramid = feature_pyramid(network.backbone, channels=3, image_hw=(32, 32))
    own = {id(parameter) for parameter in network.backbone.parameters()}
    assert {id(parameter) for parameter in pyramid.parameters()} == own
    assert len(pyramid.state_dict()) == len(network.backbone.state_dict())


def test_networks_without_padding_say_what_they_need():
    pyramid = pyramid_of("patch-net", side=65)
    side = pyramid.smallest_side
    assert [min(one.shape[2:]) for one in pyramid(torch.zeros(1, 3, side, side))][-1] == 1
    with pytest.raises(RuntimeError):
        pyramid(torch.zeros(1, 3, side - 1, side - 1))


@pytest.mark.parametrize(
    ("name", "channels", "side", "words"),
    [
        ("mlp", 1, 32, "no maps coarser than the image"),
        ("torchvision:vit_b_16", 3, 224, "cannot be made fully convolutional"),
    ],
)
def test_networks_without_maps_are_answered(name, channels, side, words):
    with pytest.raises(UserError, match=words):
        pyramid_of(name, channels, side)


@pytest.mark.parametrize(("name", "side"), [("residual", 64), ("patch-net", 65)])
def test_entered_above_its_lower_levels_it_gives_the_same_maps(name, side):
    pyramid = pyramid_of(name, side=side)
    images = torch.randn(2, 3, side + 3, side + 10)
    with torch.no_grad():
        whole = pyramid(images)
        assert len(whole) > 2
        for entry in range(1, len(whole)):
            pyramid.entry = entry
            above = pyramid(pyramid.lower(images, entry))
            assert len(above) == len(whole) - entry + 1
            assert all(torch.equal(ours, theirs) for ours, theirs in zip(above, whole[entry - 1 :], strict=True))
