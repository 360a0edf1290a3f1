import pytest
import torch

from convolve.errors import UserError
from convolve.networks.architectures.residual import BasicBlock, ShortcutA
from convolve.networks.network import ARCHITECTURES


def residual(**options):
    return ARCHITECTURES["residual"].create(10, channels=3, image_hw=(32, 32), options=options)


@pytest.mark.parametrize(
    ("depth", "parameters"),
    [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)],
)
def test_the_papers_depths_have_their_number_of_parameters(depth, parameters):
    with torch.device("meta"):
        network = residual(depth=depth)
    assert sum(weight.numel() for weight in network.parameters()) == parameters


def test_twice_the_width_has_twice_the_features():
    assert residual(depth=8).features == 64
    assert residual(depth=8, width=32).features == 128


def test_a_depth_between_the_family_is_refused_with_the_next_one():
    with pytest.raises(UserError, match=r"network.options.depth=21: .*6n \+ 2; the next one is 26"):
        residual(depth=21)


def test_the_shortcut_across_stages_keeps_every_second_pixel_and_adds_zeros():
    maps = torch.randn(2, 3, 7, 6)
    shortcut = ShortcutA(2, 3)(maps)
    assert shortcut.shape == (2, 6, 4, 3)
    for row in range(4):
        for column in range(3):
            assert torch.equal(shortcut[:, :3, row, column], maps[:, :, 2 * row, 2 * column])
    assert not shortcut[:, 3:].any()


def test_a_block_without_residual_is_the_identity_on_rectified_maps():
    block = BasicBlock(4, 4, stride=1).eval()
    torch.nn.init.zeros_(block.conv2.weight)
    maps = torch.rand(2, 4, 8, 8)
    torch.testing.assert_close(block(maps), maps)


@pytest.mark.parametrize("image_hw", [(8, 8), (33, 64), (9, 20)])
def test_it_takes_images_of_any_size(image_hw):
    network = ARCHITECTURES["residual"].create(2, channels=1, image_hw=image_hw, options={"depth": 8})
    assert network(torch.zeros(2, 1, *image_hw)).shape == (2, 2)


@pytest.mark.parametrize(("depth", "parameters"), [(20, 269_722), (56, 853_018)])
def test_the_plain_network_has_the_same_layers(depth, parameters):
    with torch.device("meta"):
        plain, whole = residual(depth=depth, shortcuts=False), residual(depth=depth)
    assert sum(weight.numel() for weight in plain.parameters()) == parameters
    assert {name: tensor.shape for name, tensor in plain.state_dict().items()} == {
        name: tensor.shape for name, tensor in whole.state_dict().items()
    }


def test_a_plain_block_is_the_residual_one_without_its_input():
    block = BasicBlock(4, 8, stride=2).eval()
    plain = BasicBlock(4, 8, stride=2, shortcuts=False).eval()
    plain.load_state_dict(block.state_dict())
    maps = torch.rand(2, 4, 8, 8)
    inner = block.norm1(block.conv1(maps)).relu()
    alone = block.norm2(block.conv2(inner))
    torch.testing.assert_close(plain(maps), alone.relu())
    torch.testing.assert_close(block(maps), (alone + ShortcutA(2, 4)(maps)).relu())
