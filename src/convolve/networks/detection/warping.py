"""Regions cut out of images and brought to one size, each with some of what is around it: the input of R-CNN's network.

Girshick, Donahue, Darrell and Malik, "Rich Feature Hierarchies ...", CVPR 2014, 2.1 and appendix A.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Shape: TypeAlias = Literal["warp", "square"]
"""What becomes of a region that is no square: it is stretched to one, or the square around it is cut out."""


def warp_regions(
    images: Tensor, regions: Sequence[Tensor], *, side: int, context: int, shape: Shape = "warp"
) -> Tensor:
    """Cut regions out of images, bilinearly and without smoothing where they shrink.

    Args:
        images: (N, C, H, W) normalised; padding of a batch is taken for a part of the image, so it should be 0 as well.
        regions: for each image (R, 4) left, top, right, bottom, pixels; they may reach beyond the image.
        side: of what is cut out, pixels.
        context: so many pixels at each edge of what is cut out lie outside the region; 0 <= 2 `context` < `side`.
        shape: see `Shape`.

    Returns:
        (sum of R, C, side, side), image by image; what lies outside an image is 0, the mean of normalised images.
    """
    # With sides that are powers of two, grid_sample's coordinates from -1 to 1 lose nothing.
    height, width = (1 << max(0, length - 1).bit_length() for length in images.shape[2:])
    padded = F.pad(images, (0, width - images.shape[3], 0, height - images.shape[2]))
    return torch.cat(
        [
            _cut(
                padded[row],
                (images.shape[2], images.shape[3]),
                _with_context(boxes, side=side, context=context, shape=shape),
                side,
            )
            for row, boxes in enumerate(regions)
        ]
    )


def _with_context(boxes: Tensor, *, side: int, context: int, shape: Shape) -> Tensor:
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    if shape == "square":
        sides = sides.amax(dim=1, keepdim=True).expand(-1, 2)
    halves = sides * side / (side - 2 * context) / 2
    return torch.cat((centres - halves, centres + halves), dim=1)


def _cut(image: Tensor, hw: tuple[int, int], boxes: Tensor, side: int) -> Tensor:
    """(R, C, side, side) from (C, H, W), of which the content has the size `hw`."""
    steps = torch.arange(side, device=image.device) + 0.5
    # Divided last: with whole pixels nothing is rounded.
    xy = boxes[:, None, :2] + (boxes[:, None, 2:] - boxes[:, None, :2]) * steps[:, None] / side
    size = xy.new_tensor(hw[::-1])
    inside = ((xy >= 0) & (xy <= size)).to(image)
    # Not beyond the centres of the outermost pixels: their colour goes on to the edge, and no padding is mixed in.
    xy = torch.minimum(xy.clamp(min=0.5), size - 0.5)
    xy = xy * 2 / xy.new_tensor([image.shape[2], image.shape[1]]) - 1
    shape = (len(boxes), side, side)
    grid = torch.stack((xy[:, None, :, 0].expand(shape), xy[:, :, None, 1].expand(shape)), dim=3)
    cut = F.grid_sample(image.expand(len(boxes), *image.shape), grid.to(image), align_corners=False)
    return cut * (inside[:, :, None, 1] * inside[:, None, :, 0])[:, None]
