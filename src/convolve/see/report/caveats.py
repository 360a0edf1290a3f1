"""What a reader must know before believing a figure, worked out from the figures themselves."""

from collections.abc import Iterator

from convolve.errors import shown
from convolve.see.report.content import DataSummary, Report
from convolve.see.report.numbers import counted, percent, score_words
from convolve.see.report.segmentation_content import SegmentationReport

_FEW_IMAGES, _FEW_GROUPS, _FEW_OF_A_CLASS = 200, 20, 10


def caveats(report: Report) -> list[str]:
    """Sentences, the gravest first; none is boilerplate that holds for every run."""
    if report.results["n"] == 0:
        return list(choosing_caveats(report))
    return [
        *choosing_caveats(report),
        *_size(report),
        *_baseline(report),
        *_classes(report),
        *independence_caveats(report.data),
    ]


def choosing_caveats(report: Report | SegmentationReport) -> Iterator[str]:
    """What it means for the figure that the same images chose the model, or that several networks were judged."""
    if report.chosen_on_split:
        score = report.score_name
        yield (
            f"The {report.split} {score_words(score)} of {percent(report.results[score])} chose the model, so it "
            "is better than what new images will give; keep a test split, or use folds, for a figure to publish."
        )
    if report.split == "out-of-fold":
        yield (
            "Each image was judged by a network that had not seen it, but the networks share most of their training "
            "images; the interval does not include how much another choice of folds would change."
        )


def _size(report: Report) -> Iterator[str]:
    n, groups = report.results["n"], report.results.get("groups")
    if groups is not None and groups < _FEW_GROUPS:
        yield f"The {counted(n, 'image')} come from only {counted(groups, 'group')}: even the interval is rough."
    elif n < _FEW_IMAGES:
        yield (
            f"This figure rests on {counted(n, 'image')}; one image more or less is {100 / n:.1f} points. "
            "Read the interval, not the figure."
        )


def _baseline(report: Report) -> Iterator[str]:
    results = report.results
    if "confusion" not in results:
        return
    largest = max(results["per_class"], key=lambda row: row["n"])
    share = largest["n"] / results["n"]
    low, high = results["accuracy_ci95"]
    always = f"Always answering '{largest['class']}' would be right for {percent(share)} of these images"
    if high < share:
        yield f"{always}: the network is worse than that."
    elif low <= share:
        yield f"{always}: the network is not distinguishable from that here."
    elif share > 0.5:
        yield f"{always}: compare with the balanced accuracy, {percent(results['balanced_accuracy'])}."


def _classes(report: Report) -> Iterator[str]:
    rows = report.results["per_class"]
    absent = [row["class"] for row in rows if row["n"] == 0]
    few = [row["class"] for row in rows if 0 < row["n"] < _FEW_OF_A_CLASS]
    if absent:
        yield f"Not one of these images shows {shown(absent)}: nothing is known about how well it is recognised."
    if few:
        yield f"{shown(few)}: fewer than {_FEW_OF_A_CLASS} images each; the figures of such a class are hints."


def independence_caveats(data: DataSummary) -> Iterator[str]:
    """What it means for the figure that images were not kept together by anything."""
    if not data.split_by:
        yield (
            "Images were taken to be independent of each other. If several show the same object, patient, place or "
            "recording, similar ones are in training too and the figure is too good; a group column mends that."
        )
