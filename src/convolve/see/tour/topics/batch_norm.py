"""Batch normalisation: definition, backward pass, folding, and what it does to a deep network."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Chart
from sklearn.datasets import load_digits
from torch import Tensor, nn

from convolve.randomness import torch_randomness
from convolve.see.report.svg import BLUE, GREEN, GREY, ORANGE, new_axes
from convolve.see.tour.drawing import INK, WIDTH, themed, tour_style
from convolve.see.tour.normalised_networks import (
    deep_network,
    folded,
    normalise,
    normalise_backward,
    pre_activations,
    training_losses,
)
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic

_HAND = (1.0, 2.0, 3.0, 6.0)
_DEPTH, _HIDDEN, _SCALE, _STEPS = 10, 32, 0.5, 80


def _by_hand() -> dict[str, Any]:
    x = torch.tensor(_HAND, dtype=torch.float64)[:, None]
    norm = nn.BatchNorm1d(1, momentum=0.1, dtype=torch.float64)
    output = norm(x).detach()[:, 0]
    one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    return {
        "x": list(_HAND),
        "mean": float(x.mean()),
        "biased_variance": float(x.var(correction=0)),
        "unbiased_variance": float(x.var()),
        "output": output.tolist(),
        "difference_from_definition": float((output - normalise(x, one, zero)[:, 0]).abs().max()),
        "running_mean_after_one_batch": float(norm.state_dict()["running_mean"]),
        "running_variance_after_one_batch": float(norm.state_dict()["running_var"]),
    }


def _checks(seed: int) -> dict[str, float]:
    with torch_randomness(seed, "tour", "batch-norm"):
        x = torch.randn(16, 5, dtype=torch.float64, requires_grad=True)
        gamma = torch.randn(5, dtype=torch.float64, requires_grad=True)
        beta = torch.randn(5, dtype=torch.float64, requires_grad=True)
        dy = torch.randn(16, 5, dtype=torch.float64)
        convolution, norm = nn.Conv2d(3, 4, 3, dtype=torch.float64), nn.BatchNorm2d(4, dtype=torch.float64)
        images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
        for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            nn.init.uniform_(values, 0.5, 1.5)  # type: ignore[arg-type]
    output = nn.functional.batch_norm(x, None, None, gamma, beta, training=True)
    automatic = torch.autograd.grad(output, (x, gamma, beta), dy)
    written = normalise_backward(x.detach(), gamma.detach(), dy)
    with torch.no_grad():
        apart = norm.eval()(convolution(images))
        together = folded(convolution, norm)(images)
    pairs = zip(automatic, written, strict=True)
    return {
        "backward_difference": max(float((one - other).abs().max()) for one, other in pairs),
        "folding_difference": float((apart - together).abs().max()),
    }


def _digits() -> tuple[Tensor, Tensor]:
    images, classes = load_digits(return_X_y=True)
    return torch.tensor(images[:500] / 8 - 1, dtype=torch.float32), torch.tensor(classes[:500])


def _networks(seed: int) -> dict[str, nn.Sequential]:
    shape = {"depth": _DEPTH, "weight_scale": _SCALE, "key": (seed, "tour batch-norm")}
    return {
        "without": deep_network((64, _HIDDEN, 10), batch_norm=False, **shape),  # type: ignore[arg-type]
        "with": deep_network((64, _HIDDEN, 10), batch_norm=True, **shape),  # type: ignore[arg-type]
    }


def _effects(seed: int) -> tuple[dict[str, Any], dict[str, list[Tensor]]]:
    x, classes = _digits()
    networks = _networks(seed)
    given = {name: pre_activations(network, x) for name, network in networks.items()}
    losses = {name: training_losses(network, x, classes, steps=_STEPS, rate=0.01) for name, network in networks.items()}
    return {
        "depth": _DEPTH,
        "deviations": {name: [float(values.std()) for values in layers] for name, layers in given.items()},
        "losses": losses,
    }, given


def _spread(numbers: Mapping[str, Any], given: Mapping[str, list[Tensor]]) -> Figure:
    # 1.5 standard deviations of the normalised reach either side, in steps that show a peak of the narrow ones.
    edges = np.linspace(-3, 3, 49)
    colours = {"without": ORANGE, "with": BLUE}
    with tour_style("tour-batch-norm"):
        chart = Chart(figsize=(WIDTH, 3.4), layout="constrained")
        for row, (name, layers) in zip(chart.subplots(2, 3, sharex=True), given.items(), strict=True):
            for axes, k in zip(row, (0, 4, 9), strict=True):
                axes.hist(layers[k].numpy().ravel(), bins=edges.tolist(), color=colours[name], density=True)
                axes.set_title(f"layer {k + 1}: sd {numbers['deviations'][name][k]:.2g}", fontsize=9)
                axes.set_yticks([])
            row[0].set_ylabel(f"{name} batch norm", fontsize=9)
        chart.axes[4].set_xlabel("pre-activation")
        svg = themed(chart, "Distribution of pre-activations by layer, without and with batch norm")
    return Figure(
        svg=svg,
        caption=f"What tanh is given in a network of {_DEPTH} layers before training, by the same weights (standard "
        f"deviation {_SCALE:g} / √fan-in): it shrinks by layer without batch norm and stays with it.",
    )


def _training(numbers: Mapping[str, Any]) -> Figure:
    losses = numbers["losses"]
    with tour_style("tour-batch-norm-training"):
        chart, axes = new_axes(3.8, 2.7)
        axes.axhline(np.log(10), color=GREY, linestyle="--", linewidth=1)
        axes.plot(losses["without"], color=ORANGE, label="without batch norm")
        axes.plot(losses["with"], color=BLUE, label="with batch norm")
        axes.text(_STEPS, np.log(10) + 0.05, "ln 10", ha="right", color=INK, fontsize=9)
        axes.set(xlabel="step", ylabel="training loss", ylim=(0, 3.7))
        axes.legend(loc="upper right")
        svg = themed(chart, "Training loss by step of a deep network without and with batch norm")
    return Figure(
        svg=svg,
        caption=f"{_STEPS} steps of Adam on 500 digits: loss {losses['without'][-1]:.3f} without, "
        f"{losses['with'][-1]:.3f} with batch norm, from the same weights.",
    )


def _hand_figure(numbers: Mapping[str, Any]) -> Figure:
    hand = numbers["by_hand"]
    with tour_style("tour-batch-norm-hand"):
        chart, axes = new_axes(3.8, 1.7)
        for height, values, colour in ((1, hand["x"], GREY), (0, hand["output"], GREEN)):
            axes.plot(values, [height] * len(values), "o", color=colour, markersize=8)
            for number, value in enumerate(values):
                # Every other one below, where they would touch one another; -0.0 is 0.
                up = 0.17 if height or number % 2 else -0.57
                axes.text(value, height + up, f"{round(value, 2) + 0.0:g}", ha="center", va="bottom", fontsize=9)
        for before, after in zip(hand["x"], hand["output"], strict=True):
            axes.plot([before, after], [1, 0], color=GREY, linewidth=0.8, alpha=0.5, zorder=0)
        axes.set_yticks([0, 1], labels=["after", "before"])
        axes.set(ylim=(-0.65, 1.5), xlim=(-2, 6.7))
        svg = themed(chart, "The batch 1, 2, 3, 6 before and after normalisation")
    return Figure(
        svg=svg,
        caption=f"The batch (1, 2, 3, 6): mean {hand['mean']:g}, variance {hand['biased_variance']:g} over "
        f"m = {len(_HAND)}, normalised to mean 0 and variance 1.",
    )


def _table(numbers: Mapping[str, Any]) -> Table:
    hand = numbers["by_hand"]
    return Table(
        columns=["quantity", "value"],
        rows=[
            ["mean", f"{hand['mean']:g}"],
            ["variance over m, used to normalise", f"{hand['biased_variance']:g}"],
            ["variance over m - 1, kept for test", f"{hand['unbiased_variance']:.6f}"],
            ["running mean after one batch, 0.9 · 0 + 0.1 · mean", f"{hand['running_mean_after_one_batch']:.6f}"],
            ["running variance, 0.9 · 1 + 0.1 · unbiased", f"{hand['running_variance_after_one_batch']:.6f}"],
            ["PyTorch less the definition", f"{hand['difference_from_definition']:.1e}"],
            ["backward formula less autograd", f"{numbers['backward_difference']:.1e}"],
            ["convolution and batch norm folded into one, less the two", f"{numbers['folding_difference']:.1e}"],
        ],
        caption="The batch (1, 2, 3, 6) by hand, and largest differences in float64.",
    )


def compute(seed: int) -> Section:
    """A batch by hand, the backward formula, folding, and a deep network."""
    effects, given = _effects(seed)
    numbers = {"by_hand": _by_hand(), **_checks(seed), **effects}
    figures = [_hand_figure(numbers), _spread(numbers, given), _training(numbers)]
    return Section(figures=figures, tables=[_table(numbers)], numbers=numbers)


TOPICS.add(
    "batch-norm",
    Topic(
        name="batch-norm",
        order=110,
        title="Batch normalisation",
        idea="Each pre-activation is brought to mean 0 and variance 1 over the batch, then scaled and shifted by two "
        "learned numbers, so that no layer is handed vanishing or saturating values. At test the averages of training "
        "take the batch's place, and the whole folds into the convolution before it.",
        code="import torch; norm = torch.nn.BatchNorm1d(1); print(norm(torch.tensor([[1.], [2.], [3.], [6.]])), "
        "norm.running_mean, norm.running_var)",
        source="Ioffe and Szegedy, ICML 2015, algorithms 1 and 2",
        compute=compute,
    ),
)
