"""Convolution: the worked example, what tells it from correlation, and what it has over a fully connected layer."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure as Chart
from torch import Tensor, nn

from convolve.networks.cost import cost_of
from convolve.randomness import numpy_generator
from convolve.see.report.svg import BLUE, ORANGE
from convolve.see.tour.drawing import INK, WIDTH, themed, tour_style
from convolve.see.tour.number_grids import Window, draw_numbers
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic

IMAGE = torch.arange(1.0, 17.0, dtype=torch.float64).reshape(4, 4)
SYMMETRIC = torch.outer(torch.tensor([1.0, 2.0, 1.0]), torch.tensor([1.0, 2.0, 1.0])).double()
COUNTING = torch.arange(1.0, 10.0, dtype=torch.float64).reshape(3, 3)
_SIDE, _MAPS = 28, 8
"""Of the layer whose parameters are compared: 28 x 28 grey pixels to 8 maps of the same size."""


def correlated(image: Tensor, kernel: Tensor) -> Tensor:
    """g(x, y) = sum over s, t of w(s, t) f(x + s, y + t), zeros outside: what deep learning calls convolution.

    Args:
        image: (H, W) float.
        kernel: (h, w), odd sides, of the image's type.

    Returns:
        (H, W).
    """
    margin = (kernel.shape[0] // 2, kernel.shape[1] // 2)
    return F.conv2d(image[None, None], kernel[None, None], padding=margin)[0, 0]


def changed_units(kernel: int, layers: int, *, side: int) -> Tensor:
    """(side, side) bool: the units after some k x k layers that answer otherwise once the middle pixel has changed."""
    before = torch.zeros(side, side, dtype=torch.float64)
    after = before.clone()
    after[side // 2, side // 2] = 1
    weights = torch.ones(kernel, kernel, dtype=torch.float64)
    for _ in range(layers):
        before, after = correlated(before, weights), correlated(after, weights)
    return before != after


def shift_error(seed: int, *, side: int = 12, shift: int = 2) -> float:
    """The largest difference between "shift, then convolve" and "convolve, then shift", away from the border.

    Whole numbers in float64, so that only a real difference is one.
    """
    image = torch.from_numpy(numpy_generator(seed, "tour", "convolution").integers(0, 256, (side, side))).double()
    shifted = torch.zeros_like(image)
    shifted[shift:, shift:] = image[:-shift, :-shift]
    inner = slice(shift + 1, -1)
    moved_map = torch.zeros_like(image)
    moved_map[shift:, shift:] = correlated(image, COUNTING)[:-shift, :-shift]
    difference = correlated(shifted, COUNTING) - moved_map
    return float(difference[inner, inner].abs().max())


def _worked_example(result: Tensor) -> Figure:
    with tour_style("convolution-example"):
        chart = Chart(figsize=(WIDTH, 2.1), layout="constrained")
        f_axes, w_axes, g_axes = chart.subplots(1, 3, width_ratios=[4, 3, 4])
        draw_numbers(f_axes, IMAGE, title="f", windows=[Window(0, 0, (3, 3), BLUE)])
        draw_numbers(w_axes, SYMMETRIC, title="w", windows=[Window(0, 0, (3, 3), ORANGE)])
        draw_numbers(g_axes, result, title="g", windows=[Window(1, 1, (1, 1), BLUE)], size=9)
        products = [f"{pixel:g}·{weight:g}" for pixel, weight in zip(_window().ravel(), SYMMETRIC.ravel(), strict=True)]
        rows = [" + ".join(products[start : start + 3]) for start in (0, 3, 6)]
        chart.supxlabel(" +\n".join(rows) + f" = {result[1, 1]:g}", fontsize=9, color=INK)
        svg = themed(chart, "a 4 x 4 image, a 3 x 3 kernel and the 4 x 4 result of convolving them")
    return Figure(
        svg=svg,
        caption="The window of f times w, summed, is the marked number of g. Outside the image there are zeros, so the "
        "border of g is darker; in its interior g is 16 f, since w sums to 16 and f is a ramp.",
    )


def _window() -> Tensor:
    return IMAGE[:3, :3]


def _flipped(correlation: Tensor, convolution: Tensor) -> Figure:
    with tour_style("convolution-flipped"):
        chart = Chart(figsize=(WIDTH, 1.9), layout="constrained")
        w_axes, first, second = chart.subplots(1, 3, width_ratios=[3, 4, 4])
        draw_numbers(w_axes, COUNTING, title="w")
        draw_numbers(first, correlation, title="as it is", size=8.5)
        draw_numbers(second, convolution, title="w turned by 180°", size=8.5)
        svg = themed(chart, "the same image with the kernel 1 to 9, as it is and turned by 180 degrees")
    return Figure(
        svg=svg,
        caption="A kernel that is not symmetric tells the two apart. Layers use w as it is (cross-correlation); "
        "mathematics' convolution turns it first. A network learns w, so either will do.",
    )


def _locality() -> tuple[Figure, list[int]]:
    side = 9
    reached = [changed_units(3, layers, side=side) for layers in (1, 2, 3)]
    with tour_style("convolution-locality"):
        chart = Chart(figsize=(WIDTH, 1.8), layout="constrained")
        for axes, units, layers in zip(chart.subplots(1, 3), reached, (1, 2, 3), strict=True):
            name = f"{layers} layer{'s' if layers > 1 else ''}: {int(units.sum())}"
            first, last = units.nonzero().amin(dim=0).tolist(), units.nonzero().amax(dim=0).tolist()
            mark = Window(first[0], first[1], (last[0] - first[0] + 1, last[1] - first[1] + 1), BLUE)
            draw_numbers(axes, torch.full(units.shape, torch.nan), title=name, windows=[mark])
        svg = themed(chart, "which of 9 x 9 units change with the middle pixel, after one, two and three layers")
    counts = [int(units.sum()) for units in reached]
    caption = (
        f"One pixel changes, in the middle of 9 x 9: {counts[0]}, {counts[1]}, {counts[2]} units change after one, "
        f"two, three 3 x 3 layers. After one fully connected layer all {side * side} would."
    )
    return Figure(svg=svg, caption=caption), counts


def _sizes() -> dict[str, list[int]]:
    layer = nn.Conv2d(1, _MAPS, 3, padding=1, device="meta")
    sizes = {}
    for height, width in ((4, 4), (28, 28), (60, 100)):
        sizes[f"{height} x {width}"] = list(layer(torch.empty(1, 1, height, width, device="meta")).shape[2:])
    return sizes


def _parameters() -> dict[str, int]:
    layers = {
        "convolution": nn.Conv2d(1, _MAPS, 3, padding=1, device="meta"),
        "fully connected": nn.Sequential(nn.Flatten(), nn.Linear(_SIDE * _SIDE, _MAPS * _SIDE * _SIDE, device="meta")),
    }
    counts = {}
    for name, layer in layers.items():
        cost = cost_of(layer, channels=1, image_hw=(_SIDE, _SIDE))
        counts[f"{name} parameters"] = cost.parameters
        counts[f"{name} multiply-adds"] = cost.multiply_adds
    return counts


def _compute(seed: int) -> Section:
    result, correlation = correlated(IMAGE, SYMMETRIC), correlated(IMAGE, COUNTING)
    convolution = correlated(IMAGE, COUNTING.flip(0, 1))
    locality, changed = _locality()
    counts, error = _parameters(), shift_error(seed)
    numbers: dict[str, Any] = {
        "g": _whole(result),
        "correlation": _whole(correlation),
        "convolution": _whole(convolution),
        "units changed by one pixel": changed,
        "shift error": error,
        "output sizes": _sizes(),
        **counts,
    }
    rows = [
        (name, f"{counts[f'{name} parameters']:,}", f"{counts[f'{name} multiply-adds']:,}")
        for name in ("convolution", "fully connected")
    ]
    caption = (
        f"From {_SIDE} x {_SIDE} grey pixels to {_MAPS} maps of that size, kernel 3 x 3. The same convolution takes "
        "images of 4 x 4 or 60 x 100 pixels; the fully connected layer does not. Shifting the image by 2 pixels "
        f"shifts the maps by 2 in the interior: largest difference {error:g}."
    )
    return Section(
        figures=(_worked_example(result), _flipped(correlation, convolution), locality),
        tables=(Table(columns=("layer", "parameters", "multiply-adds"), rows=rows, caption=caption),),
        numbers=numbers,
    )


def _whole(matrix: Tensor) -> list[list[int]]:
    whole: list[list[int]] = np.asarray(matrix).astype(int).tolist()
    return whole


TOPICS.add(
    "convolution",
    Topic(
        name="convolution",
        order=120,
        title="Convolution",
        idea="A small kernel of weights is laid over every place of the image, and what it covers is multiplied and "
        "summed. Each unit sees only its neighbourhood and all share the same few weights, so a pattern is found "
        "wherever it is, in images of any size.",
        code="import torch; print(torch.nn.functional.conv2d(torch.arange(1., 17).view(1, 1, 4, 4), "
        "torch.tensor([[[[1., 2, 1], [2, 4, 2], [1, 2, 1]]]]), padding=1))",
        source="LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 86 (1998), section II",
        compute=_compute,
    ),
)
