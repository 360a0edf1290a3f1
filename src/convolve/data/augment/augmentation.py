"""All augmentations of a recipe as one: geometry in one resampling, then colour, noise, erasing and mixing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convolve.data.augment.transform import TRANSFORMS, Geometric, Mixing, Photometric, Transform, Uniforms
from convolve.data.batch import Batch
from convolve.data.boxes.clipping import keep_what_is_left
from convolve.data.dataset import IGNORE
from convolve.errors import UserError
from convolve.geometry import Matrices, compose, identity, resample, transform_boxes
from convolve.randomness import uniforms
from convolve.registry import checked_options

_AXES_OF_PARTS = 3
"""Targets with fewer axes are labels of whole images."""

Spec: TypeAlias = Mapping[str, Any]
"""Augmentations by name: true (as it comes), false or 0 (off), a number (its first option) or a table of options."""


class Augmentation:
    """Transforms with a fixed order: what a sample becomes depends on (seed, epoch, row) alone, not on its batch.

    Mixing is the exception: an image's partner is one of its batch.

    Args:
        transforms: by their names in the recipe, which are part of what they draw by.
        fill: (C,) float in [0, 1], the colour of what comes from outside an image.
    """

    def __init__(self, transforms: Mapping[str, Transform], *, fill: Tensor) -> None:
        self.transforms = dict(sorted(transforms.items(), key=lambda item: (item[1].stage, item[0])))
        self.fill = fill

    def __call__(self, batch: Batch, *, seed: int, epoch: int) -> Batch:
        """The batch with every image changed in its own way; the argument is left as it was.

        Targets that are maps move with their images, `IGNORE` where they come from outside. So do boxes, as
        `transform_boxes` and `keep_what_is_left` have it. Others stay. Only geometry concerns them: what noise or
        random erasing hides keeps its class and its box.

        Args:
            batch: its rows are what is drawn by; targets (N, H, W) of whole numbers are maps of classes, (N, M, 6) of
                floating-point numbers are boxes.
            seed: of the recipe.
            epoch: counted from 0.
        """
        height, width = batch.images.shape[2:]
        matrices = self.matrices(batch.rows, image_hw=(height, width), seed=seed, epoch=epoch)
        targets = batch.targets
        if targets.ndim == _AXES_OF_PARTS and targets.is_floating_point():
            moved = apply_geometry(batch.images, boxes=list(targets[..., :4]), matrices=matrices, fill=self.fill)
            targets = _moved_rows(targets, moved, matrices)
        elif targets.ndim == _AXES_OF_PARTS:
            moved = apply_geometry(batch.images, targets, matrices=matrices, fill=self.fill, ignore_index=IGNORE)
            targets = moved.masks if moved.masks is not None else targets
        else:
            moved = apply_geometry(batch.images, matrices=matrices, fill=self.fill)
        batch = replace(batch, images=moved.images, targets=targets)
        for name, transform in self.transforms.items():
            drawn = _drawn(name, transform, batch.rows, seed=seed, epoch=epoch)
            if isinstance(transform, Photometric):
                batch = replace(batch, images=transform.apply(batch.images, drawn))
            elif isinstance(transform, Mixing):
                batch = transform.mix(batch, drawn)
        return batch

    def matrices(self, rows: NDArray[np.int64], *, image_hw: tuple[int, int], seed: int, epoch: int) -> Matrices:
        """(N, 3, 3) all the geometry of these samples in this epoch, for `apply_geometry`.

        Args:
            rows: (N,) the samples' numbers.
            image_hw: height and width, pixels.
            seed: of the recipe.
            epoch: counted from 0.
        """
        steps = [
            transform.matrices(_drawn(name, transform, rows, seed=seed, epoch=epoch), image_hw=image_hw)
            for name, transform in self.transforms.items()
            if isinstance(transform, Geometric)
        ]
        return compose(identity(len(rows)), *steps)


def build_augmentation(spec: Spec, *, fill: Sequence[int]) -> Augmentation:
    """The augmentation of a recipe, in the same order whatever the recipe's.

    Args:
        spec: as a recipe has it, presets written out.
        fill: 0..255 per channel, the colour of what comes from outside an image: `Preprocessing.fill`.

    Raises:
        UserError: an unknown name or option, or a value out of its bounds.
    """
    transforms = {name: _built(name, value) for name, value in spec.items() if not _off(name, value)}
    return Augmentation(transforms, fill=torch.tensor(fill, dtype=torch.float32) / 255)


class Moved(NamedTuple):
    """What `apply_geometry` made of images, masks and boxes, in the order and number they came in."""

    images: Tensor
    masks: Tensor | None
    boxes: list[Tensor] | None


def apply_geometry(
    images: Tensor,
    masks: Tensor | None = None,
    boxes: Sequence[Tensor] | None = None,
    *,
    matrices: Matrices,
    fill: Tensor,
    ignore_index: int = 255,
) -> Moved:
    """Move images with their masks and boxes, all by the same matrices.

    Args:
        images: (N, C, H, W) float32 in [0, 1]; interpolated.
        masks: (N, H, W) integers, class indices below 2**24; never interpolated.
        boxes: for each image (B, 4) left, top, right, bottom in pixels; one that leaves the image has no area left.
        matrices: (N, 3, 3), `Augmentation.matrices`.
        fill: (C,) the images' value outside, in [0, 1].
        ignore_index: the masks' value outside.
    """
    height, width = images.shape[2:]
    moved_masks = moved_boxes = None
    if masks is not None:
        outside = torch.tensor([float(ignore_index)])
        planes = resample(masks[:, None].float(), matrices, fill=outside, mode="nearest")
        moved_masks = planes[:, 0].to(masks.dtype)
    if boxes is not None:
        counts = [len(of_image) for of_image in boxes]
        together = transform_boxes(torch.cat(list(boxes)), matrices.repeat(counts, axis=0), image_hw=(height, width))
        moved_boxes = list(together.split_with_sizes(counts))
    return Moved(_moved(images, matrices, fill), moved_masks, moved_boxes)


def _moved_rows(rows: Tensor, moved: Moved, matrices: Matrices) -> Tensor:
    """(N, M, 6) target rows whose boxes were moved, as the images' edges have left them."""
    # The upright box around a moved one is |linear| as large (w, h), were there no edge.
    linear = torch.from_numpy(np.abs(matrices[:, :2, :2])).to(rows)
    whole = ((rows[..., 2:4] - rows[..., :2]) @ linear.mT).prod(dim=-1)
    return keep_what_is_left(rows, torch.stack(moved.boxes or []), whole)


def _moved(images: Tensor, matrices: Matrices, fill: Tensor) -> Tensor:
    moved = resample(images, matrices, fill=fill)
    return images if moved is images else moved.clamp_(0, 1)  # interpolation rounds past the ends


def _drawn(name: str, transform: Transform, rows: NDArray[np.int64], *, seed: int, epoch: int) -> Uniforms:
    return uniforms(seed, "augment", name, epoch, rows=rows, count=transform.draws)


def _off(name: str, value: Any) -> bool:
    """Whether the recipe switches it off; the name must be right all the same."""
    return name in TRANSFORMS and value in (False, 0)


def _built(name: str, value: Any) -> Transform:
    transform = TRANSFORMS[name]
    match value:
        case True:
            options: Mapping[str, Any] = {}
        case int() | float():
            options = {next(iter(signature(transform).parameters)): value}
        case Mapping():
            options = value
        case _:
            raise UserError(
                f"augment.{name}={value!r} is not an augmentation's setting",
                "Write true, false, a number, or a table of its options.",
            )
    built: Transform = transform(**checked_options(transform, options, where=f"augment.{name}"))
    return built
