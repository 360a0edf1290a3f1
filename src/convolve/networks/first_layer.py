"""Weights for images of other channels than they were trained on: only the first convolution has to change."""

import torch
from torch import Tensor, nn


def first_convolution(network: nn.Module) -> str | None:
    """The name of the layer that reads the image; None where that is no convolution, as in a multilayer perceptron."""
    layers = (
        (name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear) and name
    )
    name, layer = next(layers, ("", None))
    return name if isinstance(layer, nn.Conv2d) and layer.groups == 1 else None


def adapt_channels(weight: Tensor, channels: int) -> Tensor:
    """Kernels that read images of `channels` channels, from kernels that read others.

    To one channel the kernels are summed: a grey image then has the response that it had as three equal channels. To
    more than one they are repeated cyclically, times the old number of channels over the new: 1 to 3 divides by 3, so
    that a grey image shown as three equal channels has its old response; 3 to 6 halves. Where the new number is no
    multiple of the old one, the response to equal channels is only about the old one.

    Args:
        weight: (O, C, kh, kw).
        channels: C', of the images to come.

    Returns:
        (O, C', kh, kw).

    Source: `adapt_input_conv` of timm, https://github.com/huggingface/pytorch-image-models.
    """
    given = weight.shape[1]
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    return weight[:, torch.arange(channels) % given] * (given / channels)
