"""The ladder of detectors: what each rung replaces, and what an image costs, measured before."""

from typing import Any

from matplotlib.figure import Figure as Chart

from convolve.see.report.svg import BLUE, GREY, ORANGE
from convolve.see.tour.drawing import INK, WIDTH, themed, tour_style
from convolve.see.tour.measured import BCCD_FASTER, DETECTION
from convolve.see.tour.schemes import Part, draw_scheme
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic

_SCHEME = (
    (
        "R-CNN",
        (Part("selective\nsearch"), Part("2,000 cuts,\nwarped"), Part("network\non each"), Part("classes,\nboxes")),
    ),
    (
        "Fast R-CNN",
        (
            Part("selective\nsearch"),
            Part("network once,\nwhole image", new=True),
            Part("regions of\nits map", new=True),
            Part("classes,\nboxes"),
        ),
    ),
    (
        "Faster R-CNN",
        (
            Part("network once,\nwhole image"),
            Part("proposals\nfrom its map", new=True),
            Part("regions of\nits map"),
            Part("classes,\nboxes"),
        ),
    ),
    ("one stage", (Part("network once,\nwhole image"), Part("classes and boxes\nat every place", new=True))),
)
PUBLISHED = (("R-CNN", 66.0, 47.0), ("Fast R-CNN", 66.9, 0.32), ("Faster R-CNN", 69.9, 0.198))
"""(name, mAP on VOC 2007 in percent, seconds an image) with VGG-16 on a K40; the first two without proposals."""


def _compute(_seed: int) -> Section:
    rungs = {rung.name: rung for rung in DETECTION.rungs}
    seconds = {name: rung.seconds for name, rung in rungs.items()}
    numbers: dict[str, Any] = {
        "stored, network seconds an image": seconds,
        "stored, proposal seconds an image": {name: rung.proposal_seconds for name, rung in rungs.items()},
        "stored, mAP@.5 after a minute of training": {name: rung.quality for name, rung in rungs.items()},
        "stored, mAP@.5 of faster after ten minutes": BCCD_FASTER.rungs[0].quality,
        "published, VOC 2007": {name: {"mAP": quality, "seconds": time} for name, quality, time in PUBLISHED},
        "conditions": [DETECTION.words(), BCCD_FASTER.words()],
    }
    scheme = Figure(
        svg=draw_scheme("detection-scheme", _SCHEME, description="four detectors as rows of boxes"),
        caption="From the image to classes and boxes. Marked: what a rung replaces of the one above.",
    )
    rows = [(name, f"{quality:g} %", f"{time:g} s") for name, quality, time in PUBLISHED]
    table = Table(
        columns=("published", "mAP, VOC 2007", "an image"),
        rows=rows,
        caption="The papers' figures, VGG-16 on an Nvidia K40; the first two times are without selective search, "
        f"which takes 1.5 s more. After ten minutes our own faster reached {BCCD_FASTER.rungs[0].quality:g} %: "
        f"{BCCD_FASTER.words()}",
    )
    return Section(figures=(scheme, _bars()), tables=(table,), numbers=numbers)


def _bars() -> Figure:
    names = [rung.name for rung in DETECTION.rungs]
    places = range(len(names))
    with tour_style("detection-bars"):
        chart = Chart(figsize=(WIDTH, 2.9), layout="constrained")
        times, qualities = chart.subplots(1, 2, sharey=True, width_ratios=[3, 2])
        bars = times.barh(
            [place - 0.2 for place in places], [r.seconds or 0 for r in DETECTION.rungs], 0.38, color=BLUE
        )
        times.bar_label(bars, [_words(r.seconds) for r in DETECTION.rungs], padding=3, fontsize=8.5, color=INK)
        given = [r.proposal_seconds or 0 for r in DETECTION.rungs]
        bars = times.barh([place + 0.2 for place in places], given, 0.38, color=GREY)
        times.bar_label(bars, [_words(r.proposal_seconds) for r in DETECTION.rungs], padding=3, fontsize=8.5, color=INK)
        times.set_xscale("log")
        times.set_xlim(0.003, 300)
        times.set_xticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
        times.set_yticks(places, names)
        times.tick_params(axis="y", labelcolor=INK)
        times.invert_yaxis()
        times.set_xlabel("seconds an image")
        bars = qualities.barh(places, [r.quality for r in DETECTION.rungs], 0.5, color=ORANGE)
        qualities.bar_label(bars, fmt="%g", padding=3, fontsize=8.5, color=INK)
        qualities.set_xlim(0, 105)
        qualities.set_xlabel("mAP@.5, %")
        for axes in (times, qualities):
            axes.grid(visible=False, axis="y")
        svg = themed(chart, "seconds an image and average precision of four detectors")
    return Figure(
        svg=svg,
        caption=f"Blue: the network; grey: the proposals (of faster, without the maps they share). {DETECTION.words()}",
    )


def _words(seconds: float | None) -> str:
    if seconds is None:
        return "none"
    return f"{seconds:g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


TOPICS.add(
    "detection",
    Topic(
        name="detection",
        order=220,
        title="From regions to boxes",
        idea="R-CNN classifies two thousand cut-out regions, each with the whole network; Fast R-CNN runs the network "
        "once and reads the regions from its map; Faster R-CNN draws the regions from that map too, and one-stage "
        "detectors do without. Each rung removes work that was done again and again.",
        code=DETECTION.command,
        source="Girshick et al., CVPR 2014; Girshick, ICCV 2015; Ren et al., NIPS 2015; Lin et al., ICCV 2017",
        compute=_compute,
    ),
)
