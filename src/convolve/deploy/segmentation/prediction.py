"""From an image of any size to maps of every pixel, strip by strip, so that memory is bounded by the image's width.

Tiles are blended as probabilities, after temperature and after the members' mean: the blend of distributions is one,
and where tiles agree it is what they say, whereas the mean of logits is sharper or flatter than either.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from convolve.data.dataset import IGNORE
from convolve.data.decoding import decode
from convolve.data.pixel_preprocessing import PixelPreprocessing
from convolve.data.rasters import Pixels, RasterSource
from convolve.deploy.segmentation.maps import Strip
from convolve.deploy.segmentation.tiles import Tile, TilePlan, blend_tiles, plan_tiles
from convolve.deploy.segmentation.uncertainty import Members, ask, check_members, entropy, mutual_information
from convolve.errors import UserError
from convolve.networks.pixel_network import PixelNetwork
from convolve.progress import Progress, silent
from convolve.randomness import Key
from convolve.training.compute import Compute

TILE = 512
"""Side of a tile as the network sees it, pixels, where nobody says otherwise; images up to it are predicted whole."""

_BAND_BYTES, _STRIP_BYTES = 512 << 20, 32 << 20
_SMALLEST_TILE = 128
_VALID, _ENTROPY, _DEVIATION = 0, 1, 2
"""Which of a tile's maps is which, counted from behind the probabilities; the last two with several members only."""


@dataclass(frozen=True, kw_only=True)
class MapPrediction:
    """How maps are computed.

    Attributes:
        network: any mode.
        classes: K.
        preprocessing: from an image's values to the network's.
        temperature: divisor of the logits.
        compute: where and how.
        members: whose mean it is.
        tile: side of a tile as the network sees it, pixels; images up to it are predicted whole. Wide images with many
            classes get lower tiles, so that a row of them fits half a gigabyte.
    """

    network: PixelNetwork
    classes: int
    preprocessing: PixelPreprocessing
    temperature: float = 1.0
    compute: Compute = field(default_factory=Compute)
    members: Members = field(default_factory=Members)
    tile: int = TILE

    @property
    def _depth(self) -> int:
        """M, maps of a tile."""
        return self.classes + (3 if self.members.count > 1 else 1)

    def plan(self, hw: tuple[int, int]) -> TilePlan:
        """The tiles of an image of this height and width."""
        side = max(self.tile, 2 * self.network.smallest_side)
        rows = int(_BAND_BYTES / (4 * self._depth * hw[1]) * self.preprocessing.scale)
        side = min(side, max(rows, _SMALLEST_TILE, 2 * self.network.smallest_side))
        return plan_tiles(
            hw,
            side=side,
            reach=self.network.reach,
            stride=self.network.stride,
            scale=self.preprocessing.scale,
        )

    def strips(self, source: RasterSource, *, name: str = "", progress: Progress = silent) -> Iterator[Strip]:
        """The maps of an image, from the top down; every row once.

        Args:
            source: with the bands the network takes, in its order.
            name: of the image, for messages; and the key of the dropout, so that images draw apart.
            progress: told of every tile.

        Raises:
            UserError: the image does not suit the network, or the network not the members.
            BrokenImage: the file is damaged.
        """
        check_members(self.network, self.members)
        check_source(source, self.preprocessing, name)
        plan = self.plan(source.hw)
        tiles, done = len(plan.rows) * len(plan.columns), 0

        def maps_of(tile: Tile) -> Tensor:
            nonlocal done
            done += 1
            maps = self._maps(source, tile, (name, tile.row, tile.column))
            progress("predicting", done, tiles)
            return maps

        rows_at_once = max(1, _STRIP_BYTES // (4 * self._depth * source.hw[1]))
        for top, maps in blend_tiles(plan, maps_of, rows_at_once=rows_at_once):
            yield self._strip(top, maps)

    def _maps(self, source: RasterSource, tile: Tile, key: tuple[Key, ...]) -> Tensor:
        """(M, height, width): probabilities, 1 where there is data, and of several members entropy and deviation."""
        hw = (tile.height, tile.width)
        pixels, valid = source.read(tile.top, tile.left, *hw)
        maps = torch.zeros(self._depth, *hw)
        maps[self.classes + _VALID] = 1 if valid is None else torch.tensor(valid, dtype=torch.float32)
        if valid is not None and not valid.any():
            return maps
        unit = self.preprocessing.to_unit(with_channels(pixels, self.preprocessing.channels), valid)[None]
        images, fit = fitted(unit, self.preprocessing.scaled_hw(hw), self.network.smallest_side)
        opinion = ask(
            self.network,
            self.preprocessing.normalise(images),
            self.members,
            temperature=self.temperature,
            key=key,
            compute=self.compute,
            fit=fit,
        )
        maps[: self.classes] = opinion.probabilities[0]
        if opinion.expected_entropy is not None and opinion.deviation is not None:
            maps[self.classes + _ENTROPY] = opinion.expected_entropy[0]
            maps[self.classes + _DEVIATION] = opinion.deviation[0]
        return maps

    def _strip(self, top: int, maps: Tensor) -> Strip:
        """What the blended maps of all members say; the maps are overwritten later, so all of it is copied."""
        hole = maps[self.classes + _VALID] < 0.5
        probabilities = maps[: self.classes].clone()
        # In place of argmax, which takes five times as long.
        labels = probabilities.max(0).indices.to(torch.uint8).masked_fill_(hole, IGNORE)
        predictive = entropy(probabilities, dim=0)
        information = deviation = None
        if self.members.count > 1:
            information = mutual_information(probabilities, maps[self.classes + _ENTROPY], dim=0)
            deviation = maps[self.classes + _DEVIATION].clone()
        for values in (probabilities, predictive, information, deviation):
            if values is not None and hole.any():
                values.masked_fill_(hole, torch.nan)
        return Strip(
            top,
            labels.numpy(),
            probabilities.numpy(),
            predictive.numpy(),
            None if information is None else information.numpy(),
            None if deviation is None else deviation.numpy(),
            ~hole.numpy(),
        )


def check_source(source: RasterSource, preprocessing: PixelPreprocessing, name: str) -> None:
    """See that an image has what a network was trained on.

    Raises:
        UserError: its bands are too few or too many, or its numbers of 16 bits where those were of 8, or the reverse.
    """
    ordinary = source.dtype == "uint8" and {source.bands, preprocessing.channels} == {1, 3}
    if source.bands != preprocessing.channels and not ordinary:
        raise UserError(
            f"{name or 'the image'}: {source.bands} bands, and the model was trained on {preprocessing.channels}",
            "Give images with the bands that it was trained on, in the same order.",
        )
    eight_bits = set(preprocessing.low) == {0} and set(preprocessing.high) == {255}
    more_bits = np.issubdtype(source.dtype, np.integer) and np.iinfo(source.dtype).bits > 8
    if (eight_bits and more_bits) or (source.dtype == "uint8" and max(preprocessing.high) > 255):
        trained = f"{min(preprocessing.low):g} to {max(preprocessing.high):g}"
        raise UserError(
            f"{name or 'the image'}: its values are {source.dtype}, and the model was trained on values from {trained}",
            "Give images as they come from the same source, not scaled to another type.",
        )


def with_channels(pixels: Pixels, channels: int) -> Pixels:
    """Grey pixels as RGB, or RGB as grey, by the policies of `convolve.data.decoding`; others as they are."""
    return pixels if pixels.shape[2] == channels else decode(pixels, channels=3 if channels == 3 else 1)


def fitted(unit: Tensor, scaled_hw: tuple[int, int], smallest: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Images of a size that the network takes, and how its logits come back to the size that they had.

    What is too small is continued by reflection to the right and below.

    Args:
        unit: (1, C, H, W) in [0, 1].
        scaled_hw: height and width at which the network is to see it.
        smallest: side that the network takes.
    """
    hw = (unit.shape[2], unit.shape[3])
    images = unit
    if scaled_hw != hw:
        images = F.interpolate(unit, scaled_hw, mode="bilinear", antialias=True, align_corners=False)
    if min(scaled_hw) < smallest:
        rows, columns = (_reflected(length, max(length, smallest)) for length in scaled_hw)
        images = images[:, :, rows][:, :, :, columns]

    def fit(logits: Tensor) -> Tensor:
        logits = logits[:, :, : scaled_hw[0], : scaled_hw[1]]
        if scaled_hw == hw:
            return logits
        return F.interpolate(logits, hw, mode="bilinear", align_corners=False)

    return images, fit


def _reflected(length: int, wanted: int) -> NDArray[np.int64]:
    """Which pixels stand at 0 .. wanted - 1 when a line of pixels is mirrored at its ends again and again."""
    return np.pad(np.arange(length), (0, wanted - length), mode="reflect")
