"""A model's word on many images with boxes, from their files: exactly what predicting says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convolve.data.boxes.detections import Detections
from convolve.data.boxes.proposals import Proposals
from convolve.data.dataset import Dataset
from convolve.data.decoding import BrokenImage
from convolve.deploy.detection.model import DetectionModel
from convolve.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a model says of some images, and how long it took.

    Attributes:
        rows: (M,) of the data set; images that cannot be decoded are not among them.
        detections: of each.
        regions: (R, 4) float32 of each, the proposals that were looked at, best first, in pixels of the image.
        seconds: of an image, median, by stage, for example "proposals" and "network".
    """

    rows: NDArray[np.int64]
    detections: Sequence[Detections]
    regions: Sequence[NDArray[np.float32]]
    seconds: Mapping[str, float]


def judge_rows(
    model: DetectionModel,
    dataset: Dataset,
    rows: NDArray[np.int64],
    progress: Progress,
    *,
    proposals: Proposals | None = None,
) -> Judgement:
    """Ask a model about some images.

    Args:
        model: as it predicts.
        dataset: the images.
        rows: of it.
        progress: told of every image.
        proposals: of all images, where they are at hand and the model takes some; without, it searches for them itself.
    """
    judged, detections, regions, times = [], [], [], []
    for number, row in enumerate(rows.tolist()):
        given = None if proposals is None else proposals.of(row)
        try:
            told = model.detect_timed(dataset.samples[row].image, regions=given)
        except BrokenImage:
            continue
        judged.append(row)
        detections.append(told.detections)
        regions.append(told.regions)
        times.append(told.seconds)
        progress("testing", number + 1, len(rows))
    seconds = {stage: float(np.median([one[stage] for one in times])) for stage in (times[0] if times else ())}
    if proposals is not None:
        seconds["proposals"] = proposals.seconds_per_image
    return Judgement(rows=np.array(judged, np.int64), detections=detections, regions=regions, seconds=seconds)


def to_tensors(judgement: Judgement) -> dict[str, Tensor]:
    """For a file; `from_tensors` reads them."""
    found, regions = judgement.detections, judgement.regions
    arrays: dict[str, Any] = {
        "rows": judgement.rows,
        "corners": np.concatenate([np.empty((0, 4)), *(one.corners for one in found)]),
        "labels": np.concatenate([np.empty(0, np.int64), *(one.labels for one in found)]),
        "probabilities": np.concatenate([np.empty(0), *(one.probabilities for one in found)]),
        "ends": np.cumsum([len(one.labels) for one in found], dtype=np.int64),
        "regions": np.concatenate([np.empty((0, 4), np.float32), *regions]),
        "region_ends": np.cumsum([len(one) for one in regions], dtype=np.int64),
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def from_tensors(tensors: Mapping[str, Tensor], seconds: Mapping[str, float]) -> Judgement:
    """What `to_tensors` wrote."""
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in tensors.items()}
    parts = [_divided(arrays[name], arrays["ends"]) for name in ("corners", "labels", "probabilities")]
    return Judgement(
        rows=arrays["rows"],
        detections=[Detections(*some) for some in zip(*parts, strict=True)],
        regions=_divided(arrays["regions"], arrays["region_ends"]),
        seconds=seconds,
    )


def _divided(array: NDArray[Any], ends: NDArray[np.int64]) -> list[NDArray[Any]]:
    return np.split(array, ends[:-1]) if len(ends) else []
