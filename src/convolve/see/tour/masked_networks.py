"""Every network that dropout can make of one: all of its masks, or many drawn ones."""

import itertools

import torch
from torch import Tensor

from convolve.randomness import torch_randomness


def all_masks(units: int) -> Tensor:
    """(2 ** units, units) of 0 and 1, float64."""
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=units)), dtype=torch.float64)


def mask_probabilities(masks: Tensor, p: float) -> Tensor:
    """(M,): how probable each mask (M, D) is, where a unit is dropped with probability p."""
    return (masks * (1 - p) + (1 - masks) * p).prod(dim=1)


def ensemble(weights: Tensor, biases: Tensor, inputs: Tensor, p: float) -> Tensor:
    """(K,): the renormalised geometric mean of the softmax outputs of all masked networks.

    For one softmax layer it equals the softmax of the network with its weights times 1 - p: the mean of log p is the
    mean of the logits, less a constant that renormalising takes away.
    Hinton, Srivastava, Krizhevsky, Sutskever and Salakhutdinov, arXiv:1207.0580 (2012), p. 2.

    Args:
        weights: (K, D).
        biases: (K,).
        inputs: (D,), what is dropped.
        p: probability to drop.
    """
    masks = all_masks(len(inputs))
    logs = torch.log_softmax((masks * inputs) @ weights.T + biases, dim=1)
    return torch.softmax(mask_probabilities(masks, p) @ logs, dim=0)


def weight_scaled(weights: Tensor, biases: Tensor, inputs: Tensor, p: float) -> Tensor:
    """(K,): softmax of the whole network with its weights times 1 - p; arguments as `ensemble`."""
    return torch.softmax((1 - p) * weights @ inputs + biases, dim=0)


def drawn_sums(values: Tensor, p: float, draws: int, seed: int) -> Tensor:
    """(draws,): the sum of the values (D,) after PyTorch's (inverted) dropout, with a mask each."""
    with torch_randomness(seed, "tour", "dropout"):
        return torch.nn.functional.dropout(values.expand(draws, -1), p).sum(dim=1)
