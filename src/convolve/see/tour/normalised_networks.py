"""Batch normalisation written out, and deep networks with and without it."""

import torch
from torch import Tensor, nn

from convolve.randomness import torch_randomness
from convolve.see.tour.descent import descend

_EPS = 1e-5


def normalise(x: Tensor, gamma: Tensor, beta: Tensor, *, eps: float = _EPS) -> Tensor:
    """Return gamma (x - mean) / sqrt(variance + eps) + beta of the batch (M, D), the variance over M and not M - 1.

    Ioffe and Szegedy, "Batch normalization", ICML 2015, algorithm 1.
    """
    centred = x - x.mean(dim=0)
    return gamma * centred / (centred.square().mean(dim=0) + eps).sqrt() + beta


def normalise_backward(x: Tensor, gamma: Tensor, dy: Tensor, *, eps: float = _EPS) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients by x (M, D), gamma (D,) and beta (D,) of a loss whose gradient by the output is dy (M, D).

    With x^ the normalised input: dbeta = sum dy; dgamma = sum dy x^;
    dx = gamma / (M sqrt(variance + eps)) (M dy - dbeta - x^ dgamma). Ioffe and Szegedy, section 3, simplified.
    """
    deviation = (x.var(dim=0, correction=0) + eps).sqrt()
    normalised = (x - x.mean(dim=0)) / deviation
    dbeta, dgamma = dy.sum(dim=0), (dy * normalised).sum(dim=0)
    dx = gamma / (len(x) * deviation) * (len(x) * dy - dbeta - normalised * dgamma)
    return dx, dgamma, dbeta


def folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """One convolution that gives what the two give in evaluation.

    w' = gamma w / sqrt(v + eps), b' = (b - mean) gamma / sqrt(v + eps) + beta.

    Args:
        convolution: with a bias.
        norm: affine, with running statistics.
    """
    return torch.nn.utils.fuse_conv_bn_eval(convolution.eval(), norm.eval())


def deep_network(
    sides: tuple[int, int, int], *, depth: int, batch_norm: bool, weight_scale: float, key: tuple[int, str]
) -> nn.Sequential:
    """An MLP of tanh units, with or without batch norm on the pre-activations, float32.

    Args:
        sides: inputs, hidden units, outputs.
        depth: how many hidden layers.
        batch_norm: whether pre-activations are normalised.
        weight_scale: standard deviation of the weights times the square root of the fan-in.
        key: of the random weights; the same weights with and without batch norm.
    """
    inputs, hidden, outputs = sides
    layers: list[nn.Module] = []
    with torch_randomness(*key):
        for k in range(depth + 1):
            linear = nn.Linear(inputs if k == 0 else hidden, outputs if k == depth else hidden)
            nn.init.normal_(linear.weight, std=weight_scale / linear.in_features**0.5)
            nn.init.zeros_(linear.bias)
            layers.append(linear)
            if k < depth:
                layers += [nn.BatchNorm1d(hidden), nn.Tanh()] if batch_norm else [nn.Tanh()]
    return nn.Sequential(*layers)


def pre_activations(network: nn.Sequential, x: Tensor) -> list[Tensor]:
    """What each tanh of the network is given, (N, hidden) each, in training mode."""
    network.train()
    given = []
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.Tanh):
                given.append(x)
            x = layer(x)
    return given


def training_losses(network: nn.Sequential, x: Tensor, classes: Tensor, *, steps: int, rate: float) -> list[float]:
    """The loss before each step of training on the whole data."""
    return descend(network, lambda: nn.functional.cross_entropy(network(x), classes), steps=steps, rate=rate)
