"""Against the papers' and torchvision's figures, `cost_of`, and memory counted by hand."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from convolve.errors import UserError
from convolve.networks.catalogue import find_architecture
from convolve.networks.cost import cost_of
from convolve.see.graph.layers import layer_graph


def _lenet(**options):
    return find_architecture("lenet5").create(10, channels=1, image_hw=(32, 32), options=options)


def _library(name):
    with torch.device("meta"):
        if name.startswith("tf_"):
            return timm.create_model(name)
        extra = {"init_weights": False} if name == "googlenet" else {}
        return torchvision.models.get_model(name, weights=None, **extra)


def test_lenets_layers_see_what_the_paper_says():
    graph = layer_graph(_lenet(batch_norm=False), channels=1, image_hw=(32, 32))
    windows = [row for row in graph.rows if row.operation.startswith(("Conv2d", "MaxPool2d"))]
    assert [row.receptive_field for row in windows] == [(side, side) for side in (5, 6, 14, 16, 32)]
    assert [row.stride for row in windows] == [(step, step) for step in (1, 2, 2, 4, 4)]
    assert [row.shape for row in windows] == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120, 1, 1)]
    assert (graph.parameters, graph.multiply_adds) == (61_706, 416_520)


def test_lenet_of_1998_has_the_papers_parameters_layer_by_layer():
    options = {"subsampling": "trainable", "c3": "table", "output": "rbf", "squash": "tanh", "batch_norm": False}
    graph = layer_graph(_lenet(**options), channels=1, image_hw=(32, 32))
    assert [row.parameters for row in graph.rows if row.parameters] == [156, 12, 1516, 32, 48_120, 10_164]
    assert graph.parameters == 60_000


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds", "field"),
    [
        # torchvision's documentation: parameters; the fields of the distill article's appendix.
        ("resnet18", 11_689_512, 1_814_073_344, 435),
        ("vgg16", 138_357_544, 15_470_264_320, 212),
        ("googlenet", 13_004_888, None, None),
        ("tf_efficientnet_lite0", 4_652_008, None, None),
    ],
)
def test_known_networks_add_up_to_their_known_figures(name, parameters, multiply_adds, field):
    network = _library(name)
    graph, cost = (
        layer_graph(network, channels=3, image_hw=(224, 224)),
        cost_of(network, channels=3, image_hw=(224, 224)),
    )
    last = [row for row in graph.rows if row.receptive_field][-1]
    assert graph.parameters == cost.parameters == parameters
    assert graph.multiply_adds == cost.multiply_adds == (multiply_adds or cost.multiply_adds)
    assert last.receptive_field == (cost.receptive_field, cost.receptive_field)
    assert field in (None, cost.receptive_field)


@pytest.mark.parametrize("name", ["mlp", "patch-net", "residual"])
def test_our_own_networks_add_up_to_their_cost(name):
    hw = (33, 33) if name == "patch-net" else (32, 32)
    network = find_architecture(name).create(7, channels=3, image_hw=hw)
    graph, cost = layer_graph(network, channels=3, image_hw=hw), cost_of(network, channels=3, image_hw=hw)
    assert (graph.parameters, graph.multiply_adds) == (cost.parameters, cost.multiply_adds)
    assert graph.unused_parameters == 0
    assert graph.rows[-1].shape == (7,)


def test_branches_and_joins_are_rows_with_their_inputs():
    graph = layer_graph(_library("resnet18"), channels=3, image_hw=(224, 224))
    names = [(row.name, row.operation) for row in graph.rows]
    pooled, after_block = names.index(("maxpool", "MaxPool2d 3x3/2")), names.index(("layer1.0", "add"))
    assert graph.rows[after_block].inputs == (pooled, names.index(("layer1.0.bn2", "BatchNorm2d")))
    sums = [row for row in graph.rows if row.operation == "add"]
    assert len(sums) == 8
    assert all(len(row.inputs) == 2 for row in sums)
    inception = layer_graph(_library("googlenet"), channels=3, image_hw=(224, 224))
    joins = [row for row in inception.rows if row.operation == "concatenate"]
    assert [len(row.inputs) for row in joins] == [4] * 9
    # torchvision's documentation: 6,624,904 parameters without the auxiliary classifiers.
    assert inception.unused_parameters == 13_004_888 - 6_624_904


class _Joined(nn.Module):
    """Two branches, a shared layer, control flow that no tracer follows, a sum and a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        self.act = nn.ReLU(inplace=True)

    def forward(self, images):
        first = self.act(self.shared(images))
        if first.shape[-1] > 4:
            second = self.shared(first)
        return torch.cat([first, second + images], dim=1)


def test_memory_is_counted_once_where_it_is_shared():
    graph = layer_graph(_Joined(), channels=2, image_hw=(8, 8))
    size = 2 * 8 * 8 * 4
    assert [(row.name, row.operation, row.inputs) for row in graph.rows] == [
        ("image", "", ()),
        ("shared", "Conv2d 3x3", (0,)),
        ("act", "ReLU", (1,)),
        ("shared", "Conv2d 3x3", (2,)),
        ("", "add", (0, 3)),
        ("", "concatenate", (2, 4)),
    ]
    assert [row.memory for row in graph.rows] == [size, size, 0, size, size, 2 * size]
    assert [row.held for row in graph.rows] == [size, 2 * size, 2 * size, 3 * size, 4 * size, 6 * size]
    # The image and the activation are needed until the sum and the concatenation.
    assert [row.live for row in graph.rows] == [size, 2 * size, 2 * size, 3 * size, 4 * size, 4 * size]
    assert (graph.training_memory, graph.inference_memory) == (6 * size, 4 * size)
    # A layer that is used twice costs its parameters once and its work twice.
    assert [row.parameters for row in graph.rows] == [0, 36, 0, 0, 0, 0]
    assert graph.multiply_adds == 2 * 36 * 64
    assert [row.receptive_field for row in graph.rows] == [(1, 1), (3, 3), (3, 3), (5, 5), (5, 5), (5, 5)]


def test_half_precision_takes_half_the_memory():
    whole = layer_graph(_Joined(), channels=2, image_hw=(8, 8))
    half = layer_graph(_Joined().half(), channels=2, image_hw=(8, 8))
    assert half.training_memory * 2 == whole.training_memory


def test_the_network_is_left_as_it_was():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    layer_graph(network, channels=1, image_hw=(8, 8))
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not network[0]._forward_hooks


def test_an_attention_network_is_followed():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    network = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.Flatten(2), _Turned(), layer)
    graph = layer_graph(network, channels=3, image_hw=(16, 16))
    assert graph.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert graph.rows[-1].operation == "TransformerEncoderLayer"
    assert graph.rows[-1].receptive_field is None


class _Turned(nn.Module):
    def forward(self, maps):
        return maps.transpose(1, 2)


@pytest.mark.parametrize(
    ("network", "channels"),
    [(nn.Conv2d(3, 4, 3), 1), (nn.Linear(10, 2), 3), (nn.Bilinear(2, 2, 2), 3)],
)
def test_a_network_that_does_not_take_such_images_is_refused_in_words(network, channels):
    with pytest.raises(UserError, match=r"cannot be followed with an image of .* channels and 8 x 8 pixels"):
        layer_graph(network, channels=channels, image_hw=(8, 8))
