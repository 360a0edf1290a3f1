"""Scores for every pixel from a network that gives them for every s-th: s x s shifted images, interleaved.

Source: Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015, section 3.2.
"""

from collections.abc import Iterator, Sequence
from math import ceil

from torch import Tensor

Pair = tuple[int, int]


def shifts(stride: Pair, image_hw: Pair) -> list[Pair]:
    """Rows and columns by which the image is shifted, in the order of `shifted` and `stitch`."""
    return [
        (row, column) for row in range(min(stride[0], image_hw[0])) for column in range(min(stride[1], image_hw[1]))
    ]


def shifted(images: Tensor, stride: Pair, image_hw: Pair) -> Iterator[Tensor]:
    """The images without their first rows and columns, once for every shift.

    Args:
        images: (N, C, H + margin, W + margin).
        stride: the network's, rows first.
        image_hw: H and W, so that none is shifted out.
    """
    for row, column in shifts(stride, image_hw):
        yield images[:, :, row:, column:]


def stitch(maps: Sequence[Tensor], stride: Pair, image_hw: Pair) -> Tensor:
    """The maps of all shifted images as one, each unit at the pixel that it is about.

    Args:
        maps: of `shifted` in its order, each (N, K, at least ceil((H - row) / stride), likewise columns).
        stride: the network's, rows first.
        image_hw: H and W.

    Returns:
        (N, K, H, W).
    """
    height, width = image_hw
    whole = maps[0].new_empty(*maps[0].shape[:2], height, width)
    for (row, column), scores in zip(shifts(stride, image_hw), maps, strict=True):
        rows, columns = ceil((height - row) / stride[0]), ceil((width - column) / stride[1])
        whole[:, :, row :: stride[0], column :: stride[1]] = scores[:, :, :rows, :columns]
    return whole
