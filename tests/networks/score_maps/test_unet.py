import pytest
import torch

from convolve.errors import UserError
from convolve.networks.architectures.patch_net import patch_net
from convolve.networks.architectures.residual import residual
from convolve.networks.catalogue import find_architecture
from convolve.networks.loading import load_backbone
from convolve.networks.pretrained import find_weights
from convolve.networks.score_maps import SCORE_MAPS
from convolve.networks.score_maps.unet import UNet
from convolve.registry import checked_options

RUNGS = ("fcn-32s", "fcn-16s", "fcn-8s", "unet")


def small(rung: str, **options):
    torch.manual_seed(0)
    network = residual(3, channels=3, image_hw=(32, 32), depth=8, width=8)
    pixels = SCORE_MAPS[rung].build(network, outputs=3, channels=3, image_hw=(32, 32), **options)
    # Score layers that begin at zero would hide everything else.
    for name, parameter in pixels.named_parameters():
        if "scorer" in name:
            torch.nn.init.normal_(parameter)
    return pixels


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("hw", [(32, 32), (37, 50), (1, 7), (64, 33)])
def test_every_pixel_of_any_image_has_scores(rung, hw):
    logits = small(rung).eval()(torch.randn(2, 3, *hw))
    assert logits.shape == (2, 3, *hw)
    assert logits.isfinite().all()


@pytest.mark.parametrize("rung", RUNGS)
def test_a_gradient_reaches_every_parameter(rung):
    network = small(rung)
    network(torch.randn(2, 3, 37, 50)).square().mean().backward()
    # A convolution's bias before batch normalisation would get none: there is no such.
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("row", [0, 66, 127])
def test_no_pixel_beyond_the_reach_is_seen(rung, row):
    network = small(rung).double().eval()
    image = torch.randn(1, 3, 128, 16, dtype=torch.float64, requires_grad=True)
    network(image)[:, :, row].sum().backward()
    seen = image.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    farthest = max(row - seen.min().item(), seen.max().item() - row)
    assert farthest <= network.reach
    if row == 66:
        assert farthest > 0.4 * network.reach


@pytest.mark.parametrize("rung", RUNGS)
def test_networks_without_padding_keep_to_their_reach_at_the_border(rung):
    network = patch_net(2, channels=1, image_hw=(65, 65))
    pixels = SCORE_MAPS[rung].build(network, outputs=2, channels=1, image_hw=(65, 65)).double().eval()
    for name, parameter in pixels.named_parameters():
        if "scorer" in name:
            torch.nn.init.normal_(parameter)
    image = torch.randn(1, 1, 160, 64, dtype=torch.float64)
    for row in (0, 159):
        image.requires_grad_().grad = None
        pixels(image)[:, :, row].sum().backward()
        seen = image.grad.abs().sum(dim=(0, 1, 3)).nonzero()
        assert max(row - seen.min().item(), seen.max().item() - row) <= pixels.reach


@pytest.mark.parametrize("rung", RUNGS)
def test_shifting_the_image_by_the_stride_shifts_the_map(rung):
    network = small(rung).double().eval()
    image = torch.randn(1, 3, 160, 16, dtype=torch.float64)
    inner = slice(network.reach, 160 - network.reach - network.stride)
    with torch.no_grad():
        whole = network(image)[:, :, network.stride :][:, :, inner]
        shifted = network(image[:, :, network.stride :])[:, :, inner]
    torch.testing.assert_close(shifted, whole)
    assert whole.shape[2] > 20


@pytest.mark.parametrize("rung", RUNGS)
def test_a_saved_network_is_the_same_again(rung):
    first, second = small(rung).eval(), small(rung).eval()
    for parameter in second.parameters():
        torch.nn.init.normal_(parameter)
    second.load_state_dict(first.state_dict())
    image = torch.randn(1, 3, 32, 20)
    assert torch.equal(first(image), second(image))


def test_packaged_weights_are_in_the_network():
    weights = find_weights("timm:tf_efficientnet_lite0")
    if weights is None or not weights.at_hand():
        pytest.skip("the packaged weights are not installed")
    network = find_architecture(weights.architecture).create(2, channels=3, image_hw=(64, 64))
    load_backbone(network, weights)
    unet = SCORE_MAPS["unet"].build(network, outputs=11, channels=3, image_hw=(64, 64))
    staged = [tuple(value.shape) for stage in unet.encoder_stages for value in stage.state_dict().values()]
    assert sorted(staged) == sorted(tuple(value.shape) for value in weights.load().values())
    assert torch.equal(unet.pyramid.levels[0][0].weight, weights.load()["conv_stem.weight"])
    assert [refinement.layers[0].out_channels for refinement in unet.refinements] == [128, 64, 32]
    assert unet(torch.randn(2, 3, 50, 70)).shape == (2, 11, 50, 70)


def test_dropout_leaves_out_whole_maps_in_the_second_step():
    unet: UNet = small("unet", dropout=0.5).eval()
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        encoded = unet.encode(image)
        unet.dropout.train()
        assert torch.equal(unet.encode(image)[0], encoded[0])
        left_out = (unet.dropout(encoded[0]) == 0).flatten(2).all(dim=2)
        assert left_out.any()
        assert not left_out.all()
        assert not torch.equal(unet.score(encoded, (32, 32)), unet.score(encoded, (32, 32)))


def test_the_finest_maps_can_be_chosen():
    assert len(small("unet").refinements) == 2
    assert len(small("unet", finest=2).refinements) == 1
    with pytest.raises(UserError, match=r"finest=16.*\n.*1, 2"):
        small("unet", finest=16)
    with pytest.raises(UserError, match=r"segment.options.width=8"):
        checked_options(SCORE_MAPS["unet"].build, {"width": 8}, where="segment.options")
