import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.networks.architectures.residual import residual
from convolve.networks.catalogue import find_architecture
from convolve.networks.network import Network
from convolve.networks.score_maps import SCORE_MAPS
from convolve.networks.score_maps.fcn import FullyConvolutionalNetwork

RUNGS = ("fcn-32s", "fcn-16s", "fcn-8s")


def build(rung: str, network: Network, *, outputs: int = 21, channels: int = 3, **options) -> FullyConvolutionalNetwork:
    return SCORE_MAPS[rung].build(network, outputs=outputs, channels=channels, image_hw=(224, 224), **options)


def small(rung: str, *, outputs: int = 3, **options) -> FullyConvolutionalNetwork:
    network = residual(outputs, channels=3, image_hw=(32, 32), depth=8, width=8)
    return build(rung, network, outputs=outputs, **options)


@pytest.fixture(scope="module")
def vgg16() -> Network:
    return find_architecture("torchvision:vgg16").create(21, channels=3, image_hw=(224, 224)).eval()


@pytest.fixture(scope="module")
def paper(vgg16) -> dict[str, FullyConvolutionalNetwork]:
    return {rung: build(rung, vgg16, form="paper").eval() for rung in RUNGS}


@pytest.mark.parametrize(
    ("rung", "parameters", "kernels"),
    [("fcn-32s", 134_346_581, 0), ("fcn-16s", 134_357_354, 1), ("fcn-8s", 134_362_751, 2)],
)
def test_the_papers_networks_have_its_number_of_parameters(paper, rung, parameters, kernels):
    count = sum(parameter.numel() for parameter in paper[rung].parameters())
    assert count == parameters + kernels * 21 * 4 * 4


def test_the_papers_networks_have_its_sizes(paper):
    network = paper["fcn-8s"]
    sizes = []
    hooks = [
        layer.register_forward_hook(lambda _layer, _inputs, output: sizes.append(output.shape[2]))
        for layer in network.pyramid.modules()
        if isinstance(layer, nn.MaxPool2d) or (isinstance(layer, nn.Conv2d) and layer.kernel_size == (7, 7))
    ]
    first = network.pyramid.levels[0][0].register_forward_hook(
        lambda _layer, _inputs, output: sizes.append(output.shape[2])
    )
    with torch.no_grad():
        # One row of units wide: the sizes of the other axis cost little.
        coarsest, pool4, pool3 = network.encode(torch.zeros(1, 3, 500, 1))
        scores = network.scorer(network.classifier(coarsest))
        fused = network.fusions[0](scores, pool4)
        finer = network.fusions[1](fused, pool3)
        logits = network.score((coarsest, pool4, pool3), (500, 1))
    for hook in [*hooks, first]:
        hook.remove()
    assert sizes == [698, 349, 175, 88, 44, 22, 16]
    assert (fused.shape[2], finer.shape[2], logits.shape[2:]) == (34, 70, (500, 1))


@pytest.mark.parametrize(
    ("rung", "size", "crop", "offsets"),
    [("fcn-32s", 544, 19, []), ("fcn-16s", 560, 27, [5]), ("fcn-8s", 568, 31, [5, 9])],
)
def test_the_papers_crops_follow_from_the_centres(paper, rung, size, crop, offsets):
    network = paper[rung]
    assert [fusion.offset for fusion in network.fusions] == offsets
    units = {"fcn-32s": 16, "fcn-16s": 34, "fcn-8s": 70}[rung]
    scores = torch.rand(1, 21, units, 1)
    kernel = network.to_pixels.weight
    uncut = nn.functional.conv_transpose2d(scores, kernel, stride=kernel.shape[2] // 2, groups=21)
    assert uncut.shape[2] == size
    columns = uncut[:, :, crop : crop + 500, crop : crop + 1]
    assert torch.equal(network.to_pixels(scores, (500, 1)), columns)


def test_fcn_32s_of_a_crop_scores_it_as_the_classifier_does(vgg16):
    network = build("fcn-32s", vgg16, form="classifier").eval()
    network.scorer.weight.data = vgg16.head.weight.data[:, :, None, None]
    network.scorer.bias.data = vgg16.head.bias.data
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        (maps,) = network.encode(images)
        scores = network.scorer(network.classifier(maps))
        expected = vgg16(images)
    assert scores.shape == (1, 21, 7, 7)
    torch.testing.assert_close(scores[:, :, 3, 3], expected, rtol=1e-4, atol=1e-6)


def test_the_fully_connected_weights_are_the_networks_own(vgg16):
    network = build("fcn-16s", vgg16, form="classifier", dropout=0.3)
    fc6, fc7 = network.pyramid.levels[-1][-2], network.classifier[1]
    linear = [layer for layer in vgg16.backbone.classifier if isinstance(layer, nn.Linear)]
    assert fc6.weight.data_ptr() == linear[0].weight.data_ptr()
    assert fc7.weight.data_ptr() == linear[1].weight.data_ptr()
    assert [layer.p for layer in network.classifier if isinstance(layer, nn.Dropout)] == [0.3, 0.3]
    assert network.scales == (0.01, 0.0001)


@pytest.mark.parametrize("rung", RUNGS)
def test_an_untrained_network_prefers_no_class(rung):
    images = torch.randn(2, 3, 30, 41)
    assert not small(rung)(images).any()


@pytest.mark.parametrize("rung", RUNGS)
def test_scores_lie_over_the_objects_they_belong_to(rung):
    """With one map passed through, a bright square in the image is found where it is, at all strides."""
    network = small(rung, outputs=1).double().eval()
    for layer in network.pyramid.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
    for layer in (network.scorer, *network.skip_scorers):
        nn.init.constant_(layer.weight, 1.0)
    images = torch.zeros(1, 3, 64, 96, dtype=torch.float64)
    images[:, :, 20:29, 60:69] = 1
    with torch.no_grad():
        scores = (network(images) - network(torch.zeros_like(images)))[0, 0]
    rows, columns = torch.arange(64.0), torch.arange(96.0)
    assert float((scores.sum(1) * rows).sum() / scores.sum()) == pytest.approx(24, abs=0.3)
    assert float((scores.sum(0) * columns).sum() / scores.sum()) == pytest.approx(64, abs=0.3)


def test_dropout_is_drawn_in_the_second_step_alone():
    network = small("fcn-8s", dropout=0.5).train()
    for layers in (network.scorer, *network.skip_scorers):
        nn.init.normal_(layers.weight)
    network.pyramid.eval()
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        first, second = network.encode(images), network.encode(images)
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
        assert not torch.equal(network.score(first, (32, 32)), network.score(first, (32, 32)))


def test_only_upsampling_between_maps_is_learned():
    shapes = {name: tuple(value.shape) for name, value in small("fcn-8s").named_parameters() if "upsampling" in name}
    assert shapes == {f"fusions.{step}.upsampling.weight": (3, 1, 3, 3) for step in (0, 1)}
    assert not [name for name in small("fcn-8s", upsampling="fixed").state_dict() if "upsampling" in name]


def test_the_encoders_stages_have_all_that_came_with_the_network():
    network = residual(2, channels=3, image_hw=(32, 32), depth=8)
    pixels = build("fcn-8s", network, outputs=5)
    staged = {id(parameter) for stage in pixels.encoder_stages for parameter in stage.parameters()}
    assert staged == {id(parameter) for parameter in network.backbone.parameters()}


def test_forms_that_do_not_suit_the_network_are_answered():
    with pytest.raises(UserError, match="no fully connected layers"):
        small("fcn-8s", form="classifier")
    with pytest.raises(UserError, match="no VGG"):
        small("fcn-8s", form="paper")
