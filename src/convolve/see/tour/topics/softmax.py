"""Softmax and the negative log-likelihood, and how to compute them without overflow."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from convolve.randomness import torch_randomness
from convolve.see.report.svg import BLUE, GREEN, GREY, ORANGE, new_axes
from convolve.see.tour.drawing import WIDTH, themed, tour_style
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic

_LOGITS, _TRUTH, _SMOOTHING = (1.0, 2.0, 3.0), 0, 0.1
_LARGE = (1000.0, 1001.0, 1002.0)
_SCALES = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0)


def naive_softmax(logits: Tensor) -> Tensor:
    """exp(a) / sum exp(a) as the formula stands: overflows in float32 from a = 88.7; to be compared, not used."""
    powers = logits.exp()
    return powers / powers.sum()


def _starting_losses(classes: int, seed: int) -> list[float]:
    with torch_randomness(seed, "tour", "softmax", classes):
        logits = torch.randn(2000, classes, dtype=torch.float64)
        truth = torch.randint(classes, (2000,))
    return [float(F.cross_entropy(logits * scale, truth)) for scale in _SCALES]


def _numbers(seed: int) -> dict[str, Any]:
    logits = torch.tensor([_LOGITS], dtype=torch.float64, requires_grad=True)
    truth = torch.tensor([_TRUTH])
    loss = F.cross_entropy(logits, truth)
    (gradient,) = torch.autograd.grad(loss, logits)
    probabilities = logits.detach().softmax(1)[0]
    large = torch.tensor(_LARGE, dtype=torch.float32)
    naive = naive_softmax(large)
    return {
        "logits": list(_LOGITS),
        "truth": _TRUTH,
        "probabilities": probabilities.tolist(),
        "loss": float(loss.detach()),
        "gradient": gradient[0].tolist(),
        "gradient_sum": float(gradient.sum()),
        "shifted_difference": float(((logits.detach() + 100).softmax(1)[0] - probabilities).abs().max()),
        "smoothing": _SMOOTHING,
        "smoothed_loss": float(F.cross_entropy(logits.detach(), truth, label_smoothing=_SMOOTHING)),
        "smoothed_target": [(1 - _SMOOTHING) * (c == _TRUTH) + _SMOOTHING / len(_LOGITS) for c in range(len(_LOGITS))],
        "untrained_loss": {
            str(classes): float(F.cross_entropy(torch.zeros(1, classes, dtype=torch.float64), truth))
            for classes in (2, 10, 1000)
        },
        "starting_losses": _starting_losses(10, seed),
        "scales_of_logits": list(_SCALES),
        # JSON has no infinity and no not-a-number.
        "large_logits": {
            "logits": list(_LARGE),
            "exp_overflows": bool(large.exp().isinf().all()),
            "naive_is_nan": bool(naive.isnan().all()),
            "stable": large.softmax(0).tolist(),
        },
        "float32_exp_overflows_above": float(np.log(np.finfo(np.float32).max)),
    }


def _bars(numbers: Mapping[str, Any]) -> Figure:
    classes = np.arange(3)
    with tour_style("tour-softmax"):
        chart, axes = new_axes(WIDTH, 2.8)
        series = [("probability p", numbers["probabilities"], BLUE), ("gradient p - y", numbers["gradient"], ORANGE)]
        for shift, (name, heights, colour) in zip((-0.2, 0.2), series, strict=True):
            bars = axes.bar(classes + shift, heights, width=0.36, color=colour, label=name)
            axes.bar_label(bars, fmt="%.3f", padding=2, fontsize=9)
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set_xticks(classes, labels=[f"class {c}\na = {a:g}" for c, a in enumerate(_LOGITS)])
        axes.set(ylim=(-1.15, 1.0))
        axes.legend(loc="upper left")
        svg = themed(chart, "Probabilities and the gradient of the loss for logits 1, 2, 3 when class 0 is true")
    loss = numbers["loss"]
    return Figure(
        svg=svg,
        caption=f"Logits (1, 2, 3), class 0 is true: loss {loss:.6f}. The gradient is the probability, less 1 at the "
        "true class; it sums to 0.",
    )


def _loss_by_probability(numbers: Mapping[str, Any]) -> Figure:
    probabilities = np.linspace(0.01, 1, 100)
    with tour_style("tour-softmax-loss"):
        chart, axes = new_axes(3.4, 2.5)
        axes.plot(probabilities, -np.log(probabilities), color=BLUE)
        axes.plot([numbers["probabilities"][_TRUTH]], [numbers["loss"]], "o", color=ORANGE, label="the example")
        axes.plot([0.1], [math.log(10)], "s", color=GREEN, label="untrained, 10 classes")
        axes.set(xlabel="probability of the true class", ylabel="loss -log p", ylim=(0, None))
        axes.legend()
        svg = themed(chart, "The loss, minus the logarithm of the true class's probability")
    return Figure(svg=svg, caption="The loss is 0 for a certain right answer and has no upper bound for a wrong one.")


def _start(numbers: Mapping[str, Any]) -> Figure:
    expected = numbers["untrained_loss"]["10"]
    with tour_style("tour-softmax-start"):
        chart, axes = new_axes(3.4, 2.5)
        axes.loglog(_SCALES, numbers["starting_losses"], "o-", color=ORANGE, label="random logits")
        axes.axhline(expected, color=GREY, linestyle="--", label=f"ln 10 = {expected:.6f}")
        axes.set_xticks(_SCALES[::2], labels=[f"{scale:g}" for scale in _SCALES[::2]])
        axes.set_yticks([2, 5, 10, 20], labels=["2", "5", "10", "20"])
        axes.minorticks_off()
        axes.set(xlabel="standard deviation of the logits", ylabel="loss at the start", ylim=(1.8, 25))
        axes.legend(loc="upper left")
        svg = themed(chart, "Loss of an untrained network by the scale of its logits")
    return Figure(
        svg=svg,
        caption="An untrained network of K balanced classes should start at ln K; a start far above it means a wrong "
        "scale or wrong labels.",
    )


def _tables(numbers: Mapping[str, Any]) -> list[Table]:
    stable = ", ".join(f"{p:.6f}" for p in numbers["large_logits"]["stable"])
    losses = [[f"{int(classes):,}", f"{loss:.6f}"] for classes, loss in numbers["untrained_loss"].items()]
    limit = numbers["float32_exp_overflows_above"]
    naive = "nan, nan, nan" if numbers["large_logits"]["naive_is_nan"] else "finite"
    return [
        Table(columns=["classes", "untrained loss ln K"], rows=losses),
        Table(
            columns=["softmax of (1000, 1001, 1002) in float32", "result"],
            rows=[["exp(a) / Σ exp(a)", naive], ["the maximum subtracted first", stable]],
            caption=f"exp overflows in float32 above a = {limit:.1f}; adding a constant to all logits changes nothing, "
            "so libraries subtract the largest.",
        ),
        Table(
            columns=["target", "loss"],
            rows=[
                ["(1, 0, 0)", f"{numbers['loss']:.6f}"],
                [f"({', '.join(f'{t:.4g}' for t in numbers['smoothed_target'])})", f"{numbers['smoothed_loss']:.6f}"],
            ],
            caption="Label smoothing by e = 0.1: (1 - e) times the loss plus e times the mean of -log p over classes.",
        ),
    ]


def compute(seed: int) -> Section:
    """The worked example, untrained losses, overflow, label smoothing."""
    numbers = _numbers(seed)
    figures = [_bars(numbers), _loss_by_probability(numbers), _start(numbers)]
    return Section(figures=figures, tables=_tables(numbers), numbers=numbers)


TOPICS.add(
    "softmax",
    Topic(
        name="softmax",
        order=50,
        title="Softmax and likelihood",
        idea="Softmax turns the last layer's logits into probabilities, and the loss is the negative logarithm of the "
        "true class's. Its gradient with respect to the logits is simply probability minus truth.",
        code="import torch; a = torch.tensor([[1., 2., 3.]], requires_grad=True); "
        "loss = torch.nn.functional.cross_entropy(a, torch.tensor([0])); loss.backward(); "
        "print(a.softmax(1), loss, a.grad)",
        source="Bridle, in Neurocomputing, 1990; label smoothing: Szegedy et al., CVPR 2016, section 7",
        compute=compute,
    ),
)
