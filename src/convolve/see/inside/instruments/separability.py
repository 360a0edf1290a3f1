"""At which depth the classes become linearly separable."""

from typing import Annotated

from pydantic import Field

from convolve.errors import shown
from convolve.see.inside.gallery import needed_gallery
from convolve.see.inside.gallery_charts import separability_chart
from convolve.see.inside.instruments import INSTRUMENTS, Instrument, Look
from convolve.see.inside.panel import Panel
from convolve.see.inside.separability import FOLDS, Probe, Probes, affordable_images, probe_layers
from convolve.see.inside.subject import Subject


def _run(subject: Subject, look: Look, *, at_most: Annotated[int, Field(ge=10, le=10_000)] = 1000) -> Panel:
    """Linear probes of the last layer at each resolution.

    Args:
        subject: with maps.
        look: the gallery, with truths, and the seed of the folds.
        at_most: images, evenly spread over the gallery; fewer where the network is large.
    """
    gallery = needed_gallery(look.gallery, "separability")
    rows = gallery.rows(affordable_images(subject, at_most))
    found = probe_layers(subject, gallery, rows=rows, seed=look.seed, progress=look.progress)
    return Panel(
        title="Where the classes come apart",
        words=_words(found),
        charts=[separability_chart(found)],
        table=(("layer", "maps", "size", "accuracy", "standard error"), [_row(probe) for probe in found.probes]),
        numbers={
            "images": found.images,
            "by_chance": found.by_chance,
            "layers": {probe.layer.name: list(probe.accuracies) for probe in found.probes},
        },
        source="Alain and Bengio, Understanding intermediate layers using linear classifier probes, 2016",
    )


def _row(probe: Probe) -> tuple[str, ...]:
    height, width = probe.layer.map_hw
    return (
        probe.layer.name,
        str(probe.layer.maps),
        f"{height} x {width}",
        f"{probe.accuracy:.1%}",
        f"{probe.spread:.1%}",
    )


def _words(found: Probes) -> str:
    best = max(found.probes, key=lambda probe: probe.accuracy)
    early = next(probe for probe in found.probes if probe.accuracy >= best.accuracy - best.spread)
    left_out = f" Left out, with fewer than {FOLDS} images: {shown(found.left_out)}." if found.left_out else ""
    return (
        f"A logistic regression on the means of a layer's maps, {FOLDS}-fold cross-validated on {found.images} images "
        f"of {len(found.classes)} classes: how far the classes are linearly separable there. Best {best.accuracy:.0%} "
        f"at '{best.layer.name}'; '{early.layer.name}' is the first within a standard error of it. Layers that were "
        f"trained on these very images flatter themselves here; frozen ones do not.{left_out}"
    )


INSTRUMENTS.add(
    "separability",
    Instrument(
        name="separability",
        order=100,
        about="at which layer a linear classifier can tell the classes apart",
        of="network",
        run=_run,
    ),
)
