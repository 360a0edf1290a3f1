import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.networks.catalogue import find_architecture
from convolve.networks.stages import find_stages, join


def backbone_of(name: str, *, side: int, channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return find_architecture(name).create(2, channels=channels, image_hw=(side, side)).backbone


# The last resolution of each stage, as the papers' tables give them for the side asked for.
@pytest.mark.parametrize(
    ("name", "side", "resolutions"),
    [
        ("timm:tf_efficientnet_lite0", 64, [32, 16, 8, 4, 2]),
        ("timm:resnet18", 64, [32, 16, 8, 4, 2]),
        ("timm:convnext_atto", 64, [16, 8, 4, 2]),
        ("timm:regnety_002", 64, [32, 16, 8, 4, 2]),
        ("torchvision:resnet18", 64, [32, 16, 8, 4, 2]),
        ("torchvision:mobilenet_v2", 64, [32, 16, 8, 4, 2]),
        ("residual", 32, [32, 16, 8]),
        ("mlp", 8, [None]),
    ],
)
def test_the_stages_one_after_the_other_are_the_backbone(name, side, resolutions):
    backbone = backbone_of(name, side=side)
    stages = find_stages(backbone, channels=3, image_hw=(side, side))
    assert [stage.map_hw and stage.map_hw[0] for stage in stages] == resolutions
    images = torch.randn(3, 3, side, side)
    with torch.inference_mode():
        backbone.eval()
        for cut in range(1, len(stages)):
            features = join(stages[cut:])(join(stages[:cut])(images))
            torch.testing.assert_close(features, backbone(images), rtol=1e-6, atol=1e-6)
    # The same parameters, each in one stage alone.
    own = [id(parameter) for stage in stages for layer in stage.layers for parameter in layer.parameters()]
    assert sorted(own) == sorted(id(parameter) for parameter in backbone.parameters())


def test_lite0_is_cut_as_its_paper_does():
    stages = find_stages(backbone_of("timm:tf_efficientnet_lite0", side=64), channels=3, image_hw=(64, 64))
    firsts = [stage.names[0] for stage in stages]
    assert firsts == ["conv_stem", "blocks.1.0", "blocks.2.0", "blocks.3.0", "blocks.5.0"]
    assert str(stages[2]) == "blocks.2.0 to blocks.2.1 (8 x 8)"


@pytest.mark.parametrize("name", ["timm:test_vit", "torchvision:densenet121"])
def test_what_is_no_chain_says_what_works(name):
    side = 160 if "vit" in name else 64
    backbone = backbone_of(name, side=side).train()
    with pytest.raises(UserError, match=r"(VisionTransformer|DenseNet)' cannot be cut into stages") as told:
        find_stages(backbone, channels=3, image_hw=(side, side))
    assert 'stages="all"' in told.value.remedy
    assert all(module.training for module in backbone.modules())


def test_a_pooling_layer_at_the_end_belongs_to_the_last_stage():
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 5, 3, stride=2, padding=1)]
    backbone = nn.Sequential(*convolutions, nn.MaxPool2d(2))
    stages = find_stages(backbone, channels=3, image_hw=(16, 16))
    assert [stage.names for stage in stages] == [("0",), ("1", "2")]
    assert [stage.map_hw for stage in stages] == [(8, 8), (2, 2)]
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(join(stages)(images), backbone(images), rtol=0, atol=0)
