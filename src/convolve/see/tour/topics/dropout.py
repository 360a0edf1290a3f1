"""Dropout as an ensemble, and what is scaled when."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convolve.randomness import torch_randomness
from convolve.see.report.svg import BLUE, GREY, ORANGE, new_axes
from convolve.see.tour.drawing import INK, themed, tour_style
from convolve.see.tour.masked_networks import (
    all_masks,
    drawn_sums,
    ensemble,
    mask_probabilities,
    weight_scaled,
)
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic

_INPUTS, _CLASSES, _P, _DRAWS = 10, 3, 0.5, 20_000


def _softmax_layer(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    with torch_randomness(seed, "tour", "dropout", "layer"):
        weights = torch.randn(_CLASSES, _INPUTS, dtype=torch.float64)
        biases = torch.randn(_CLASSES, dtype=torch.float64)
        inputs = torch.rand(_INPUTS, dtype=torch.float64)
    return weights, biases, inputs


def _numbers(seed: int) -> dict[str, Any]:
    weights, biases, inputs = _softmax_layer(seed)
    masks = all_masks(_INPUTS)
    probable = mask_probabilities(masks, _P)
    terms = weights[0] * inputs
    kept = masks @ terms
    mean = float(probable @ kept)
    # Deck: kept as it is in training, weights times 1 - p at test. Inverted: kept / (1 - p), nothing at test.
    inverted = kept / (1 - _P)
    drawn = drawn_sums(terms, _P, _DRAWS, seed)
    together, scaled = ensemble(weights, biases, inputs, _P), weight_scaled(weights, biases, inputs, _P)
    arithmetic = probable @ torch.softmax((masks * inputs) @ weights.T + biases, dim=1)
    return {
        "inputs": _INPUTS,
        "masks": len(masks),
        "p": _P,
        "geometric_mean": together.tolist(),
        "weight_scaled": scaled.tolist(),
        "ensemble_difference": float((together - scaled).abs().max()),
        "arithmetic_mean": arithmetic.tolist(),
        "mean_over_masks": mean,
        "deterministic": float((1 - _P) * terms.sum()),
        "inverted_mean_over_masks": float(probable @ inverted),
        "inverted_deterministic": float(terms.sum()),
        "variance_over_masks": float(probable @ inverted**2 - (probable @ inverted) ** 2),
        "variance_by_formula": float(_P / (1 - _P) * terms.square().sum()),
        "draws": _DRAWS,
        "drawn_mean": float(drawn.mean()),
        "drawn_variance": float(drawn.var()),
    }


def _histogram(numbers: Mapping[str, Any], seed: int) -> Figure:
    weights, _, inputs = _softmax_layer(seed)
    sums = (all_masks(_INPUTS) @ (weights[0] * inputs) / (1 - _P)).numpy()
    with tour_style("tour-dropout"):
        chart, axes = new_axes(4.0, 2.7)
        axes.hist(sums, bins=32, color=BLUE, alpha=0.55, label="training: one mask each")
        most = axes.get_ylim()[1]
        test = numbers["inverted_deterministic"]
        axes.plot([test, test], [0, most], color=ORANGE, label="test: all units, no mask")
        # Room for the legend above the bars.
        axes.set(xlabel="output of a linear unit", ylabel="masks", ylim=(0, 1.4 * most))
        axes.legend(loc="upper left")
        svg = themed(chart, "Outputs of one linear unit over all 1,024 masks, and its output at test time")
    spread = numbers["variance_over_masks"] ** 0.5
    return Figure(
        svg=svg,
        caption=f"One linear unit under all {numbers['masks']:,} masks of its {_INPUTS} inputs, p = {_P:g}: the output "
        f"at test is their mean; their standard deviation is {spread:.3f}.",
    )


def _probabilities(numbers: Mapping[str, Any], seed: int) -> Figure:
    weights, biases, inputs = _softmax_layer(seed)
    masked = torch.softmax((all_masks(_INPUTS) * inputs) @ weights.T + biases, dim=1)
    places = np.arange(_CLASSES)
    with tour_style("tour-dropout-ensemble"):
        chart, axes = new_axes(4.0, 2.7)
        for place, column in zip(places, masked.T.tolist(), strict=True):
            axes.scatter([place - 0.22] * 128, sorted(column)[4::8], s=7, color=GREY, alpha=0.35, linewidths=0)
        axes.plot(places, numbers["geometric_mean"], "o", color=BLUE, markersize=9, label="geometric mean")
        axes.plot(places, numbers["weight_scaled"], "x", color=INK, markersize=8, label="weights · (1 - p)")
        axes.plot(places + 0.18, numbers["arithmetic_mean"], "^", color=ORANGE, markersize=6, label="arithmetic mean")
        axes.set_xticks(places, labels=[f"class {c}" for c in places])
        axes.set(ylabel="probability", xlim=(-0.5, _CLASSES - 0.5), ylim=(-0.03, 1.5), yticks=[0, 0.5, 1])
        axes.legend(loc="upper left", ncols=2, fontsize=9, columnspacing=1, handletextpad=0.3)
        svg = themed(chart, "Class probabilities of masked networks, their means, and the weight-scaled network")
    return Figure(
        svg=svg,
        caption="Grey: every eighth masked network by rank. Their geometric mean, renormalised, is the weight-scaled "
        f"network (difference {numbers['ensemble_difference']:.0e}); the arithmetic mean is near it, not equal.",
    )


def _table(numbers: Mapping[str, Any]) -> Table:
    return Table(
        columns=["quantity", "over all masks", "without a mask"],
        rows=[
            [
                "mean, kept units as they are; weights · (1 - p) at test",
                f"{numbers['mean_over_masks']:.6f}",
                f"{numbers['deterministic']:.6f}",
            ],
            [
                "mean, kept units / (1 - p) (inverted, PyTorch); test as it is",
                f"{numbers['inverted_mean_over_masks']:.6f}",
                f"{numbers['inverted_deterministic']:.6f}",
            ],
            [
                "variance (inverted); by formula p / (1 - p) Σ x²",
                f"{numbers['variance_over_masks']:.6f}",
                f"{numbers['variance_by_formula']:.6f}",
            ],
            [
                f"mean and variance of {_DRAWS:,} masks drawn by PyTorch",
                f"{numbers['drawn_mean']:.4f}, {numbers['drawn_variance']:.4f}",
                "",
            ],
        ],
        caption="A linear unit: dropout changes no mean, and the two ways of scaling differ by the factor 1 - p only.",
    )


def compute(seed: int) -> Section:
    """All masks of a small layer against its weight-scaled form."""
    numbers = _numbers(seed)
    figures = [_histogram(numbers, seed), _probabilities(numbers, seed)]
    return Section(figures=figures, tables=[_table(numbers)], numbers=numbers)


TOPICS.add(
    "dropout",
    Topic(
        name="dropout",
        order=100,
        title="Dropout as an ensemble",
        idea="In training each unit is dropped with probability p, anew for each sample, so that every step trains "
        "another one of 2^n networks with shared weights. At test all units stay and their outgoing weights are "
        "multiplied by 1 - p, which for one softmax layer is exactly the geometric mean of all those networks.",
        code="import torch; x = torch.ones(8); print(torch.nn.functional.dropout(x, 0.5, training=True), "
        "torch.nn.functional.dropout(x, 0.5, training=False))",
        source="Hinton et al., arXiv:1207.0580 (2012); Srivastava et al., JMLR 15 (2014), where p is the "
        "probability to keep",
        compute=compute,
    ),
)
