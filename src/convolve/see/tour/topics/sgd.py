"""Mini-batch SGD on a surface of two weights: momentum in two forms, the penalty and its factor 2, and batch sizes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from convolve.randomness import numpy_generator, torch_randomness
from convolve.see.report.svg import BLUE, GREEN, GREY, ORANGE, new_axes
from convolve.see.tour.drawing import INK, WIDTH, themed, tour_style
from convolve.see.tour.topic import TOPICS, Figure, Section, Topic
from convolve.training.optimisers import OPTIMISERS

Place = tuple[float, float]

_EXAMPLES, _STEPS = 200, 60
_START: Place = (-1.5, 3.0)
_RATES = (0.1,) * 3 + (0.01,) * 3
"""Of the one-weight example: the learning rate drops after three steps."""
_MOMENTUM, _LR, _BATCH, _PENALTY = 0.9, 0.3, 10, 0.1


@dataclass(frozen=True)
class _Data:
    """(N, 2) inputs of two overlapping classes and (N,) targets of 0 and 1, float64."""

    inputs: Tensor
    targets: Tensor

    def loss(self, weights: Tensor, rows: Tensor | None = None) -> Tensor:
        """Logistic regression's mean loss at (..., 2) weights; over some rows, or all."""
        inputs, targets = (self.inputs, self.targets) if rows is None else (self.inputs[rows], self.targets[rows])
        logits = weights @ inputs.T
        return torch.nn.functional.binary_cross_entropy_with_logits(
            logits, targets.expand(logits.shape), reduction="none"
        ).mean(-1)


def _data(seed: int) -> _Data:
    with torch_randomness(seed, "sgd", "examples"):
        targets = (torch.arange(_EXAMPLES) % 2).double()
        # The second input varies more: a valley, across which plain descent goes to and fro.
        inputs = torch.randn(_EXAMPLES, 2, dtype=torch.float64) * torch.tensor([0.7, 2.5], dtype=torch.float64)
    return _Data(inputs + (targets - 0.5)[:, None] * torch.tensor([1.6, 1.0], dtype=torch.float64), targets)


def _descend(
    data: _Data, seed: int, *, momentum: float = 0.0, penalty: float = 0.0, batch: int = _BATCH, lr: float = _LR
) -> list[Place]:
    """The way of the library's own optimiser."""
    weights = torch.tensor(_START, dtype=torch.float64, requires_grad=True)
    groups = [{"params": [weights], "weight_decay": penalty}]
    optimiser = OPTIMISERS["sgd"].build(groups, lr, momentum=momentum, nesterov=False)
    places, rows = [_START], torch.empty(0, dtype=torch.int64)
    for step in range(_STEPS):
        if len(rows) < batch:
            rows = torch.from_numpy(numpy_generator(seed, "sgd", "order", step).permutation(_EXAMPLES))
        optimiser.zero_grad()
        data.loss(weights, rows[:batch]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        rows = rows[batch:]
        first, second = weights.tolist()
        places.append((first, second))
    return places


def caffe_momentum(rates: Sequence[float], momentum: float) -> list[float]:
    """V = m v + lr g; w -= v, on f = w^2/2 from 1."""
    weight, velocity, trace = 1.0, 0.0, []
    for rate in rates:
        velocity = momentum * velocity + rate * weight
        weight -= velocity
        trace.append(weight)
    return trace


def _pytorch_momentum(rates: Sequence[float], momentum: float) -> list[float]:
    """V = m v + g; w -= lr v: the library's optimiser on the same."""
    weight = torch.ones(1, dtype=torch.float64, requires_grad=True)
    optimiser = OPTIMISERS["sgd"].build([{"params": [weight]}], rates[0], momentum=momentum, nesterov=False)
    trace = []
    for rate in rates:
        optimiser.param_groups[0]["lr"] = rate
        optimiser.zero_grad()
        (weight**2 / 2).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        trace.append(weight.item())
    return trace


def _decayed(penalty_of: Callable[[Tensor], Tensor], *, weight_decay: float) -> float:
    """A weight of 1 after one step, learning rate 0.1, on the penalty alone: given as a loss, or as weight decay."""
    weight = torch.ones(1, dtype=torch.float64, requires_grad=True)
    groups = [{"params": [weight], "weight_decay": weight_decay}]
    optimiser = OPTIMISERS["sgd"].build(groups, 0.1, momentum=0.0, nesterov=False)
    penalty_of(weight).sum().backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return weight.item()


def _spread(data: _Data, seed: int) -> dict[str, float]:
    """Standard deviation of a batch's gradient at the start, along the first weight, by the batch's size."""
    weights = torch.tensor(_START, dtype=torch.float64).expand(_EXAMPLES, 2).clone().requires_grad_(True)
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        (weights * data.inputs).sum(1), data.targets, reduction="sum"
    )
    (gradients,) = torch.autograd.grad(each, weights)
    generator = numpy_generator(seed, "sgd", "spread")
    spread = {}
    for size in (1, 4, 16, 64):
        draws = torch.from_numpy(generator.integers(_EXAMPLES, size=(4000, size)))
        spread[str(size)] = float(gradients[draws, 0].mean(1).std())
    return spread


def _compute(seed: int) -> Section:
    data = _data(seed)
    paths = {
        "plain": _descend(data, seed),
        "momentum 0.9": _descend(data, seed, momentum=_MOMENTUM, lr=_LR / 10),
        f"plain, penalty {_PENALTY:g}": _descend(data, seed, penalty=_PENALTY),
    }
    batches = {size: _descend(data, seed, batch=size) for size in (1, 10, _EXAMPLES)}
    caffe, pytorch = caffe_momentum(_RATES, _MOMENTUM), _pytorch_momentum(_RATES, _MOMENTUM)
    numbers = {
        "rates": list(_RATES),
        "caffe_momentum": caffe,
        "pytorch_momentum": pytorch,
        "penalty": {
            "weight_decay_0.5": _decayed(lambda w: 0 * w, weight_decay=0.5),
            "half_square_0.5": _decayed(lambda w: 0.5 * w**2 / 2, weight_decay=0.0),
            "square_0.5": _decayed(lambda w: 0.5 * w**2, weight_decay=0.0),
        },
        "end": {name: list(path[-1]) for name, path in paths.items()},
        "gradient_spread": _spread(data, seed),
    }
    figures = (_paths_figure(data, paths), _batches_figure(data, batches), _momentum_figure(caffe, pytorch))
    return Section(figures=figures, numbers=numbers)


def _paths_figure(data: _Data, paths: dict[str, list[Place]]) -> Figure:
    across, up = torch.linspace(-2, 3.5, 70, dtype=torch.float64), torch.linspace(-1.2, 3.5, 70, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(across, up, indexing="xy"), dim=-1)
    with tour_style("sgd-paths"):
        chart, axes = new_axes(WIDTH, 3.7)
        axes.contour(across, up, data.loss(grid), levels=14, colors=GREY, linewidths=0.5, alpha=0.5)
        for (name, path), colour, marker in zip(paths.items(), (BLUE, ORANGE, GREEN), "os^", strict=True):
            axes.plot(*zip(*path, strict=True), color=colour, marker=marker, markersize=2.5, linewidth=1, label=name)
        axes.annotate("start", _START, xytext=(6, 4), textcoords="offset points", color=INK)
        axes.set(xlim=(-2, 3.5), ylim=(-1.2, 3.5), xlabel="weight 1", ylabel="weight 2")
        axes.grid(visible=False)
        chart.legend(loc="outside upper left", ncols=3, columnspacing=1, handlelength=1.5)
        svg = themed(chart, "paths of SGD with and without momentum and penalty over the contours of a loss")
    return Figure(
        svg=svg,
        caption=f"Logistic regression on {_EXAMPLES} examples, {_STEPS} steps of {_BATCH} each; learning rate {_LR:g}, "
        "with momentum a tenth of it. The penalty λ/2 |W|² pulls towards 0; its gradient is λ W. Written as λ |W|² "
        "it would be 2 λ W: weight_decay here, in PyTorch and in Caffe is the λ of the first.",
    )


def _batches_figure(data: _Data, paths: dict[int, list[Place]]) -> Figure:
    with tour_style("sgd-batches"):
        chart, axes = new_axes(WIDTH, 2.7)
        for (size, path), colour in zip(paths.items(), (ORANGE, BLUE, GREEN), strict=True):
            losses = data.loss(torch.tensor(path, dtype=torch.float64))
            axes.plot(range(len(path)), losses, color=colour, label="all" if size == _EXAMPLES else str(size))
        axes.set(xlim=(0, _STEPS), ylim=(0, None), xlabel="steps", ylabel="loss over all examples")
        chart.legend(loc="outside upper left", ncols=3, title="examples a step", alignment="left")
        svg = themed(chart, "loss by steps for three batch sizes")
    return Figure(
        svg=svg,
        caption="The same learning rate with batches of different size. The noise of a batch's gradient falls with the "
        "square root of its size, its cost grows with the size.",
    )


def _momentum_figure(caffe: Sequence[float], pytorch: Sequence[float]) -> Figure:
    with tour_style("sgd-momentum"):
        chart, axes = new_axes(WIDTH, 2.7)
        steps = range(len(caffe) + 1)
        axes.axvspan(3, 6, color=GREY, alpha=0.12, linewidth=0)
        axes.plot(steps, [1, *pytorch], "o-", color=BLUE, label="PyTorch: v = m v + g; w -= lr v")
        axes.plot(steps, [1, *caffe], "s--", color=ORANGE, label="Caffe: v = m v + lr g; w -= v")
        axes.text(4.5, 0.92, "lr 0.01", color=INK, ha="center")
        axes.text(1.5, 0.05, "lr 0.1", color=INK, ha="center")
        axes.set(xlabel="step", ylabel="weight")
        chart.legend(loc="outside upper left")
        svg = themed(chart, "a weight by step under two forms of momentum; the learning rate drops midway")
    return Figure(
        svg=svg,
        caption="f = w²/2 from 1, momentum 0.9. While the learning rate is constant the two forms are one; after it "
        f"drops, Caffe's velocity still has the old rate in it: {caffe[-1]:.6f} against {pytorch[-1]:.6f} after six "
        "steps.",
    )


TOPICS.add(
    "sgd",
    Topic(
        name="sgd",
        order=60,
        title="Mini-batch SGD",
        idea="Each step goes down the gradient of a few examples' loss: noisy, but many steps for the price of one "
        "over all. Momentum averages the steps, so that they add up along a valley and cancel across it; a penalty on "
        "the weights keeps them small.",
        code="convolve train digits start=scratch optimiser=sgd optimiser.options.momentum=0.9 "
        "optimiser.weight_decay=5e-4 train.batch_size=32 epochs=5",
        source="Bottou, Large-scale machine learning with stochastic gradient descent, COMPSTAT 2010; "
        "Sutskever et al., ICML 2013",
        compute=_compute,
    ),
)
