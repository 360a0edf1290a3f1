"""Room around an image, so that each of its pixels is the centre of a patch."""

import torch
from torch import Tensor

from convolve.errors import UserError


def mirror_margin(images: Tensor, patch_hw: tuple[int, int]) -> Tensor:
    """Images continued as if a mirror stood on their border pixels: then patch (y, x) has pixel (y, x) at its centre.

    The centre of a patch of P rows is its row P // 2. An image smaller than the margin is reflected to and fro, as
    `numpy.pad(mode="reflect")` does.

    Args:
        images: (N, C, H, W).
        patch_hw: height and width of the patches.

    Returns:
        (N, C, H + height - 1, W + width - 1); the patch of pixel (y, x) begins at row y and column x.
    """
    for axis, side in zip((2, 3), patch_hw, strict=True):
        length = images.shape[axis]
        positions = torch.arange(length + side - 1, device=images.device) - side // 2
        period = max(2 * (length - 1), 1)
        positions = positions.remainder(period)
        images = images.index_select(axis, torch.minimum(positions, period - positions))
    return images


def patch_side(image_hw: tuple[int, int]) -> int:
    """The side of square patches.

    Raises:
        UserError: they are not square.
    """
    height, width = image_hw
    if height != width:
        raise UserError(
            f"patches are squares around a pixel, not {height} x {width}", "Give segment.crop one side, for example 65."
        )
    return height
