"""What a report on masks tells, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convolve.see.report.content import DataSummary, LooksAt, Member, Origin


@dataclass(frozen=True, slots=True)
class PixelExample:
    """One image and how its pixels fared.

    Attributes:
        name: of the image in its data set.
        image: (H, W, 3) uint8, RGB.
        truth: (H, W) uint8 class indices, or 255 where nothing counts.
        predicted: (H, W) uint8 class indices.
        entropy: (H, W) of the predicted probabilities, nats; None where it was not computed.
        pixel_accuracy: share of its pixels that are right, in [0, 1].
        mean_iou: over the classes that it shows, in [0, 1].
    """

    name: str
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    predicted: NDArray[np.uint8]
    entropy: NDArray[np.float32] | None
    pixel_accuracy: float
    mean_iou: float


@dataclass(frozen=True, kw_only=True)
class PixelNetworkFacts(Origin):
    """A network that gives every pixel a class.

    Attributes:
        rung: how scores become a map, for example "fcn-8s".
        rung_about: the same in words.
        rung_source: the paper.
        channels: bands of its input.
        scale: images were resized by this before it, and maps back after it.
        crop: side of the pieces it was trained on, pixels after scaling.
        trained_on: "crops" or "patches".
    """

    rung: str
    rung_about: str
    rung_source: str
    channels: int
    scale: float
    crop: int
    trained_on: str


@dataclass(frozen=True, kw_only=True)
class SegmentationReport:
    """Everything a report on masks tells.

    Attributes:
        title: of the page.
        command: what repeats the run.
        created: date and time, in words.
        recipe_toml: the resolved recipe.
        data: the images; its counts are images that show each class.
        colours: K of red, green and blue, 0..255.
        pixel_shares: split -> K shares of the pixels that have a class.
        network: the network.
        results: what `tasks.segment.tally.results` gives, on `split`; where no image was held out, "n" is 0 and the
            rest is what the task evaluates on the validation images.
        split: what the results are on: "test", "validation", or "out-of-fold", where every image is judged by the
            training it was held out from.
        score_name: the validation score that chose the epoch.
        chosen_on_split: whether the same images also chose the epoch or a setting, which makes figures too good.
        reasons: what the program chose and why, one sentence each.
        history: an entry an epoch: epoch, train_loss, validation {loss, scores}, learning_rate, seconds.
        best_epoch: the epoch whose weights were kept, or None.
        members: the trainings of several folds or seeds; empty for one training.
        worst: images, the smallest mean IoU first.
        typical: images around the median mean IoU.
        uncertainty: where the entropy comes from, in words, for example "20 passes with dropout"; "" for one pass.
        looks_at: what it looked at in its surest mistakes; None where no image was judged.
        timings: what took how long, seconds.
        environment: what `convolve.run.environment` describes.
    """

    title: str
    command: str
    created: str
    recipe_toml: str
    data: DataSummary
    colours: Sequence[tuple[int, int, int]]
    pixel_shares: Mapping[str, Sequence[float]] = field(default_factory=dict)
    network: PixelNetworkFacts
    results: Mapping[str, Any]
    split: str
    score_name: str = "mean_iou"
    chosen_on_split: bool = False
    reasons: Sequence[str] = ()
    history: Sequence[Mapping[str, Any]] = ()
    best_epoch: int | None = None
    members: Sequence[Member] = ()
    worst: Sequence[PixelExample] = ()
    typical: Sequence[PixelExample] = ()
    looks_at: LooksAt | None = None
    uncertainty: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
