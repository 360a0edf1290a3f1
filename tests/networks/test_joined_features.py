import copy

import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.networks.joined_features import JoinedFeatures, check_layers, stage_layers


def small_backbone() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, stride=2, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def test_the_joined_means_are_those_of_the_inner_maps():
    backbone, images = small_backbone().eval(), torch.randn(2, 3, 16, 16)
    joined = JoinedFeatures(backbone, ["1", "3"])(images)
    fine = backbone[:2](images).mean(dim=(2, 3))
    coarse = backbone[:4](images).mean(dim=(2, 3))
    torch.testing.assert_close(joined, torch.cat([backbone(images), fine, coarse], dim=1))


def test_stages_end_where_the_resolution_falls_and_the_coarsest_is_left_out():
    assert stage_layers(small_backbone(), channels=3, image_hw=(16, 16)) == ("1", "3")


def test_a_copy_reads_its_own_layers():
    joined = JoinedFeatures(small_backbone().eval(), ["1"])
    other = copy.deepcopy(joined)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert other(torch.randn(1, 3, 8, 8)).abs().max() == 0


def test_looking_for_stages_leaves_the_mode_as_it_was():
    backbone = small_backbone().train()
    stage_layers(backbone, channels=3, image_hw=(16, 16))
    assert all(module.training for module in backbone.modules())


def test_without_the_last_only_the_named_layers_are_read_vectors_among_them():
    backbone, images = small_backbone().eval(), torch.randn(2, 3, 16, 16)
    joined = JoinedFeatures(backbone, ["1", "6"], last=False)(images)
    torch.testing.assert_close(joined, torch.cat([backbone[:2](images).mean(dim=(2, 3)), backbone(images)], dim=1))


def test_a_layer_that_does_not_exist_is_answered_with_near_names():
    backbone = nn.Sequential()
    backbone.add_module("blocks", small_backbone())
    with pytest.raises(UserError, match=r"no layer 'block.3'\n.*'blocks.3'.*outermost layers: blocks, last"):
        JoinedFeatures(backbone, ["block.3"])


def test_a_layer_that_gives_no_features_is_refused():
    class Tokens(nn.Module):
        def forward(self, images):
            return images.flatten(2)

    backbone = nn.Sequential(Tokens(), nn.Flatten())
    with pytest.raises(UserError, match=r"layer '0' gives no .*but a tensor of 3 dimensions"):
        check_layers(JoinedFeatures(backbone, ["0"]), channels=3, image_hw=(8, 8))
