"""Pooling: the maximum or the mean of windows, apart or overlapping, and where gradients go."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure as Chart
from torch import Tensor

from convolve.see.report.svg import BLUE, GREEN, ORANGE
from convolve.see.tour.drawing import PURPLE, WIDTH, themed, tour_style
from convolve.see.tour.number_grids import Window, draw_numbers
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic

IMAGE = torch.arange(1.0, 26.0, dtype=torch.float64).reshape(5, 5)
# The middle pixel lies in all four windows of 3 x 3 at stride 2, and is the largest of each.
PEAKED = IMAGE.clone()
PEAKED[2, 2] = 30
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
_PUBLISHED_GAIN = {"top-1": 0.4, "top-5": 0.3}
"""Points of error that overlapping took off AlexNet's (Krizhevsky et al. 2012, section 3.4)."""


def max_pooled(image: Tensor, kernel: int, stride: int, *, ceil: bool = False) -> Tensor:
    """(H, W) -> the largest number of each window; `ceil` keeps windows that stick out at the end."""
    return F.max_pool2d(image[None, None], kernel, stride, ceil_mode=ceil)[0, 0]


def mean_pooled(image: Tensor, kernel: int, stride: int) -> Tensor:
    """(H, W) -> the mean of each window."""
    return F.avg_pool2d(image[None, None], kernel, stride)[0, 0]


def routed(image: Tensor, pool: Callable[[Tensor], Tensor]) -> Tensor:
    """(H, W) the gradient at each pixel where that of every pooled number is 1."""
    leaf = image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(pool(leaf).sum(), leaf)
    return gradient


def _forward_figure(pooled: dict[str, Tensor]) -> Figure:
    places = [(row, column) for row in (0, 2) for column in (0, 2)]
    with tour_style("pooling-forward"):
        chart = Chart(figsize=(WIDTH, 3.5), layout="constrained")
        cells = chart.subplots(2, 3).ravel()
        windows = [Window(*place, (3, 3), colour) for place, colour in zip(places, _COLOURS, strict=True)]
        draw_numbers(cells[0], IMAGE, title="3 x 3, stride 2", windows=windows, size=9)
        marks = [
            Window(row // 2, column // 2, (1, 1), colour)
            for (row, column), colour in zip(places, _COLOURS, strict=True)
        ]
        for axes, (name, values) in zip(cells[1:], pooled.items(), strict=False):
            draw_numbers(axes, values, title=name, windows=marks if name == "max 3/2" else ())
        cells[-1].set_axis_off()
        svg = themed(chart, "numbers 1 to 25 as 5 x 5, pooled by maximum and mean")
    return Figure(
        svg=svg,
        caption="Kernel / stride. Windows of 3 at stride 2 overlap, those of 2 at stride 2 do not. Of 5 pixels the "
        "last one fills no window of 2: floor (PyTorch's default) drops it, ceil (Caffe's) makes it a smaller window.",
    )


def _backward_figure(gradients: dict[str, Tensor]) -> Figure:
    with tour_style("pooling-backward"):
        chart = Chart(figsize=(WIDTH, 1.9), layout="constrained")
        cells = chart.subplots(1, 3)
        draw_numbers(cells[0], PEAKED, title="input", windows=[Window(2, 2, (1, 1), ORANGE)], size=9)
        for axes, (name, gradient) in zip(cells[1:], gradients.items(), strict=True):
            marks = [Window(int(r), int(c), (1, 1), ORANGE) for r, c in gradient.nonzero().tolist()]
            draw_numbers(axes, gradient, title=f"back from {name}", windows=marks, size=8.5)
        svg = themed(chart, "the gradient at each pixel, behind maximum and mean pooling")
    return Figure(
        svg=svg,
        caption="A gradient of 1 comes back from every window. The maximum hands it to its winner (30 wins all four "
        "windows, so it gets 4), the mean gives an equal share to each of its pixels.",
    )


def _compute(_seed: int) -> Section:
    pooled = {
        "max 3/2": max_pooled(IMAGE, 3, 2),
        "max 2/2, floor": max_pooled(IMAGE, 2, 2),
        "max 2/2, ceil": max_pooled(IMAGE, 2, 2, ceil=True),
        "mean 2/2": mean_pooled(IMAGE, 2, 2),
    }
    gradients = {
        "max 3/2": routed(PEAKED, lambda image: max_pooled(image, 3, 2)),
        "mean 2/2": routed(PEAKED, lambda image: mean_pooled(image, 2, 2)),
    }
    numbers: dict[str, Any] = {name: values.tolist() for name, values in pooled.items()}
    numbers |= {f"gradient of {name}": gradient.tolist() for name, gradient in gradients.items()}
    numbers["points of error less by overlapping"] = _PUBLISHED_GAIN
    return Section(
        figures=(_forward_figure(pooled), _backward_figure(gradients)),
        tables=(
            Table(
                columns=("network", "window", "overlap"),
                rows=(
                    ("LeNet-5", "2 x 2, stride 2, sum times a weight plus a bias", "no"),
                    ("AlexNet", "3 x 3, stride 2, maximum", "yes"),
                    ("VGG", "2 x 2, stride 2, maximum", "no"),
                    ("GoogLeNet, ResNet", "at the end the mean of each map", "-"),
                ),
                caption="Overlapping took "
                + " and ".join(f"{points:g} points off the {of} error" for of, points in _PUBLISHED_GAIN.items())
                + " of AlexNet (the paper's figures).",
            ),
        ),
        numbers=numbers,
    )


TOPICS.add(
    "pooling",
    Topic(
        name="pooling",
        order=130,
        title="Pooling",
        idea="Pooling keeps one number of each window, its maximum or its mean, so maps become smaller and small "
        "shifts matter less. It has no weights; on the way back the maximum sends the gradient to its winner and the "
        "mean spreads it.",
        code="import torch; print(torch.nn.functional.max_pool2d(torch.arange(1., 26).view(1, 1, 5, 5), "
        "kernel_size=3, stride=2))",
        source="LeCun et al., Proceedings of the IEEE 86 (1998); Krizhevsky et al., NIPS 2012, section 3.4",
        compute=_compute,
    ),
)
