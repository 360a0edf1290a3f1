"""How a model fares on images with masks: a few counts for each image, so that maps need not be kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from convolve.data.dataset import IGNORE
from convolve.tasks.metrics.confusion_matrix import confusion_matrix
from convolve.tasks.metrics.reliability import BINS

ENTROPY_BINS = 1000
_SMALLEST = 1e-12


@dataclass(frozen=True, slots=True)
class ImageTally:
    """One image, its pixels counted; those without a class are in `ignored` alone.

    Attributes:
        confusion: (K, K) int64, rows = truth, columns = prediction.
        reliability: (K, BINS, 3) float64: of the pixels called class k with a probability in a bin, how many there
            are, the sum of their probabilities, and how many are right.
        entropy: (ENTROPY_BINS, 2) int64: pixels by their predictive entropy over [0, ln K]: right, wrong.
        nll: sum of -ln p of the true class, nats.
        brier: sum of the squared differences between probabilities and truth.
        ignored: pixels that count nowhere.
    """

    confusion: NDArray[np.int64]
    reliability: NDArray[np.float64]
    entropy: NDArray[np.int64]
    nll: float
    brier: float
    ignored: int

    def __add__(self, other: "ImageTally") -> "ImageTally":
        """Both counted together, as where they are parts of one image."""
        return ImageTally(
            confusion=self.confusion + other.confusion,
            reliability=self.reliability + other.reliability,
            entropy=self.entropy + other.entropy,
            nll=self.nll + other.nll,
            brier=self.brier + other.brier,
            ignored=self.ignored + other.ignored,
        )


def tally_image(
    probabilities: NDArray[np.float32], mask: NDArray[np.uint8], *, entropy: NDArray[np.float32]
) -> ImageTally:
    """Count the pixels of one image, or of some of its rows.

    Args:
        probabilities: (K, H, W), summing to 1; NaN only where the mask is `IGNORE`.
        mask: (H, W) class indices, or `IGNORE`.
        entropy: (H, W) predictive, nats.
    """
    classes = len(probabilities)
    counted = mask != IGNORE
    truth = mask[counted].astype(np.int64)
    some = probabilities[:, counted]
    called = some.argmax(axis=0)
    right = called == truth
    places = np.arange(len(truth))
    of_truth, of_called = some[truth, places], some[called, places]
    # As `reliability` has it: the intervals are open to the left.
    bins = np.clip(np.ceil(of_called * BINS).astype(np.int64) - 1, 0, BINS - 1) + called * BINS
    size = classes * BINS
    sums = [np.bincount(bins, weights, minlength=size) for weights in (None, of_called, right)]
    shares = entropy[counted] / np.log(classes) * ENTROPY_BINS
    level = np.clip(shares.astype(np.int64), 0, ENTROPY_BINS - 1)
    return ImageTally(
        confusion=confusion_matrix(truth, called, classes),
        reliability=np.stack(sums, axis=1).reshape(classes, BINS, 3).astype(np.float64),
        entropy=np.bincount(2 * level + ~right, minlength=2 * ENTROPY_BINS).reshape(ENTROPY_BINS, 2),
        nll=float(-np.log(np.maximum(of_truth, _SMALLEST)).sum(dtype=np.float64)),
        brier=float((np.square(some).sum(axis=0) - 2 * of_truth + 1).sum(dtype=np.float64)),
        ignored=int(counted.size - len(truth)),
    )


def without_borders(mask: NDArray[np.uint8], radius: int) -> NDArray[np.uint8]:
    """A mask in which pixels within a circle's radius of a pixel of another class are `IGNORE`.

    Borders are drawn by hand and uncertain. What is ignored already has no border of its own, and hides none.

    Source: the ISPRS 2D semantic labelling contest, which erodes its reference by a disc of 3 pixels.
    """
    if radius == 0:
        return mask
    kept = np.full_like(mask, IGNORE)
    present = np.unique(mask[mask != IGNORE])
    if len(present) < 2:
        return mask
    for index in present:
        own = mask == index
        to_others = ndimage.distance_transform_edt(own | (mask == IGNORE))
        kept[own & (to_others > radius)] = index
    return kept


def to_tensors(tallies: Sequence[ImageTally], classes: int) -> dict[str, Tensor]:
    """Tallies as tensors, stacked over the images, for a file; K classes, for where there is no image."""
    empty = {"confusion": (classes, classes), "reliability": (classes, BINS, 3), "entropy": (ENTROPY_BINS, 2)}
    stacked = {}
    for name, shape in empty.items():
        values = [getattr(tally, name) for tally in tallies]
        stacked[name] = torch.from_numpy(np.stack(values) if values else np.zeros((0, *shape)))
    sums = [[tally.nll, tally.brier, tally.ignored] for tally in tallies]
    return stacked | {"sums": torch.tensor(sums, dtype=torch.float64).reshape(-1, 3)}


def from_tensors(tensors: Mapping[str, Tensor]) -> list[ImageTally]:
    """What `to_tensors` was given."""
    arrays: list[Any] = [tensors[name].numpy() for name in ("confusion", "reliability", "entropy", "sums")]
    return [
        ImageTally(confusion, reliability, entropy, float(nll), float(brier), int(ignored))
        for confusion, reliability, entropy, (nll, brier, ignored) in zip(*arrays, strict=True)
    ]
