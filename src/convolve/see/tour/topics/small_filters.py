"""Small filters: two 3 x 3 layers against one of 5 x 5, in weights, in sight and in time."""

from statistics import median
from time import perf_counter
from typing import Any

import torch
from matplotlib.figure import Figure as Chart
from torch import Tensor, nn

from convolve.networks.cost import cost_of
from convolve.randomness import torch_randomness
from convolve.see.report.svg import BLUE, GREY, ORANGE
from convolve.see.tour.drawing import WIDTH, themed, tour_style
from convolve.see.tour.field_growth import side_by_gradient
from convolve.see.tour.number_grids import Window, draw_numbers
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic

CHANNELS, SIDE = 64, 56
"""C of every layer, and the side of its maps in pixels."""
_ROUNDS = 15


def stacks(channels: int) -> dict[str, nn.Sequential]:
    """The layers that are compared, by name; each (N, C, H, W) -> (N, C, H, W), without bias or non-linearity.

    Args:
        channels: C.
    """

    def stack(*kernels: tuple[int, int]) -> nn.Sequential:
        layers = [
            nn.Conv2d(channels, channels, kernel, padding=(kernel[0] // 2, kernel[1] // 2), bias=False)
            for kernel in kernels
        ]
        return nn.Sequential(*layers)

    return {
        "5x5": stack((5, 5)),
        "two 3x3": stack((3, 3), (3, 3)),
        "7x7": stack((7, 7)),
        "three 3x3": stack((3, 3), (3, 3), (3, 3)),
        "3x3": stack((3, 3)),
        "1x3 + 3x1": stack((1, 3), (3, 1)),
    }


PAIRS = (("5x5", "two 3x3"), ("7x7", "three 3x3"), ("3x3", "1x3 + 3x1"))


def milliseconds(layers: dict[str, nn.Sequential], images: Tensor) -> dict[str, float]:
    """Median time of a pass through each, on one core; they take turns, so that what disturbs one disturbs all.

    Args:
        layers: by name.
        images: (N, C, H, W).
    """
    taken: dict[str, list[float]] = {name: [] for name in layers}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for round_number in range(_ROUNDS + 1):
                for name, stack in layers.items():
                    start = perf_counter()
                    stack(images)
                    # The first round warms up memory and kernels.
                    if round_number:
                        taken[name].append(1000 * (perf_counter() - start))
    finally:
        torch.set_num_threads(threads)
    return {name: median(times) for name, times in taken.items()}


def _compute(seed: int) -> Section:
    with torch_randomness(seed, "tour", "small filters"):
        layers = stacks(CHANNELS)
        images = torch.randn(1, CHANNELS, SIDE, SIDE)
    costs = {name: cost_of(stack, channels=CHANNELS, image_hw=(SIDE, SIDE)) for name, stack in layers.items()}
    fields = {name: side_by_gradient(layers[name], side=21) for name in ("5x5", "two 3x3", "7x7", "three 3x3", "3x3")}
    times = milliseconds(layers, images)
    numbers: dict[str, Any] = {
        "parameters": {name: cost.parameters for name, cost in costs.items()},
        "parameters in units of C squared": {name: cost.parameters / CHANNELS**2 for name, cost in costs.items()},
        "multiply-adds": {name: cost.multiply_adds for name, cost in costs.items()},
        "weights saved, percent": {
            f"{small} for {large}": round(100 * (1 - costs[small].parameters / costs[large].parameters), 1)
            for large, small in PAIRS
        },
        "receptive field": fields,
        "measured": {
            "milliseconds": {name: round(time, 3) for name, time in times.items()},
            "time of small to large": {
                f"{small} for {large}": round(times[small] / times[large], 3) for large, small in PAIRS
            },
        },
    }
    return Section(figures=(_scheme(), _bars(costs, times)), tables=(_table(costs, times),), numbers=numbers)


def _scheme() -> Figure:
    blank = torch.full((5, 5), torch.nan)
    with tour_style("small-filters-scheme"):
        chart = Chart(figsize=(WIDTH, 1.7), layout="constrained")
        one, first, second = chart.subplots(1, 3, width_ratios=[5, 5, 3])
        draw_numbers(one, blank, title="one 5 x 5", windows=[Window(0, 0, (5, 5), BLUE)])
        windows = [Window(0, 0, (3, 3), ORANGE), Window(2, 2, (3, 3), ORANGE)]
        draw_numbers(first, blank, title="3 x 3 at nine places", windows=windows)
        draw_numbers(second, blank[:3, :3], title="then 3 x 3", windows=[Window(0, 0, (3, 3), ORANGE)])
        svg = themed(chart, "a 5 x 5 window beside two 3 x 3 layers that together cover 5 x 5 pixels")
    return Figure(
        svg=svg,
        caption="A unit behind two 3 x 3 layers sees 5 x 5 pixels (a gradient shows it), with 18 C² weights in place "
        "of 25 C², and a non-linearity between them. They reach fewer functions: 18 C² numbers cannot set 25 C².",
    )


def _bars(costs: dict[str, Any], times: dict[str, float]) -> Figure:
    labels = [f"{small}\nfor {large}" for large, small in PAIRS]
    weights = [costs[small].parameters / costs[large].parameters for large, small in PAIRS]
    measured = [times[small] / times[large] for large, small in PAIRS]
    with tour_style("small-filters-bars"):
        chart = Chart(figsize=(WIDTH, 2.4), layout="constrained")
        axes = chart.subplots()
        places = torch.arange(len(PAIRS)).numpy()
        for shift, values, name, colour in ((-0.19, weights, "weights", BLUE), (0.19, measured, "time", ORANGE)):
            bars = axes.bar(places + shift, values, 0.36, label=name, color=colour)
            axes.bar_label(bars, fmt="%.2f", fontsize=9)
        axes.axhline(1, color=GREY, linewidth=1)
        axes.set_xticks(places, labels)
        axes.set_ylabel("small / large")
        axes.margins(y=0.15)
        axes.grid(visible=False, axis="x")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=2)
        svg = themed(chart, "weights and time of stacks of small filters, relative to one large filter")
    caption = (
        "Where the second bar is the taller, time did not follow the weights: maps are written twice, and narrow "
        f"windows wait for memory. Measured now, on one core: medians of {_ROUNDS} passes of one image with {CHANNELS} "
        f"maps of {SIDE} x {SIDE}, taking turns. Another machine may answer otherwise."
    )
    return Figure(svg=svg, caption=caption)


def _table(costs: dict[str, Any], times: dict[str, float]) -> Table:
    rows = [
        (
            name,
            f"{cost.parameters // CHANNELS**2} C² = {cost.parameters:,}",
            f"{cost.multiply_adds / 1e6:.1f}",
            f"{times[name]:.2f}",
        )
        for name, cost in costs.items()
    ]
    return Table(
        columns=("layers", "weights", "million multiply-adds", "ms"),
        rows=rows,
        caption=f"C = {CHANNELS} channels in and out, no biases.",
    )


TOPICS.add(
    "small-filters",
    Topic(
        name="small-filters",
        order=150,
        title="Small filters",
        idea="Two layers of 3 x 3 see as far as one of 5 x 5 with 28 % fewer weights, and three as far as 7 x 7 with "
        "45 % fewer; 1 x 3 then 3 x 1 saves a third of 3 x 3. Each extra layer adds a non-linearity, but fewer "
        "multiply-adds are not always less time.",
        code="from torch import nn; from convolve.networks.cost import cost_of; "
        "print(cost_of(nn.Sequential(*[nn.Conv2d(64, 64, 3, padding=1, bias=False) for _ in range(2)]), "
        "channels=64, image_hw=(56, 56)))",
        source="Simonyan and Zisserman, ICLR 2015, section 2.3; Szegedy et al., CVPR 2016, section 3",
        compute=_compute,
    ),
)
