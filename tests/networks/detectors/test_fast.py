import pytest
import torch
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from convolve.errors import UserError
from convolve.networks.architectures.residual import residual
from convolve.networks.detection.anchors import AnchorShapes
from convolve.networks.detection.region_heads import RegionHead, two_layers
from convolve.networks.detection.shared_maps import shared_maps
from convolve.networks.detectors import DETECTORS
from convolve.networks.detectors.fast import fast
from convolve.networks.detectors.faster import faster
from convolve.networks.layers.bilinear_upsampling import Lattice
from convolve.networks.network import Network
from convolve.registry import checked_options

BUILDS = [pytest.param(fast, id="fast"), pytest.param(faster, id="faster")]


def build_small(build, **options):
    torch.manual_seed(0)
    network = residual(2, channels=3, image_hw=(64, 64), depth=8, width=8)
    anchors = AnchorShapes(sizes=(16.0, 32.0), ratios=(1.0,))
    return build(network, classes=2, channels=3, image_hw=(64, 64), anchors=anchors, width=16, head_width=32, **options)


def test_with_vgg16_it_has_the_parameters_of_the_paper():
    rest = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 8))
    network = Network(nn.Sequential(make_layers(cfgs["D"]), *rest), nn.Linear(8, 2), features=8)
    place = {"channels": 3, "image_hw": (224, 224), "pyramid": False, "width": 1, "finest": "auto"}
    maps = shared_maps(network, **place)
    assert (maps.channels, maps.lattices) == (512, (Lattice(16, 7.5),))
    with torch.device("meta"):
        head = RegionHead(two_layers(512, bins=7, width=4096), features=4096, classes=20)
    count = sum(parameter.numel() for module in (maps, head) for parameter in module.parameters())
    # But for the four offsets of the background, which nothing trains.
    assert count == 134_690_729 - 4 * 4097


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("pooling", ["roi_pool", "roi_align"])
@pytest.mark.parametrize("options", [{"pyramid": False}, {"finest": 1}, {"finest": 2}, {}])
def test_every_option_trains_every_parameter_and_detects(build, pooling, options):
    detector = build_small(build, pooling=pooling, **options).train()
    images, hw = torch.randn(2, 3, 48, 64), torch.tensor([[48, 64], [40, 50]])
    regions = torch.tensor([[[4.0, 5, 30, 30], [0, 0, 64, 48], [20, 20, 30, 30], [6, 8, 26, 26]]] * 2)
    targets = torch.tensor([[[5.0, 5, 28, 27, 1, 0], [30, 2, 49, 39, 0, 0]]] * 2)
    losses = detector(images, hw, regions)(targets)
    sum(loss.sum() for loss in losses.values()).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in detector.parameters())
    with torch.no_grad():
        rows = detector.eval()(images, hw, regions)
    assert rows.shape == (2, 100, 6)
    assert rows[1, :, 2].max() <= 50
    assert rows[1, :, 3].max() <= 40
    assert (rows[:, 0, 5] > 0).all()


@pytest.mark.parametrize("build", BUILDS)
def test_the_dense_part_and_the_head_can_be_exported(build):
    detector = build_small(build, finest=2).eval()
    images = torch.randn(2, 3, 48, 64)
    program = torch.export.export(detector.dense, (images,)).module()
    expected = detector.dense(images)
    assert len(expected) == (6 if build is faster else 2)
    for one, other in zip(program(images), expected, strict=True):
        torch.testing.assert_close(one, other)
    regions = torch.randn(5, 16, 7, 7)
    head = torch.export.export(detector.region_head, (regions,)).module()
    assert head(regions).shape == (5, 3 + 8)


@pytest.mark.parametrize("build", BUILDS)
def test_the_head_begins_undecided_and_with_the_regions_as_they_are(build):
    head = build_small(build, finest=1).region_head
    assert head.classifier.weight.std().item() == pytest.approx(0.01, rel=0.3)
    assert head.offsets.weight.std().item() == pytest.approx(0.001, rel=0.3)
    assert head.body(torch.randn(3, 16, 7, 7)).shape == (3, 32)


def test_facts_are_stated():
    detector = build_small(fast)
    assert detector.takes_regions
    assert not build_small(faster).takes_regions
    assert detector.stride == 4
    assert len(detector.encoder_stages) == 3
    stages = [parameter for stage in detector.encoder_stages for parameter in stage.parameters()]
    assert len({id(parameter) for parameter in stages}) == len(stages)
    # Without a pyramid the backbone's coarser levels are not there either.
    assert build_small(faster).reach == detector.reach + 4
    assert build_small(fast, pyramid=False).reach < detector.reach


@pytest.mark.parametrize("name", ["fast", "faster"])
def test_unknown_options_and_strides_that_are_not_there_are_answered(name):
    build = DETECTORS[name].build
    with pytest.raises(UserError, match=r"finest=8: this network has no maps of that stride"):
        build_small(build, finest=8)
    with pytest.raises(UserError, match="pooling"):
        checked_options(build, {"pooling": "mean"}, where="detect.options")
    with pytest.raises(UserError, match="unknown option 'widht'"):
        checked_options(build, {"widht": 96}, where="detect.options")
    assert DETECTORS[name].takes_regions == (name == "fast")
