"""What a report tells, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Example:
    """One image and how it fared.

    Attributes:
        image: (H, W), (H, W, 1) or (H, W, 3) uint8.
        name: of the image in its data set.
        truth: the true class or classes.
        predicted: the same, as predicted.
        probability: of the prediction, calibrated, in [0, 1].
    """

    image: NDArray[np.uint8]
    name: str
    truth: str
    predicted: str
    probability: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """A confident mistake, and where the network saw what it answered.

    Attributes:
        name: of the image in its data set.
        predicted: the answer.
        truth: what would have been right.
        probability: of the answer, calibrated, in [0, 1].
        image: (H, W) or (H, W, C) uint8.
        for_answer: (H, W, 3) uint8, the image with what speaks for the answer.
        for_truth: the same for what would have been right; None where nothing can be asked about that.
    """

    name: str
    predicted: str
    truth: str
    probability: float
    image: NDArray[np.uint8]
    for_answer: NDArray[np.uint8]
    for_truth: NDArray[np.uint8] | None


@dataclass(frozen=True, kw_only=True)
class LooksAt:
    """What the network looks at where it is wrong.

    Attributes:
        words: how the pictures were made and what they can and cannot tell; or why there are none.
        mistakes: the most confident first; empty where there are none or nothing can be shown.
    """

    words: str
    mistakes: Sequence[Evidence] = ()


@dataclass(frozen=True, kw_only=True)
class DataSummary:
    """The images that the run used.

    Attributes:
        name, form, licence: as the data set has them; licence may be empty.
        classes: K names.
        counts: split -> (K,) images that carry each class.
        images: split -> images; with several labels not the sum of its counts.
        left_out: (where, what) of files and rows that could not be used; a report shows the first.
        left_out_count: of all of them.
        duplicates: images that are there more than once.
        unlabelled: images that could train or choose, but whose labels the run's model did not use.
        split_by: what was kept together, for example "patient", or empty where each image stood alone.
    """

    name: str
    form: str
    classes: Sequence[str]
    counts: Mapping[str, Sequence[int]]
    images: Mapping[str, int]
    licence: str = ""
    left_out: Sequence[tuple[str, str]] = ()
    left_out_count: int = 0
    duplicates: int = 0
    unlabelled: int = 0
    split_by: str = ""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A network of any kind, and where its weights came from.

    Attributes:
        name: for example "resnet18".
        source: the paper or library it comes from.
        parameters: how many numbers it has in all, those that fit a classifier included.
        trained_parameters: how many of them were trained or fitted.
        weights: what it started from, in words, for example "random" or "ImageNet-1k, packaged with timm".
        licence: of those weights; empty for random ones.
        loaded: what became of their tensors: (in words, names).
        start: the rung of the transfer ladder, for example "finetune".
        method: what was trained and how, sentences in the past tense.
    """

    name: str
    source: str
    parameters: int
    trained_parameters: int
    weights: str
    licence: str = ""
    loaded: Sequence[tuple[str, Sequence[str]]] = ()
    start: str
    method: str


@dataclass(frozen=True, kw_only=True)
class NetworkFacts(Origin):
    """A network that classifies images of one size.

    Attributes:
        image_hw: height and width of its input, pixels.
        fit: how another shape became this one: "pad", "crop" or "stretch".
        channels: 1 or 3.
    """

    image_hw: tuple[int, int]
    fit: str
    channels: int


@dataclass(frozen=True, slots=True)
class Member:
    """One of several trainings: a fold or a seed.

    Attributes:
        name: for example "fold 2".
        results: what the task reports on its held-out images.
    """

    name: str
    results: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything a report tells.

    Attributes:
        title: of the page.
        command: what repeats the run.
        created: date and time, in words.
        reasons: what the program chose and why, one sentence each.
        recipe_toml: the resolved recipe.
        data: the images.
        plain_sheet: images as the network sees them without augmentation, (H, W, C) uint8 each.
        augmented_sheet: images as it saw them in training, (H, W, C) uint8 each.
        network: the network.
        history: an entry an epoch: epoch, train_loss, validation {loss, scores}, learning_rate, seconds.
        best_epoch: the epoch whose weights were kept, or None.
        score_name: the validation score that chose it.
        results: what the task reports on `split`, fractions in [0, 1]; where no image was held out, "n" is 0 and the
            rest is what the task evaluates on the validation images.
        split: what the results are on: "test", "validation", or "out-of-fold", where every image is judged by the
            training it was held out from.
        chosen_on_split: whether the same images also chose the epoch or a setting, which makes figures too good.
        members: the trainings of several folds or seeds; empty for one training.
        mistakes: wrong images, the surest first.
        uncertain: the images the network was least sure of, the least sure first.
        looks_at: what it looked at in its surest mistakes; None where no image was judged.
        timings: what took how long, seconds.
        environment: what `convolve.run.environment` describes.
    """

    title: str
    command: str
    created: str
    recipe_toml: str
    data: DataSummary
    network: NetworkFacts
    results: Mapping[str, Any]
    split: str
    score_name: str = "accuracy"
    chosen_on_split: bool = False
    reasons: Sequence[str] = ()
    plain_sheet: Sequence[NDArray[np.uint8]] = ()
    augmented_sheet: Sequence[NDArray[np.uint8]] = ()
    history: Sequence[Mapping[str, Any]] = ()
    best_epoch: int | None = None
    members: Sequence[Member] = ()
    mistakes: Sequence[Example] = ()
    uncertain: Sequence[Example] = ()
    looks_at: LooksAt | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
