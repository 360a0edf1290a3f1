"""Occlusion sensitivity: what a network answers when a square of the image is covered, for every place of the square.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2013, section 4.2 and figure 7.
"""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from convolve.errors import UserError
from convolve.progress import Progress, silent
from convolve.see.inside.layers import MapLayer, captured, find_layer, map_layers
from convolve.see.inside.many_passes import affordable_passes, identity, many_passes
from convolve.see.inside.subject import Subject

Cover: TypeAlias = Literal["fill", "grey"]
"""What a square is covered with: what the network sees as zero, or middle grey."""

# A map of 21 x 21: EfficientNet-Lite0 at 300 pixels is to answer within 20 seconds on two cores, of which preparing
# an engine takes some.
_MOST_SQUARES = 441
# A map of 10 x 10, however costly the network.
_LEAST_SQUARES = 100
_SHARE_OF_SIDE = 8
_CHUNK = 64
# Several instruments ask about the same image.
_MOST_KEPT = 4


@dataclass(frozen=True)
class Squares:
    """Places of a square: every top with every left.

    Attributes:
        side: pixels.
        stride: pixels from one place to the next; the last of a row or column may be nearer, flush with the edge.
        tops: rows of the squares' first pixels, ascending, R of them.
        lefts: columns of the squares' first pixels, ascending, Q of them.
    """

    side: int
    stride: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    def __len__(self) -> int:
        """R Q."""
        return len(self.tops) * len(self.lefts)

    def places(self) -> list[tuple[int, int]]:
        """(top, left) of each, row by row."""
        return [(top, left) for top in self.tops for left in self.lefts]


@dataclass(frozen=True, kw_only=True)
class Occluded:
    """What a network answered about an image, whole and with each square covered.

    Attributes:
        squares: R x Q places.
        whole: (K,) float32 logits of the image as it is.
        logits: (R, Q, K) float32 logits with the square covered.
        layer: the layer whose strongest map was watched, None in a network without maps.
        unit: that map.
        whole_activation: sum of the positive values of that map, of the image as it is; 0 without a map.
        activation: (R, Q) the same with the square covered; None without a map.
    """

    squares: Squares
    whole: Tensor
    logits: Tensor
    layer: MapLayer | None
    unit: int
    whole_activation: float
    activation: Tensor | None


def choose_squares(
    image_hw: tuple[int, int], *, side: int | None = None, stride: int | None = None, most: int = _MOST_SQUARES
) -> Squares:
    """Places that cover all of an image.

    Args:
        image_hw: height and width, pixels.
        side: of the square, pixels; None = an eighth of the shorter side, at least 2, more where the image is so long
            that there would be too many places.
        stride: pixels from place to place; None = a third of the side or as much more as keeps to `most` places, at
            most half the side, or all of one that is given.
        most: places.

    Raises:
        UserError: the square is larger than the image, or the stride leaves gaps.
    """
    shorter = min(image_hw)
    if side is not None and not 1 <= side <= shorter:
        raise UserError(f"side={side}: a square to cover has 1 to {shorter} pixels a side here")
    if stride is not None and stride < 1:
        raise UserError(f"stride={stride} is less than 1 pixel")
    if side is not None and stride is not None and stride > side:
        raise UserError(f"stride={stride}: squares of side {side} would leave gaps", f"Give stride={side} or less.")
    smallest = min(shorter, max(2, round(shorter / _SHARE_OF_SIDE), stride or 0))
    for a_side in [side] if side is not None else range(smallest, shorter + 1):
        widest = a_side if side is not None else max(1, a_side // 2)
        for a_stride in [stride] if stride is not None else range(max(1, a_side // 3), widest + 1):
            squares = _squares(image_hw, a_side, a_stride)
            if len(squares) <= most or stride is not None:
                return squares
    # A square asked for is small, or the image is a strip: more places then, but no gaps.
    return squares


def affordable_squares(
    subject: Subject, image: Tensor, *, side: int | None = None, stride: int | None = None
) -> Squares:
    """`choose_squares` for an image (C, H, W): up to 441 places, of a costly network down to 100."""
    most = affordable_passes(subject, image, most=_MOST_SQUARES, least=_LEAST_SQUARES)
    return choose_squares((image.shape[1], image.shape[2]), side=side, stride=stride, most=most)


def occlude(
    subject: Subject,
    image: Tensor,
    squares: Squares,
    *,
    cover: Cover = "fill",
    layer: str | None = None,
    progress: Progress = silent,
) -> Occluded:
    """Ask a subject about an image with each square covered, in batches, by the engine of `subject.compute`.

    Asked again about the same image, it answers from memory.

    Args:
        subject: what is asked.
        image: (C, H, W) in [0, 1].
        squares: the places.
        cover: what with; before normalising.
        layer: whose strongest map to watch; None = the last with maps, where there is one.
        progress: told of every batch.

    Raises:
        UserError: there is no such layer, or an answer is no number.
    """
    watched = _watched_layer(subject, layer)
    value = torch.tensor(subject.fill if cover == "fill" else (0.5,) * subject.channels)[:, None, None]
    digest = blake2b(digest_size=16)
    for part in (image, value.expand(-1, 1, 1)):
        digest.update(subject.normalise(part[None]).contiguous().numpy().data)
    key = (identity(subject.network), subject.compute, digest.digest(), squares, watched)
    kept = _kept.setdefault(subject.network, OrderedDict())
    if key not in kept:
        kept[key] = _occlude(subject, image, squares, value, watched, progress)
        if len(kept) > _MOST_KEPT:
            kept.popitem(last=False)
    return kept[key]


def probability_map(subject: Subject, occluded: Occluded, wanted: int) -> tuple[float, Tensor]:
    """The class's probability of the whole image, and (R, Q) with each square covered."""
    rows, columns, classes = occluded.logits.shape
    flat = subject.probabilities(torch.cat([occluded.whole[None], occluded.logits.reshape(-1, classes)]))[:, wanted]
    return float(flat[0]), flat[1:].reshape(rows, columns)


def spread(values: Tensor, squares: Squares, image_hw: tuple[int, int]) -> Tensor:
    """(R, Q) values of squares -> (H, W) float32: at each pixel their mean over the squares that cover it."""
    total, times = torch.zeros(image_hw, dtype=torch.float64), torch.zeros(image_hw, dtype=torch.float64)
    for (top, left), value in zip(squares.places(), values.flatten().double(), strict=True):
        here = (slice(top, top + squares.side), slice(left, left + squares.side))
        total[here] += value
        times[here] += 1
    return (total / times).float()


def occlusion_heat(subject: Subject, occluded: Occluded, wanted: int) -> Tensor:
    """(H, W) how much the class's probability falls, at each pixel the mean over the squares that cover it; signed."""
    squares = occluded.squares
    whole, covered = probability_map(subject, occluded, wanted)
    image_hw = (squares.tops[-1] + squares.side, squares.lefts[-1] + squares.side)
    return spread(whole - covered, squares, image_hw)


class _WithActivations(nn.Module):
    """A network's logits, and beside them the sum of the positive values of each map of a layer: (N, K + maps)."""

    def __init__(self, subject: Subject, layer: str) -> None:
        super().__init__()
        self.network, self.body = subject.network, subject.body
        self.upright, self.layer = subject.upright, layer

    def forward(self, images: Tensor) -> Tensor:
        with captured(self.body, [self.layer]) as kept:
            logits: Tensor = self.network(images)
        totals = self.upright(kept[self.layer].relu()).sum(dim=(2, 3))
        return torch.cat([logits, totals.to(logits.dtype)], dim=1)


_kept: WeakKeyDictionary[nn.Module, OrderedDict[tuple[object, ...], Occluded]] = WeakKeyDictionary()


def _occlude(
    subject: Subject, image: Tensor, squares: Squares, value: Tensor, layer: MapLayer | None, progress: Progress
) -> Occluded:
    around = (f"activations of {layer.name}", _WithActivations(subject, layer.name).eval()) if layer else None
    run = many_passes(subject, image, passes=len(squares) + 1, around=around, progress=progress)
    places, parts = squares.places(), [run(image[None])]
    for start in range(0, len(places), _CHUNK):
        some = places[start : start + _CHUNK]
        images = image.repeat(len(some), 1, 1, 1)
        for covered, (top, left) in zip(images, some, strict=True):
            covered[:, top : top + squares.side, left : left + squares.side] = value
        parts.append(run(images))
        progress("covering the image", start + len(some), len(places))
    outputs = torch.cat(parts)
    if not bool(outputs.isfinite().all()):
        raise UserError(
            "with a part of the image covered, the network's answer is no number (NaN or infinite)",
            "Its weights are damaged, or overflow on this image; train it again with a lower learning rate.",
        )
    maps = layer.maps if layer else 0
    answers, activations = torch.split(outputs, [outputs.shape[1] - maps, maps], dim=1)
    unit = int(activations[0].argmax()) if layer else 0
    shape = (len(squares.tops), len(squares.lefts))
    return Occluded(
        squares=squares,
        whole=answers[0],
        logits=answers[1:].reshape(*shape, -1),
        layer=layer,
        unit=unit,
        whole_activation=float(activations[0, unit]) if layer else 0.0,
        activation=activations[1:, unit].reshape(shape) if layer else None,
    )


def _watched_layer(subject: Subject, name: str | None) -> MapLayer | None:
    if name or subject.telling:
        return find_layer(subject, name or subject.telling)
    layers = map_layers(subject)
    return layers[-1] if layers else None


def _squares(image_hw: tuple[int, int], side: int, stride: int) -> Squares:
    tops, lefts = (_starts(length, side, stride) for length in image_hw)
    return Squares(side, stride, tops, lefts)


def _starts(length: int, side: int, stride: int) -> tuple[int, ...]:
    regular = tuple(range(0, length - side + 1, stride))
    return regular if regular[-1] == length - side else (*regular, length - side)
