"""Weights of classes from how many pixels they have: what a loss of maps does about classes that are rare."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convolve.errors import UserError, shown
from convolve.tasks.segment.losses import PIXEL_LOSSES

# Up to this ratio of the largest class to the smallest, all pixels count alike: pixels are so many that a class with a
# tenth of the largest one's is learned well, and mean IoU loses by what weights make the network see too often.
_UNEVEN = 10.0


def class_weights(name: str, pixels: NDArray[np.int64]) -> Tensor | None:
    """(K,) float32 weights for the loss, or None where all pixels count alike; a class without pixels has weight 0.

    "balanced" and "sqrt" are scaled so that their mean over the pixels is 1. "median-frequency" is the median of the
    classes' frequencies over a class's own, which is its share of the pixels of those images that contain it (Eigen and
    Fergus, "Predicting depth, surface normals and semantic labels with a common multi-scale convolutional
    architecture", ICCV 2015, section 4.3.2) - not its share of all pixels, as some have it.

    Args:
        name: "none"; "balanced": 1 / frequency; "sqrt": the root of that; "median-frequency".
        pixels: (N, K) pixels of each class in each training image.

    Raises:
        UserError: weights are asked for, and no pixel has a class.

    >>> counts = np.array([[400, 300, 200, 90, 10]])
    >>> [round(weight, 3) for weight in class_weights("median-frequency", counts).tolist()]
    [0.5, 0.667, 1.0, 2.222, 20.0]
    """
    if name == "none":
        return None
    totals = pixels.sum(axis=0).astype(np.float64)
    if not totals.any():
        raise UserError("no pixel of the training images has a class", "`convolve look DATA` says how masks were read.")
    present = totals > 0
    if name == "median-frequency":
        beside = np.where(pixels > 0, pixels.sum(axis=1, keepdims=True), 0).sum(axis=0)
        frequency = np.divide(totals, beside, out=np.ones_like(totals), where=present)
        weights = np.median(frequency[present]) / frequency
    else:
        weights = np.where(present, totals, 1.0) ** (-1.0 if name == "balanced" else -0.5)
        weights = weights * totals.sum() / (weights * totals).sum()
    return torch.from_numpy(np.where(present, weights, 0.0)).float()


def choose_class_weights(
    wanted: str, pixels: NDArray[np.int64], classes: Sequence[str], *, loss: str = "softmax"
) -> tuple[str, str]:
    """The recipe's `loss.class_weights` with "auto" chosen, and why; empty where the recipe says it.

    Args:
        wanted: of the recipe.
        pixels: (N, K) pixels of each class in each training image.
        classes: K names.
        loss: by name, see `PIXEL_LOSSES`.
    """
    if wanted != "auto":
        return wanted, ""
    if not PIXEL_LOSSES[loss].weighs_classes:
        return "none", f"the loss '{loss}' counts all classes alike by itself"
    totals = pixels.sum(axis=0)
    present = totals[totals > 0]
    ratio = float(present.max() / present.min()) if len(present) else 1.0
    if ratio <= _UNEVEN:
        return "none", f"the classes are even enough (largest to smallest {ratio:.1f} : 1 in pixels)"
    rare = [name for name, count in zip(classes, totals, strict=True) if count == present.min()]
    return "sqrt", (
        f"the classes are uneven (largest to smallest {ratio:.0f} : 1 in pixels; rarest {shown(rare)}): pixels of rare "
        "classes count more (median-frequency: more still)"
    )
