"""What a prediction's maps come to: a few numbers for a line of JSON, summed up while maps of any size pass by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from convolve.data.dataset import IGNORE


class Maps(Protocol):
    """Maps of an image or of some of its rows: a `Strip` or a `Segmentation`."""

    @property
    def labels(self) -> NDArray[np.uint8]:
        """(H, W), class or `IGNORE`."""

    @property
    def entropy(self) -> NDArray[np.float32]:
        """(H, W), nats; NaN where there is no data."""

    @property
    def mutual_information(self) -> NDArray[np.float32] | None:
        """(H, W), nats; NaN where there is no data; None with one member."""


@dataclass(frozen=True, slots=True)
class MapSummary:
    """Sums over pixels.

    Attributes:
        pixels: (K,) int64, of each class.
        no_data: pixels without data.
        entropy: sum of the predictive entropy, nats.
        mutual_information: sum, nats; None with one member.
    """

    pixels: NDArray[np.int64]
    no_data: int
    entropy: float
    mutual_information: float | None

    def __add__(self, other: "MapSummary") -> "MapSummary":
        """The sums over both."""
        information = None
        if self.mutual_information is not None and other.mutual_information is not None:
            information = self.mutual_information + other.mutual_information
        return MapSummary(
            self.pixels + other.pixels, self.no_data + other.no_data, self.entropy + other.entropy, information
        )


def summarise(maps: Maps, classes: int) -> MapSummary:
    """The sums over maps of K classes."""
    counts = np.bincount(maps.labels.ravel(), minlength=256)
    information = maps.mutual_information
    return MapSummary(
        counts[:classes],
        int(counts[IGNORE]),
        float(np.nansum(maps.entropy, dtype=np.float64)),
        None if information is None else float(np.nansum(information, dtype=np.float64)),
    )


def prediction_summary(
    image: str, summary: MapSummary, classes: Sequence[str], files: Mapping[str, Path]
) -> dict[str, Any]:
    """One line of `predict --json`, as plain JSON values.

    Args:
        image: its name.
        summary: of all of its pixels.
        classes: K names.
        files: what was written, for example {"labels": ..., "overlay": ...}.

    Returns:
        "image"; "NAME_file" for each file; "shares", of the pixels with data, by class, from the largest down to those
        that occur; "mean_entropy" and (with passes or views) "mean_mutual_information", nats, null where there is no
        data at all; "no_data", share of all pixels.
    """
    valid = int(summary.pixels.sum())

    def share(number: float) -> float | None:
        return number / valid if valid else None

    order = np.argsort(-summary.pixels, kind="stable").tolist()
    told: dict[str, Any] = {"image": image}
    told |= {f"{name}_file": str(path) for name, path in files.items()}
    told["shares"] = {classes[index]: share(int(summary.pixels[index])) for index in order if summary.pixels[index]}
    told["mean_entropy"] = share(summary.entropy)
    if summary.mutual_information is not None:
        told["mean_mutual_information"] = share(summary.mutual_information)
    told["no_data"] = summary.no_data / (valid + summary.no_data)
    return told
