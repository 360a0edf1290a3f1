"""What a report on boxes tells, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from convolve.see.box_drawing import BoxPicture
from convolve.see.report.content import DataSummary, LooksAt, Member, Origin


@dataclass(frozen=True, slots=True)
class BoxExample:
    """One image and how its objects fared.

    Attributes:
        picture: with boxes at or above the threshold, found or false alarms, and the objects that were missed.
        found, missed, false_alarms: how many of each.
    """

    picture: BoxPicture
    found: int
    missed: int
    false_alarms: int


@dataclass(frozen=True, kw_only=True)
class DetectorFacts(Origin):
    """A network that finds objects.

    Attributes:
        rung: how, for example "faster".
        rung_about: the same in words.
        rung_source: the paper.
        channels: bands of its input.
        side: longest side of an image at its input, pixels.
        crop: side of the pieces it was trained on, pixels at its input; 0 where these were whole images.
        proposals: where they come from, in words; empty for a rung without.
        anchors: sizes and shapes, in words; empty for a rung without.
        suppression: how overlapping boxes are thinned out, in words.
    """

    rung: str
    rung_about: str
    rung_source: str
    channels: int
    side: int
    crop: int = 0
    proposals: str = ""
    anchors: str = ""
    suppression: str


@dataclass(frozen=True, kw_only=True)
class DetectionReport:
    """Everything a report on boxes tells.

    Attributes:
        title: of the page.
        command: what repeats the run.
        created: date and time, in words.
        recipe_toml: the resolved recipe.
        data: the images; its counts are objects of each class.
        network: the network.
        results: what `tasks.detect.results` gives, on `split`; where no image was held out, "n" is 0 and the rest is
            what the task evaluates on the validation images.
        split: what the results are on: "test", "validation", or "out-of-fold", where every image is judged by the
            training it was held out from.
        score_name: the validation score that chose the epoch.
        chosen_on_split: whether the same images also chose the epoch or a setting, which makes figures too good.
        reasons: what the program chose and why, one sentence each.
        history: an entry an epoch: epoch, train_loss, validation {loss, scores}, learning_rate, seconds.
        best_epoch: the epoch whose weights were kept, or None.
        members: the trainings of several folds or seeds; empty for one training.
        worst: images, the smallest F1 first.
        random: images drawn without looking at how they fared.
        false_alarms: pieces of images (`see.box_drawing.cut_out`), the most confident first.
        missed: pieces of images around objects that were missed.
        looks_at: what it looked at in its surest mistakes; None where no image was judged.
        timings: what took how long, seconds.
        environment: what `convolve.run.environment` describes.
    """

    title: str
    command: str
    created: str
    recipe_toml: str
    data: DataSummary
    network: DetectorFacts
    results: Mapping[str, Any]
    split: str
    score_name: str = "map"
    chosen_on_split: bool = False
    reasons: Sequence[str] = ()
    history: Sequence[Mapping[str, Any]] = ()
    best_epoch: int | None = None
    members: Sequence[Member] = ()
    worst: Sequence[BoxExample] = ()
    random: Sequence[BoxExample] = ()
    false_alarms: Sequence[BoxPicture] = ()
    missed: Sequence[BoxPicture] = ()
    looks_at: LooksAt | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
