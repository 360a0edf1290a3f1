"""Batches of images with masks, for the three ways of using them: crops, patches with a class, and images as a whole.

Each is a function of (seed, epoch, step) alone. Targets are int64, with `IGNORE` where nothing counts.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convolve.data.augment.augmentation import Augmentation
from convolve.data.augment.transform import Mixing
from convolve.data.batch import Batch
from convolve.data.crop_windows import Windows, cut_mirrored, cut_padded, resized
from convolve.data.native_pack import NativePack
from convolve.data.order import Order
from convolve.data.pixel_preprocessing import PixelPreprocessing
from convolve.errors import UserError
from convolve.randomness import uniforms

Sampling: TypeAlias = Literal["uniform", "classes"]


class CropBatches:
    """Crops of one size out of images of any size: images (N, C, h, w), targets (N, h, w).

    An epoch visits every image `crops` times, in a shuffled order, and each visit cuts another crop. Along an axis on
    which an image is smaller than the crop, all of it is in the crop, at any place; the rest is fill without a class.

    Args:
        pack: images and masks.
        rows: (M,) the pack's rows that are used, at least one.
        crop_hw: h and w, pixels at the preprocessing's scale.
        batch_size: the largest number of crops in a batch.
        seed: of the recipe.
        preprocessing: values and scale.
        augmentation: moves image and mask by one matrix, within the crop: what comes from outside of it is fill
            without a class. Random erasing overwrites images only: what is hidden keeps its class. None = none.
        sampling: "uniform": all places alike; "classes": around a pixel of a class, which is drawn first, each class of
            the image as likely as any other. The pixel then lies anywhere within the crop's middle half, or nearer to
            the crop's edge where that is also the image's.
        crops: of each image in an epoch.

    Raises:
        UserError: the augmentation mixes images, whose masks cannot be mixed.
        ValueError: there are no rows.
    """

    def __init__(
        self,
        pack: NativePack,
        rows: NDArray[np.int64],
        *,
        crop_hw: tuple[int, int],
        batch_size: int,
        seed: int,
        preprocessing: PixelPreprocessing,
        augmentation: Augmentation | None = None,
        sampling: Sampling = "uniform",
        crops: int = 1,
    ) -> None:
        _refuse_mixing(augmentation)
        self._order = Order(len(rows) * crops, batch_size=batch_size, seed=seed, shuffle=True)
        self.steps = self._order.steps
        self._pack = pack
        self._rows = rows
        self._crop_hw = crop_hw
        self._window_hw = _unscaled(crop_hw, preprocessing.scale)
        self._seed = seed
        self._preprocessing = preprocessing
        self._augmentation = augmentation
        self._sampling = sampling
        self._crops = crops

    def batch(self, epoch: int, step: int) -> Batch:
        """Batch `step` of an epoch, both counted from 0; 0 <= step < steps."""
        places, visits = np.divmod(self._order.positions(epoch, step), self._crops)
        rows = self._rows[places]
        # Two crops of one image shall not be augmented alike, so they are drawn for by numbers of their own.
        numbers = rows * self._crops + visits
        drawn = uniforms(self._seed, "crop", epoch, rows=numbers, count=4)
        corners = self._uniform(rows, drawn) if self._sampling == "uniform" else self._around_classes(rows, drawn)
        images, masks = cut_padded(self._pack, rows, corners, self._window_hw, self._preprocessing)
        images, masks = resized(images, masks, self._crop_hw)
        batch = Batch(images, masks.long(), numbers)
        if self._augmentation:
            batch = self._augmentation(batch, seed=self._seed, epoch=epoch)
        return replace(batch, rows=rows)

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `start_step` on, each made when it is asked for."""
        for step in range(start_step, self.steps):
            yield self.batch(epoch, step)

    def _uniform(self, rows: NDArray[np.int64], drawn: NDArray[np.float64]) -> Windows:
        space = self._pack.hw[rows] - self._window_hw
        corners: Windows = np.where(space >= 0, np.floor(drawn[:, :2] * (space + 1)), 0).astype(np.int64)
        return corners - _outside(space, drawn[:, :2])

    def _around_classes(self, rows: NDArray[np.int64], drawn: NDArray[np.float64]) -> Windows:
        pixels = np.empty((len(rows), 2), np.int64)
        for place, row in enumerate(rows.tolist()):
            there = np.flatnonzero(self._pack.class_pixels[row])
            index = int(there[int(drawn[place, 2] * len(there))])
            pixels[place] = _drawn_pixel(self._pack, row, index, float(drawn[place, 3]))
        space = self._pack.hw[rows] - self._window_hw
        corners = pixels - np.floor(self._window_hw * (0.25 + 0.5 * drawn[:, :2])).astype(np.int64)
        return np.clip(corners, 0, np.maximum(space, 0)) - _outside(space, drawn[:, :2])


class PatchBatches:
    """Patches of one size with the class of their centre pixel: images (N, C, side, side), targets (N,).

    The centre of a patch is its pixel (side // 2, side // 2): around pixel (y, x) lie the rows from y - side // 2 to
    y - side // 2 + side - 1. Beyond its edge an image goes on mirrored, without its edge pixel twice.

    A patch's class is drawn first, then one of the images that have it, each by the number of its pixels, then one of
    the places that the pack knows.

    Args:
        pack: images and masks.
        rows: (M,) the pack's rows that are used, at least one.
        side: pixels at the preprocessing's scale.
        batch_size: the largest number of patches in a batch.
        patches: in an epoch.
        seed: of the recipe.
        preprocessing: values and scale.
        augmentation: image and mask are moved by one matrix and the target is the class that arrives in the centre,
            `IGNORE` if that has none. None = none.
        balanced: every class that occurs is as likely as any other; otherwise every pixel with a class.

    Raises:
        ValueError: there are no rows.
    """

    def __init__(
        self,
        pack: NativePack,
        rows: NDArray[np.int64],
        *,
        side: int,
        batch_size: int,
        patches: int,
        seed: int,
        preprocessing: PixelPreprocessing,
        augmentation: Augmentation | None = None,
        balanced: bool = True,
    ) -> None:
        if len(rows) == 0:
            raise ValueError("patches need at least one row")
        self._order = Order(patches, batch_size=batch_size, seed=seed, shuffle=False)
        self.steps = self._order.steps
        self._pack = pack
        self._rows = rows
        self._side = side
        self._seed = seed
        self._preprocessing = preprocessing
        self._augmentation = augmentation
        counts = pack.class_pixels[rows]
        weights = np.sign(counts.sum(axis=0)) if balanced else counts.sum(axis=0)
        self._class_ends = np.cumsum(weights) / weights.sum()
        self._image_ends = np.cumsum(counts, axis=0)

    def batch(self, epoch: int, step: int) -> Batch:
        """Batch `step` of an epoch, both counted from 0; 0 <= step < steps."""
        numbers = self._order.positions(epoch, step)
        drawn = uniforms(self._seed, "patch", epoch, rows=numbers, count=3)
        classes = np.searchsorted(self._class_ends, drawn[:, 0], side="right")
        rows, pixels = np.empty(len(numbers), np.int64), np.empty((len(numbers), 2), np.int64)
        for place, index in enumerate(classes.tolist()):
            ends = self._image_ends[:, index]
            row = self._rows[np.searchsorted(ends, drawn[place, 1] * ends[-1], side="right")]
            rows[place], pixels[place] = row, _drawn_pixel(self._pack, int(row), index, float(drawn[place, 2]))
        window_hw = _unscaled((self._side, self._side), self._preprocessing.scale)
        corners = pixels - window_hw[0] // 2
        images, masks = cut_mirrored(self._pack, rows, corners, window_hw, self._preprocessing)
        images, masks = resized(images, masks, (self._side, self._side))
        batch = Batch(images, masks.long(), numbers)
        if self._augmentation:
            batch = self._augmentation(batch, seed=self._seed, epoch=epoch)
        centre = self._side // 2
        return replace(batch, targets=batch.targets[:, centre, centre], rows=rows)

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `start_step` on, each made when it is asked for."""
        for step in range(start_step, self.steps):
            yield self.batch(epoch, step)


class WholeBatches:
    """Images as a whole at the preprocessing's scale, in order and unchanged: images (N, C, h, w), targets (N, h, w).

    Images of one size that follow one another share a batch; every epoch is the same.

    Args:
        pack: images and masks.
        rows: (M,) the pack's rows that are used.
        preprocessing: values and scale.
        largest: pixels in a batch after scaling; an image that has more stands alone.
        smallest: sides after scaling are at least so long; smaller images are continued to the right and below with
            the fill and `IGNORE`.
    """

    def __init__(
        self,
        pack: NativePack,
        rows: NDArray[np.int64],
        *,
        preprocessing: PixelPreprocessing,
        largest: int,
        smallest: int = 1,
    ) -> None:
        self._pack = pack
        self._preprocessing = preprocessing
        self._groups: list[list[int]] = []
        least = math.ceil(smallest / preprocessing.scale)
        self._sizes = {int(row): (max(least, int(pack.hw[row, 0])), max(least, int(pack.hw[row, 1]))) for row in rows}
        for row in rows.tolist():
            h, w = preprocessing.scaled_hw(self._sizes[row])
            group = self._groups[-1] if self._groups else []
            if group and self._sizes[group[0]] == self._sizes[row] and (len(group) + 1) * h * w <= largest:
                group.append(row)
            else:
                self._groups.append([row])
        self.steps = len(self._groups)

    def batch(self, epoch: int, step: int) -> Batch:
        """Batch `step`, counted from 0; 0 <= step < steps."""
        rows = np.array(self._groups[step], np.int64)
        hw = self._sizes[int(rows[0])]
        images, masks = cut_padded(self._pack, rows, np.zeros((len(rows), 2), np.int64), hw, self._preprocessing)
        images, masks = resized(images, masks, self._preprocessing.scaled_hw(hw))
        return Batch(images, masks.long(), rows)

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches from `start_step` on, each made when it is asked for."""
        for step in range(start_step, self.steps):
            yield self.batch(epoch, step)


def _refuse_mixing(augmentation: Augmentation | None) -> None:
    mixing = [
        name for name, step in (augmentation.transforms if augmentation else {}).items() if isinstance(step, Mixing)
    ]
    if mixing:
        raise UserError(
            f"augment.{mixing[0]} mixes images, and masks cannot be mixed",
            f"Leave it out: augment.{mixing[0]}=false.",
        )


def _unscaled(hw: tuple[int, int], scale: float) -> tuple[int, int]:
    """The size, in pixels of the image, of what has this size once it is scaled."""
    return max(1, round(hw[0] / scale)), max(1, round(hw[1] / scale))


def _outside(space: NDArray[np.int64], drawn: NDArray[np.float64]) -> Windows:
    """(N, 2) how far windows begin above and left of images that are smaller than they are."""
    outside: Windows = np.floor(drawn * (1 - np.minimum(space, 0))).astype(np.int64)
    return outside


def _drawn_pixel(pack: NativePack, row: int, index: int, uniform: float) -> tuple[int, int]:
    """Row and column of one of the places of a class that the pack knows."""
    places = pack.places(row, index)
    y, x = divmod(int(places[int(uniform * len(places))]), int(pack.hw[row, 1]))
    return y, x
