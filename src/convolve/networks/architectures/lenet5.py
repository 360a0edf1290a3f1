"""LeNet-5, in today's dress by default, and the paper's by its options."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from convolve.errors import UserError
from convolve.networks.initialisation import he_initialise, output_layer
from convolve.networks.layers.euclidean import CODE_LENGTH, EuclideanOutput, class_codes
from convolve.networks.layers.squash import ScaledTanh
from convolve.networks.layers.subsampling import TrainableSubsampling
from convolve.networks.layers.table_convolution import TableConvolution
from convolve.networks.network import Architecture, Network, register_architecture

# Table I of the paper: which maps of S2 each map of C3 sees.
C3_TABLE = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)
_PADDING_BY_SIDE = {28: 2, 32: 0}


def lenet5(
    outputs: int,
    *,
    channels: int,
    image_hw: tuple[int, int],
    subsampling: Literal["max", "trainable"] = "max",
    c3: Literal["full", "table"] = "full",
    output: Literal["linear", "rbf"] = "linear",
    squash: Literal["relu", "tanh"] = "relu",
    batch_norm: bool = True,
) -> Network:
    """C1 6@5x5 - S2 - C3 16@5x5 - S4 - C5 120@5x5 - F6 84 - K outputs, for images of 28 x 28 or 32 x 32 pixels.

    The default trains fastest: ReLU, max-pooling, batch normalisation, every map of C3 connected, a linear output:
    61,932 parameters for 10 classes of grey images (61,706 without batch normalisation). The paper's network,
    60,000 parameters, is subsampling="trainable", c3="table", output="rbf", squash="tanh", batch_norm=false.

    Args:
        outputs: K.
        channels: C; 1 in the paper.
        image_hw: (32, 32), or (28, 28), to which C1 adds a margin of 2 zeros.
        subsampling: "max" of 2 x 2, or the paper's sum with a trainable coefficient and bias a map.
        c3: "full", or the paper's "table" of 60 links.
        output: "linear", or the paper's Euclidean units on codes of +-1 ("rbf"), made for squash="tanh", whose
            range has the codes inside; the digits' bitmaps for up to 10 classes, fixed random codes for more.
        squash: "relu", or the paper's 1.7159 tanh(2a / 3).
        batch_norm: normalise C1, C3, C5 and F6 over the batch, before squashing.

    Raises:
        UserError: the images are of another size.

    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE 86 (1998), section II.B.
    """
    height, width = image_hw
    if height != width or height not in _PADDING_BY_SIDE:
        raise UserError(
            f"network 'lenet5' takes images of 28 x 28 or 32 x 32 pixels, not {height} x {width}",
            "Set one of these image sizes, or choose network 'residual', which takes images of any size from 8 pixels.",
        )
    squashed: Callable[[], nn.Module] = nn.ReLU if squash == "relu" else ScaledTanh

    def normalised_and_squashed(maps: int, norm: type[nn.Module]) -> list[nn.Module]:
        return [norm(maps), squashed()] if batch_norm else [squashed()]

    def subsampled(maps: int) -> list[nn.Module]:
        # A squashed maximum is the maximum of squashed values, as both functions rise: no second squashing.
        return [nn.MaxPool2d(2)] if subsampling == "max" else [TrainableSubsampling(maps), squashed()]

    bias = not batch_norm
    third = TableConvolution(6, C3_TABLE, kernel=5, bias=bias) if c3 == "table" else nn.Conv2d(6, 16, 5, bias=bias)
    backbone = nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=_PADDING_BY_SIDE[height], bias=bias),
        *normalised_and_squashed(6, nn.BatchNorm2d),
        *subsampled(6),
        third,
        *normalised_and_squashed(16, nn.BatchNorm2d),
        *subsampled(16),
        nn.Conv2d(16, 120, 5, bias=bias),
        *normalised_and_squashed(120, nn.BatchNorm2d),
        nn.Flatten(),
        nn.Linear(120, CODE_LENGTH, bias=bias),
        *normalised_and_squashed(CODE_LENGTH, nn.BatchNorm1d),
    )
    if squash == "relu":
        he_initialise(backbone)
    else:
        _initialise_as_in_1998(backbone)
    head = output_layer(CODE_LENGTH, outputs) if output == "linear" else EuclideanOutput(class_codes(outputs))
    return Network(backbone, head, features=CODE_LENGTH)


@torch.no_grad()
def _initialise_as_in_1998(backbone: nn.Module) -> None:
    """Weights U(-2.4 / F, 2.4 / F), F the fan-in; biases 0 (the paper, appendix A)."""
    for layer in backbone.modules():
        if isinstance(layer, TableConvolution):
            layer.weight.uniform_(-2.4, 2.4).div_(layer.fan_in[:, None, None])
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            bound = 2.4 / layer.weight[0].numel()
            nn.init.uniform_(layer.weight, -bound, bound)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


register_architecture(
    Architecture(
        name="lenet5",
        build=lenet5,
        about="LeNet-5 for digits and other small grey images, with ReLU, max-pooling and batch normalisation; "
        "options give the paper's own, of 60,000 parameters",
        source="LeCun et al., Proceedings of the IEEE 86, 1998",
        sides=tuple(_PADDING_BY_SIDE),
        smallest_side=28,
        scratch_side=32,
    )
)
