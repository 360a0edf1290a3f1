"""Transfer learning: what each start of a training brought on few images, measured before."""

from typing import Any

from matplotlib.figure import Figure as Chart

from convolve.see.report.svg import BLUE
from convolve.see.tour.drawing import INK, WIDTH, themed, tour_style
from convolve.see.tour.measured import FEW_LABELS, TRANSFER
from convolve.see.tour.schemes import Part, draw_scheme
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic

_SCHEME = (
    ("scratch", (Part("your images"), Part("random weights,\nall trained"), Part("classifier,\ntrained"))),
    (
        "unsupervised",
        (
            Part("your images,\nwithout labels", new=True),
            Part("weights learned\nfrom views", new=True),
            Part("classifier\non few labels"),
        ),
    ),
    (
        "finetune",
        (
            Part("a million other\nphotographs", new=True),
            Part("their weights,\nlast stages trained", new=True),
            Part("classifier,\ntrained"),
        ),
    ),
    (
        "features",
        (
            Part("a million other\nphotographs"),
            Part("their weights,\nfrozen", new=True),
            Part("logistic regression\nor SVM", new=True),
        ),
    ),
)


def _compute(_seed: int) -> Section:
    qualities = {rung.name: rung.quality for rung in TRANSFER.rungs}
    numbers: dict[str, Any] = {
        "stored, accuracy on ELPV": qualities,
        "stored, accuracy on MNIST with 10 labels a class": {rung.name: rung.quality for rung in FEW_LABELS.rungs},
        "stored, seconds on MNIST with 10 labels a class": {rung.name: rung.seconds for rung in FEW_LABELS.rungs},
        "conditions": [TRANSFER.words(), FEW_LABELS.words()],
    }
    scheme = Figure(
        svg=draw_scheme("transfer-scheme", _SCHEME, description="four ways to begin a training, as rows of boxes"),
        caption="Where weights come from, and what is trained. Marked: what a way replaces of the one above.",
    )
    rows = [(rung.name, f"{rung.quality:g} %", f"{rung.seconds:g} s") for rung in FEW_LABELS.rungs]
    table = Table(columns=("start", "accuracy", "training"), rows=rows, caption=FEW_LABELS.words())
    return Section(figures=(scheme, _bars(qualities)), tables=(table,), numbers=numbers)


def _bars(qualities: dict[str, float]) -> Figure:
    told = ", ".join(f"{name} {quality:g}" for name, quality in qualities.items())
    with tour_style("transfer-bars"):
        chart = Chart(figsize=(WIDTH, 2.0), layout="constrained")
        axes = chart.subplots()
        bars = axes.barh(list(qualities), list(qualities.values()), 0.6, color=BLUE)
        axes.bar_label(bars, fmt="%g %%", padding=3, color=INK)
        axes.invert_yaxis()
        axes.set_xlim(0, 105)
        axes.set_xlabel("test cells that are right, %")
        axes.tick_params(axis="y", labelcolor=INK)
        axes.grid(visible=False, axis="y")
        svg = themed(chart, f"accuracy of four ways to begin: {told} percent")
    return Figure(svg=svg, caption=TRANSFER.words())


TOPICS.add(
    "transfer",
    Topic(
        name="transfer",
        order=200,
        title="Transfer learning",
        idea="Weights learned on many other photographs already tell edges, textures and parts apart, so few images of "
        "your own suffice. Either a simple classifier learns on their features, or the last stages learn on as well; "
        "where only images without labels are plenty, they can be learned from first.",
        code=TRANSFER.command,
        source="Razavian et al., CVPR Workshops 2014; Donahue et al., ICML 2014; Girshick et al., CVPR 2014; Bardes et "
        "al. (VICReg), ICLR 2022",
        compute=_compute,
    ),
)
