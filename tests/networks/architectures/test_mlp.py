import numpy as np
import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.networks.network import ARCHITECTURES


def mlp(side=4, **options):
    return ARCHITECTURES["mlp"].create(3, channels=1, image_hw=(side, side), options=options)


def test_hintons_network_for_mnist_has_its_number_of_parameters():
    network = ARCHITECTURES["mlp"].create(10, channels=1, image_hw=(28, 28))
    assert sum(weight.numel() for weight in network.parameters()) == 1_276_810


def test_the_forward_pass_equals_the_formula():
    network = mlp(hidden=[7, 5], activation="tanh").double()
    image = np.random.default_rng(0).normal(size=(4, 4))
    values = image.ravel()
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    for layer in layers:
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        sums = [sum(weight[i, j] * values[j] for j in range(len(values))) + bias[i] for i in range(len(bias))]
        values = np.array(sums) if layer is layers[-1] else np.tanh(sums)
    np.testing.assert_allclose(network(torch.from_numpy(image)[None, None]).detach().numpy()[0], values, rtol=1e-10)


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({"hidden": [6]}, ["Flatten", "Linear", "ReLU"]),
        ({"hidden": [6], "batch_norm": True}, ["Flatten", "Linear", "BatchNorm1d", "ReLU"]),
        (
            {"hidden": [6], "activation": "sigmoid", "dropout": 0.5, "input_dropout": 0.2},
            ["Flatten", "Dropout", "Linear", "Sigmoid", "Dropout"],
        ),
    ],
)
def test_options_make_the_layers(options, kinds):
    assert [type(layer).__name__ for layer in mlp(**options).backbone] == kinds


@pytest.mark.parametrize("options", [{"hidden": []}, {"hidden": [0]}, {"dropout": 1.0}, {"activation": "rely"}])
def test_impossible_options_are_refused(options):
    with pytest.raises(UserError, match=rf"network.options.{next(iter(options))}"):
        mlp(**options)
