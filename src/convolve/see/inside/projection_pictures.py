"""Projections as pictures: a unit's beside the part of the image that it came from."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convolve.see.inside.deconvnet import Passed, Projection
from convolve.see.inside.heat import stretched
from convolve.see.inside.panel import Picture
from convolve.see.inside.subject import Question

# A share of the pixels: a few outliers would leave the rest grey.
_CLIPPED = 0.002


def signal_picture(signal: Tensor) -> NDArray[np.uint8]:
    """(C, H, W) of both signs as (H, W, 3) uint8: 0 is middle grey; the largest 0.2 % are drawn as one."""
    most = torch.quantile(signal.abs().flatten()[: 2**24], 1 - _CLIPPED)
    clipped = signal.clamp(-most, most) if most > 0 else signal
    pixels = stretched(clipped)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def unit_pictures(question: Question, projected: Mapping[str, Sequence[Projection]]) -> list[Picture]:
    """For each active unit what was carried back, by each rule, and the image at the same place, as large as either.

    Args:
        question: whose image it is.
        projected: of the same units, by the name of the rule.
    """
    pictures = []
    of_unit = [each for each in zip(*projected.values(), strict=True) if each[0].active]
    corners = window_corners([torch.stack([one.signal for one in each]).abs().sum(dim=(0, 1)) for each in of_unit])
    for each, (rows, columns) in zip(of_unit, corners, strict=True):
        for rule, projection in zip(projected, each, strict=True):
            name = f"unit-{projection.unit}-{rule}"
            pixels = signal_picture(projection.signal[:, rows, columns])
            pictures.append(Picture(pixels=pixels, name=name, caption=f"unit {projection.unit}, {rule}"))
        unit, activation = each[0].unit, each[0].activation
        patch = np.ascontiguousarray(question.picture[rows, columns])
        caption = f"unit {unit} answers with {activation:.3g} to this"
        pictures.append(Picture(pixels=patch, name=f"unit-{unit}-image", caption=caption))
    return pictures


def window_corners(sizes: Sequence[Tensor]) -> list[tuple[slice, slice]]:
    """Rows and columns of each map (H, W) outside which it is 0, of one size for all, within the map."""
    if not sizes:
        return []
    rows = _windows([size.sum(dim=1) for size in sizes])
    columns = _windows([size.sum(dim=0) for size in sizes])
    return list(zip(rows, columns, strict=True))


def idle_in_words(projections: Sequence[Projection]) -> str:
    """Which units do not answer to the image; empty where all do."""
    idle = [str(projection.unit) for projection in projections if not projection.active]
    if not idle:
        return ""
    return f" Not active on this image, so without a picture: unit {', '.join(idle)}."


def passed_in_words(passed: Passed) -> str:
    """For which activation functions a rule is defined, and for which not; empty where there is nothing to say."""
    others = f" Of {', '.join(passed.others)} the plain derivative stands." if passed.others else ""
    if passed.rectifiers:
        return others
    return f" The network has no ReLU on the way, so this is its plain gradient.{others}"


def _windows(profiles: Sequence[Tensor]) -> list[slice]:
    spans = []
    for profile in profiles:
        places = profile.nonzero().flatten().tolist() or [0]
        spans.append((places[0], places[-1] + 1))
    side = max(last - first for first, last in spans)
    starts = [min(max((first + last - side) // 2, 0), len(profiles[0]) - side) for first, last in spans]
    return [slice(start, start + side) for start in starts]
