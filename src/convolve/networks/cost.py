"""What a network costs and how far it sees, from one pass on torch's meta device: shapes without numbers."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convolve.networks.receptive_field import FieldTracker


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The size of a network and of one pass of one image through it.

    Attributes:
        parameters: trainable numbers.
        multiply_adds: multiplications with an addition, of convolutions and matrix products; half the FLOPs.
        receptive_field: side in pixels of the square of input that one unit of the last feature map sees, counted as
            if the image went on for ever; None where no square bounds it (fully connected, attention, squeeze and
            excitation).
        stride: pixels from one unit of that map to the next; None where the field is None.
    """

    parameters: int
    multiply_adds: int
    receptive_field: int | None
    stride: int | None


def cost_of(network: nn.Module, *, channels: int, image_hw: tuple[int, int]) -> Cost:
    """Count what `network` needs for one image; the network itself is neither run nor changed.

    Args:
        network: takes (N, C, H, W).
        channels: C.
        image_hw: H and W, pixels.
    """
    # `deepcopy` of tensors on the meta device is free; elsewhere the copy lives for one line.
    shapes_only = deepcopy(network).to("meta").eval()
    image = torch.empty(1, channels, *image_hw, device="meta")
    tracker = FieldTracker(image)
    with torch.no_grad(), FlopCounterMode(display=False) as counter, tracker:
        shapes_only(image)
    field = tracker.last_field
    return Cost(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        multiply_adds=counter.get_total_flops() // 2,
        receptive_field=max(field.sides) if field else None,
        stride=max(field.jump) if field else None,
    )
