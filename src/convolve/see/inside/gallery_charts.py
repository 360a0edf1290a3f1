"""Charts of many images at once: the map of their features, and how separable their classes are by depth."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from convolve.see.inside.separability import Probes
from convolve.see.report.svg import BLUE, GREEN, GREY, ORANGE, chart_style, label, new_axes, to_svg

# Okabe and Ito's eight without black; with as many shapes again, fourteen classes are told apart.
_COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#8A7F00")
_SHAPES = ("o", "^")
MOST_CLASSES = len(_COLOURS) * len(_SHAPES)
"""Classes that are told apart on a map; of more, the rarer ones are one."""

_REST, _UNKNOWN = "other classes", "class unknown"


def embedding_chart(places: NDArray[np.float32], truths: Sequence[str], marked: Sequence[int]) -> Markup:
    """Images as points, coloured by class.

    Args:
        places: (N, 2).
        truths: N, empty where unknown.
        marked: rows with a ring around them.
    """
    groups = _groups(truths)
    names = np.array(groups)
    order = [name for name, _ in Counter(groups).most_common()]
    # What is no class comes last in the legend.
    order = sorted(order, key=lambda name: name in (_REST, _UNKNOWN))
    size = 18 if len(places) <= 300 else 9
    with chart_style("embedding"):
        figure, axes = new_axes(6.2, 5.2)
        for number, name in enumerate(order):
            rows = names == name
            plain = name in (_REST, _UNKNOWN)
            colour = "#BBBBBB" if plain else _COLOURS[number % len(_COLOURS)]
            shape = "." if plain else _SHAPES[number // len(_COLOURS) % len(_SHAPES)]
            title = f"{label(name)} ({int(rows.sum())})"
            axes.scatter(
                places[rows, 0], places[rows, 1], s=size, c=colour, marker=shape, linewidths=0, alpha=0.75, label=title
            )
        if len(marked):
            across, down = places[list(marked)].T
            axes.scatter(across, down, s=70, facecolors="none", edgecolors=GREY, label="unlike its neighbours")
        axes.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        columns = 3 if len(order) < 9 else 4
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=columns, columnspacing=1, handletextpad=0.2)
        return to_svg(figure, "Map of the images by t-SNE of their features, coloured by class")


def separability_chart(found: Probes) -> Markup:
    """Accuracy of a linear probe by depth, with twice its standard error and the rate of answering without looking."""
    positions = np.arange(len(found.probes))
    accuracies = [probe.accuracy for probe in found.probes]
    spread = [2 * probe.spread for probe in found.probes]
    names = [f"{label(probe.layer.name, longest=18)}\n{_size(probe.layer.map_hw)}" for probe in found.probes]
    with chart_style("separability"):
        figure, axes = new_axes(max(4.2, 1.2 + 0.95 * len(names)), 3.2)
        axes.axhline(found.by_chance, color=GREY, linestyle=":", linewidth=1.2, label="always the most frequent class")
        axes.errorbar(
            positions,
            accuracies,
            yerr=spread,
            color=BLUE,
            fmt="o-",
            markersize=4,
            capsize=3,
            elinewidth=1,
            label="probe",
        )
        axes.set_xticks(positions, names, fontsize=8)
        axes.set(ylim=(0, 1.03), ylabel="accuracy, cross-validated")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.legend(loc="best")
        return to_svg(figure, "Accuracy of a linear classifier on the features of each layer, by depth")


def _groups(truths: Sequence[str]) -> list[str]:
    """The truths as the chart tells them apart."""
    counts = Counter(truth for truth in truths if truth)
    kept = {truth for truth, _ in counts.most_common(MOST_CLASSES)}
    return [truth if truth in kept else _REST if truth else _UNKNOWN for truth in truths]


def _size(map_hw: tuple[int, int]) -> str:
    return f"{map_hw[0]} x {map_hw[1]}"
