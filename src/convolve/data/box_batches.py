"""Batches of images with boxes: windows of one size for training, whole images for everything else.

Each is a function of (seed, epoch, step) alone. Images lie at the top left of their canvas; what else is there has the
preprocessing's fill. Targets are (N, M, 6) rows of `data.boxes.targets` in pixels of the canvas; `extras` are (N, 2)
int64 heights and widths of the content and, where regions are given, (N, R, 4) float32 left, top, right, bottom, best
first, rows of zeros at their end.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convolve.data.augment.augmentation import Augmentation
from convolve.data.augment.transform import Mixing
from convolve.data.batch import Batch
from convolve.data.box_preprocessing import BoxPreprocessing
from convolve.data.boxes.clipping import cut_rows
from convolve.data.boxes.targets import KIND, OBJECT, present, stack_rows
from convolve.data.dataset import ImageArray
from convolve.data.order import Order
from convolve.data.scaled_pack import ScaledPack
from convolve.errors import UserError
from convolve.randomness import uniforms

Regions: TypeAlias = Callable[[int], NDArray[np.float32]]
"""From a row of the pack to its proposals, (R, 4) left, top, right, bottom at the network's input, best first."""

_DRAWS_A_WINDOW = 4
_QUARTERS = 4
_AROUND_OBJECTS = 0.5
"""Share of the windows that are cut around an object, so that large images with few of them still show some."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of an image, or several put together.

    Attributes:
        image: (C, h, w) float32 in [0, 1].
        rows: (m, 6) targets in its pixels.
        regions: (r, 6) target rows of which only the corners count, in its pixels.
    """

    image: Tensor
    rows: Tensor
    regions: Tensor


class BoxBatches:
    """Images for training, in a new order every epoch, each at most as large as the canvas.

    An epoch visits every image as often as `visits` says. Along an axis on which an image is larger than the canvas a
    window is cut, another at each visit: half of them anywhere, half around an object that is drawn from all of the
    image, whose centre then lies within the window's middle half, or nearer to its edge where that is also the
    image's. What is cut off objects: see `data.boxes.clipping`; where augmentation cuts again, what was left counts as
    the whole.

    Augmentation moves an image within its own height and width, before it is placed on the canvas: what comes from
    outside is fill, and counts as part of the image. Boxes turned by other than quarter turns grow, since they hold all
    of what they held before. Random erasing hides pixels, not objects.

    Args:
        pack: images and boxes.
        rows: (M,) the pack's rows that are used, at least one.
        canvas_hw: height and width of all batches' images, pixels.
        batch_size: the largest number of images in a batch.
        seed: of the recipe.
        preprocessing: values and fill.
        augmentation: None = none.
        visits: (M,) int64 how often each image is shown in an epoch, at least once; None = once each.
        mosaic: share of the samples that become four: windows of the image and of three others drawn from all, each in
            a quarter of the canvas, at their scale.
        regions: given proposals; they move with the images, and those that leave them are dropped.

    Raises:
        UserError: the augmentation mixes images, whose boxes cannot be mixed.
        ValueError: there are no rows.
    """

    def __init__(
        self,
        pack: ScaledPack,
        rows: NDArray[np.int64],
        *,
        canvas_hw: tuple[int, int],
        batch_size: int,
        seed: int,
        preprocessing: BoxPreprocessing,
        augmentation: Augmentation | None = None,
        visits: NDArray[np.int64] | None = None,
        mosaic: float = 0.0,
        regions: Regions | None = None,
    ) -> None:
        _refuse_mixing(augmentation)
        visits = np.ones(len(rows), np.int64) if visits is None else visits
        self._shown = np.repeat(rows, visits)
        visit = np.arange(visits.sum()) - np.repeat(np.cumsum(visits) - visits, visits)
        self._numbers = self._shown * visits.max(initial=1) + visit
        self._order = Order(len(self._shown), batch_size=batch_size, seed=seed, shuffle=True)
        self.steps = self._order.steps
        self._cutter = _Cutter(pack, preprocessing, regions)
        self._rows = rows
        self._canvas_hw = canvas_hw
        self._seed = seed
        self._augmentation = augmentation
        self._mosaic = mosaic

    def batch(self, epoch: int, step: int) -> Batch:
        """Batch `step` of an epoch, both counted from 0; 0 <= step < steps."""
        places = self._order.positions(epoch, step)
        # Two visits to one image shall not be augmented alike, so they are drawn for by numbers of their own.
        rows, numbers = self._shown[places], self._numbers[places]
        pieces = self._pieces(rows, numbers, epoch)
        if self._augmentation:
            pieces = [
                _augmented(piece, number, self._augmentation, seed=self._seed, epoch=epoch)
                for piece, number in zip(pieces, numbers.tolist(), strict=True)
            ]
        return self._cutter.batch(pieces, rows, self._canvas_hw)

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `start_step` on, each made when it is asked for."""
        for step in range(start_step, self.steps):
            yield self.batch(epoch, step)

    def _pieces(self, rows: NDArray[np.int64], numbers: NDArray[np.int64], epoch: int) -> list[_Piece]:
        windows = uniforms(self._seed, "window", epoch, rows=numbers, count=_QUARTERS * _DRAWS_A_WINDOW)
        windows = windows.reshape(len(rows), _QUARTERS, _DRAWS_A_WINDOW)
        mosaics = uniforms(self._seed, "mosaic", epoch, rows=numbers, count=_QUARTERS)
        pieces = []
        for row, draws, drawn in zip(rows.tolist(), windows, mosaics, strict=True):
            if drawn[0] < self._mosaic:
                partners = self._rows[np.floor(drawn[1:] * len(self._rows)).astype(np.int64)]
                pieces.append(self._cutter.mosaic([row, *partners.tolist()], self._canvas_hw, draws))
            else:
                pieces.append(self._cutter.window(row, self._canvas_hw, draws[0]))
        return pieces


class WholeBoxBatches:
    """Images as a whole, in order and unchanged; every epoch is the same.

    Images of one size that follow one another share a batch. The canvas is as large as they are, its sides rounded up.

    Args:
        pack: images and boxes.
        rows: (M,) the pack's rows that are used.
        preprocessing: values and fill.
        largest: pixels in a batch, padding included; an image that has more stands alone.
        multiple: of which the canvas's sides are multiples, pixels.
        regions: given proposals.
    """

    def __init__(
        self,
        pack: ScaledPack,
        rows: NDArray[np.int64],
        *,
        preprocessing: BoxPreprocessing,
        largest: int,
        multiple: int = 32,
        regions: Regions | None = None,
    ) -> None:
        self._cutter = _Cutter(pack, preprocessing, regions)
        self._canvases = -(-pack.hw // multiple) * multiple
        self._groups: list[list[int]] = []
        areas = self._canvases.prod(axis=1)
        for row in rows.tolist():
            group = self._groups[-1] if self._groups else []
            if group and (pack.hw[group[0]] == pack.hw[row]).all() and (len(group) + 1) * areas[row] <= largest:
                group.append(row)
            else:
                self._groups.append([row])
        self.steps = len(self._groups)

    def batch(self, epoch: int, step: int) -> Batch:
        """Batch `step`, counted from 0; 0 <= step < steps."""
        rows = np.array(self._groups[step], np.int64)
        h, w = self._canvases[rows[0]].tolist()
        return self._cutter.batch([self._cutter.whole(row) for row in rows.tolist()], rows, (h, w))

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches from `start_step` on, each made when it is asked for."""
        for step in range(start_step, self.steps):
            yield self.batch(epoch, step)


class _Cutter:
    """Cuts pieces from images and lays them on canvases."""

    def __init__(self, pack: ScaledPack, preprocessing: BoxPreprocessing, regions: Regions | None) -> None:
        self._pack = pack
        self._preprocessing = preprocessing
        self._regions = regions
        self._fill = torch.tensor(preprocessing.fill, dtype=torch.float32)[:, None, None]

    def whole(self, row: int) -> _Piece:
        """All of an image."""
        return _Piece(self._unit(self._pack.image(row)), self._pack.boxes(row), self._regions_of(row))

    def window(self, row: int, at_most_hw: tuple[int, int], drawn: NDArray[np.float64]) -> _Piece:
        """A part of an image, or all of it along an axis on which it is not larger.

        Args:
            row: of the pack.
            at_most_hw: pixels.
            drawn: (4,) uniform numbers by which its place is chosen.
        """
        hw = self._pack.hw[row]
        sides = np.minimum(hw, at_most_hw)
        if (sides == hw).all():
            return self.whole(row)
        space = hw - sides
        corner = np.floor(drawn[:2] * (space + 1)).astype(np.int64)
        rows = self._pack.boxes(row)
        objects = rows[rows[:, KIND] == OBJECT]
        if drawn[2] < _AROUND_OBJECTS and len(objects):
            left, top, right, bottom = objects[int(drawn[3] * len(objects)), :4].tolist()
            centre = np.array([top + bottom, left + right]) / 2
            corner = np.clip(np.floor(centre - sides * (0.25 + 0.5 * drawn[:2])), 0, space).astype(np.int64)
        (y, x), (h, w) = corner.tolist(), sides.tolist()
        image = self._unit(self._pack.image(row)[y : y + h, x : x + w])
        return _Piece(image, cut_rows(rows, (y, x), (h, w)), cut_rows(self._regions_of(row), (y, x), (h, w)))

    def mosaic(self, rows: Sequence[int], hw: tuple[int, int], draws: NDArray[np.float64]) -> _Piece:
        """Windows of four images, each in a quarter of (h, w); (4, 4) uniform numbers choose their places."""
        top, left = hw[0] // 2, hw[1] // 2
        quarters = [(y, x) for y in ((0, top), (top, hw[0])) for x in ((0, left), (left, hw[1]))]
        image = self._fill.repeat(1, *hw)
        targets, regions, ranks = [], [], []
        for row, drawn, ((y, y_end), (x, x_end)) in zip(rows, draws, quarters, strict=True):
            part = self.window(row, (y_end - y, x_end - x), drawn)
            h, w = part.image.shape[1:]
            image[:, y : y + h, x : x + w] = part.image
            targets.append(_shifted(part.rows, y, x))
            regions.append(_shifted(part.regions, y, x))
            ranks.append(torch.arange(len(part.regions)))
        # The best regions of all four come first.
        order = torch.cat(ranks).argsort(stable=True)
        return _Piece(image, torch.cat(targets), torch.cat(regions)[order])

    def batch(self, pieces: Sequence[_Piece], rows: NDArray[np.int64], canvas_hw: tuple[int, int]) -> Batch:
        """The pieces, each at the top left of a canvas."""
        hw = torch.tensor([tuple(piece.image.shape[1:]) for piece in pieces])
        if (hw == torch.tensor(canvas_hw)).all():
            images = torch.stack([piece.image for piece in pieces])
        else:
            images = self._fill.repeat(len(pieces), 1, *canvas_hw)
            for canvas, piece in zip(images, pieces, strict=True):
                canvas[:, : piece.image.shape[1], : piece.image.shape[2]] = piece.image
        extras: tuple[Tensor, ...] = (hw,)
        if self._regions is not None:
            extras = (hw, stack_rows([piece.regions for piece in pieces])[..., :4])
        return Batch(images, stack_rows([piece.rows for piece in pieces]), rows, extras=extras)

    def _unit(self, pixels: ImageArray) -> Tensor:
        """(C, h, w) in [0, 1]; grey images are shown to a network for colour as three equal channels."""
        unit = self._preprocessing.to_unit(pixels)
        return unit.expand(self._preprocessing.channels, -1, -1)

    def _regions_of(self, row: int) -> Tensor:
        """(R, 6): as rows of targets, so that they are cut and moved as those are."""
        if self._regions is None:
            return torch.empty(0, 6)
        corners = torch.tensor(self._regions(row), dtype=torch.float32).reshape(-1, 4)
        return torch.cat([corners, corners.new_tensor([0, OBJECT]).expand(len(corners), 2)], dim=1)


def _augmented(piece: _Piece, number: int, augmentation: Augmentation, *, seed: int, epoch: int) -> _Piece:
    """The piece, moved within its own height and width and lit anew.

    One at a time: they differ in size, and memory for one is used again for the next, which takes half the time.
    """
    rows = torch.cat([piece.rows, piece.regions])
    batch = augmentation(Batch(piece.image[None], rows[None], np.array([number])), seed=seed, epoch=epoch)
    kept, moved = batch.targets[0, : len(piece.rows)], batch.targets[0, len(piece.rows) :]
    return _Piece(batch.images[0], present(kept), present(moved))


def _shifted(rows: Tensor, y: int, x: int) -> Tensor:
    return rows + rows.new_tensor([x, y, x, y, 0, 0])


def _refuse_mixing(augmentation: Augmentation | None) -> None:
    mixing = [
        name for name, step in (augmentation.transforms if augmentation else {}).items() if isinstance(step, Mixing)
    ]
    if mixing:
        raise UserError(
            f"augment.{mixing[0]} mixes images, and boxes cannot be mixed",
            f"Leave it out: augment.{mixing[0]}=false.",
        )
