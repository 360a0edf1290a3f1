"""ImageNet by year: top-5 error on the test images, and depth, as published."""

from dataclasses import dataclass

from matplotlib.figure import Figure as Chart

from convolve.see.report.svg import BLUE, GREEN, ORANGE
from convolve.see.tour.drawing import INK, WIDTH, themed, tour_style
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic


@dataclass(frozen=True)
class Entry:
    """A published result of ILSVRC classification.

    Attributes:
        year: of the competition.
        title: of the entry.
        layers: with weights.
        top5_error: percent of the test images whose class is not among the five most likely.
        how: how many networks were averaged, and what else made a difference.
    """

    year: int
    title: str
    layers: int
    top5_error: float
    how: str


ENTRIES = (
    Entry(2012, "AlexNet", 8, 15.3, "7 networks, two of them pre-trained on ImageNet 2011"),
    Entry(2012, "AlexNet, no extra data", 8, 16.4, "5 networks"),
    Entry(2013, "ZFNet", 8, 14.8, "6 networks"),
    Entry(2013, "OverFeat", 9, 13.6, "7 networks"),
    Entry(2013, "Clarifai", 8, 11.7, "ensemble in the manner of ZFNet"),
    Entry(2014, "VGG", 19, 7.3, "7 networks"),
    Entry(2014, "GoogLeNet", 22, 6.7, "7 networks, 144 crops"),
    Entry(2015, "ResNet", 152, 3.57, "6 networks"),
)
HUMAN_ERROR = 5.1
"""Top-5 error in percent of one trained annotator on 1,500 of the test images (Russakovsky et al. 2015)."""
_DRAWN = ("AlexNet", "Clarifai", "VGG", "GoogLeNet", "ResNet")


def _compute(_seed: int) -> Section:
    numbers = {
        "entries": [
            {"year": entry.year, "title": entry.title, "layers": entry.layers, "top-5 test error": entry.top5_error}
            for entry in ENTRIES
        ],
        "human": HUMAN_ERROR,
    }
    rows = [
        (entry.title, str(entry.year), str(entry.layers), f"{entry.top5_error:g} %", entry.how) for entry in ENTRIES
    ]
    caption = (
        "Published figures, none of them measured here: top-5 error on ILSVRC's test images, each by an ensemble. They "
        "are not comparable with a single network's error on one crop of the validation images, which is higher."
    )
    table = Table(columns=("entry", "year", "layers", "top-5 error", "how"), rows=rows, caption=caption)
    return Section(figures=(_figure(),), tables=(table,), numbers=numbers)


def _figure() -> Figure:
    drawn = [entry for entry in ENTRIES if entry.title in _DRAWN]
    places = range(len(drawn))
    with tour_style("imagenet-history"):
        chart = Chart(figsize=(WIDTH, 3.9), layout="constrained")
        errors, depths = chart.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        bars = errors.bar(places, [entry.top5_error for entry in drawn], 0.6, color=BLUE)
        errors.bar_label(bars, fmt="%g", fontsize=9, color=INK)
        errors.axhline(HUMAN_ERROR, color=GREEN, linestyle="--")
        errors.text(4.45, HUMAN_ERROR + 0.2, f"person: {HUMAN_ERROR}", color=INK, fontsize=9, ha="right", va="bottom")
        errors.set_ylabel("top-5 error, %")
        depths.plot(places, [entry.layers for entry in drawn], marker="o", color=ORANGE)
        for place, entry in zip(places, drawn, strict=True):
            depths.annotate(
                str(entry.layers), (place, entry.layers), (0, 5), textcoords="offset points", ha="center", fontsize=9
            )
        depths.set_ylabel("layers")
        depths.set_ylim(0, 185)
        depths.set_xticks(places, [f"{entry.title}\n{entry.year}" for entry in drawn])
        for axes in (errors, depths):
            axes.grid(visible=False, axis="x")
        svg = themed(chart, "top-5 error falls from 15.3 to 3.57 percent while depth grows from 8 to 152 layers")
    return Figure(
        svg=svg,
        caption="Best entries of each year, test images, ensembles. AlexNet's figure is the one with extra training "
        "data (16.4 without). The person is one trained annotator on 1,500 images.",
    )


TOPICS.add(
    "imagenet-history",
    Topic(
        name="imagenet-history",
        order=170,
        title="ImageNet by year",
        idea="Each year's best networks were deeper, and wrong less often. Between 2014 and 2015 they passed what a "
        "trained person achieved on these photographs and these thousand classes, which says little about others.",
        code="convolve ladder depth photos/ --budget 15m",
        source="Russakovsky et al., International Journal of Computer Vision 115 (2015); the entries' papers",
        compute=_compute,
    ),
)
