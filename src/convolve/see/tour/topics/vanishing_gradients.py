"""Gradients by depth: what activation, initial weights and batch norm do to them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from matplotlib.ticker import FuncFormatter
from torch import nn

from convolve.randomness import torch_randomness
from convolve.see.report.svg import BLUE, GREEN, GREY, ORANGE, new_axes
from convolve.see.tour.drawing import INK, PURPLE, WIDTH, themed, tour_style
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic

DEPTH, _UNITS, _IMAGES, _CLASSES = 20, 100, 128, 10
_SIGMOID_SLOPE = 0.25
_SMALL = 0.01


@dataclass(frozen=True)
class _Kind:
    name: str
    activation: Callable[[], nn.Module]
    initialise: Callable[[torch.Tensor], object]
    colour: str


def _glorot(weight: torch.Tensor) -> object:
    return nn.init.xavier_normal_(weight)


def _he(weight: torch.Tensor) -> object:
    return nn.init.kaiming_normal_(weight, nonlinearity="relu")


def _small(weight: torch.Tensor) -> object:
    return nn.init.normal_(weight, std=_SMALL)


_KINDS = (
    _Kind("sigmoid, Glorot", nn.Sigmoid, _glorot, ORANGE),
    _Kind("tanh, Glorot", nn.Tanh, _glorot, PURPLE),
    _Kind("ReLU, He", nn.ReLU, _he, GREEN),
    _Kind("ReLU, N(0, 0.01²)", nn.ReLU, _small, BLUE),
)


def _gradient_norms(kind: _Kind, *, batch_norm: bool, seed: int) -> list[float]:
    """The length of the loss's gradient in the outputs of each hidden layer, first layer first."""
    with torch_randomness(seed, "vanishing gradients"):
        # Products of 20 small factors are below float32's range.
        outputs = torch.randn(_IMAGES, _UNITS, dtype=torch.float64)
        targets = torch.randint(_CLASSES, (_IMAGES,))
        of_layers = []
        for _ in range(DEPTH):
            outputs = _layer(kind, batch_norm=batch_norm)(outputs)
            of_layers.append(outputs)
        last = nn.Linear(_UNITS, _CLASSES).double()
        _glorot(last.weight)
    loss = nn.functional.cross_entropy(last(outputs), targets)
    return [float(gradient.norm()) for gradient in torch.autograd.grad(loss, of_layers)]


def _layer(kind: _Kind, *, batch_norm: bool) -> nn.Module:
    linear = nn.Linear(_UNITS, _UNITS)
    kind.initialise(linear.weight)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear, *([nn.BatchNorm1d(_UNITS)] if batch_norm else []), kind.activation()).double()


def _compute(seed: int) -> Section:
    norms = {
        batch_norm: {kind.name: _gradient_norms(kind, batch_norm=batch_norm, seed=seed) for kind in _KINDS}
        for batch_norm in (False, True)
    }
    figures = tuple(_figure(norms[batch_norm], batch_norm=batch_norm) for batch_norm in norms)
    shares = {kind.name: [of[kind.name][0] / of[kind.name][-1] for of in norms.values()] for kind in _KINDS}
    table = Table(
        columns=("hidden layers", "plain", "batch norm"),
        rows=[[name, *(f"{share:.2g}" for share in pair)] for name, pair in shares.items()],
        caption=f"Length of the gradient in the first layer's outputs over that in layer {DEPTH}'s.",
    )
    numbers = {
        "depth": DEPTH,
        "gradient_norms": norms[False],
        "gradient_norms_with_batch_norm": norms[True],
        "largest_sigmoid_slope": float(_sigmoid_slope(torch.linspace(-6, 6, 121, dtype=torch.float64)).max()),
        "sigmoid_bound_ten_layers": _SIGMOID_SLOPE**10,
    }
    return Section(figures=figures, tables=(table,), numbers=numbers)


def _sigmoid_slope(inputs: torch.Tensor) -> torch.Tensor:
    inputs.requires_grad_(True)
    (slope,) = torch.autograd.grad(inputs.sigmoid().sum(), inputs)
    return slope


def _figure(norms: dict[str, list[float]], *, batch_norm: bool) -> Figure:
    words = "with batch norm" if batch_norm else "plain"
    with tour_style(f"vanishing-{words.replace(' ', '-')}"):
        chart, axes = new_axes(WIDTH, 3.0)
        for kind in _KINDS:
            axes.semilogy(range(1, DEPTH + 1), norms[kind.name], ".-", color=kind.colour, label=kind.name)
        if not batch_norm:
            last = norms["sigmoid, Glorot"][-1]
            bound = [last * _SIGMOID_SLOPE ** (DEPTH - layer) for layer in range(1, DEPTH + 1)]
            axes.semilogy(range(1, DEPTH + 1), bound, ":", color=GREY, label="a factor of ¼ a layer")
        axes.set(xlabel=f"hidden layer of {DEPTH}", ylabel="gradient", xticks=(1, 5, 10, 15, 20))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}"))
        axes.set_title(words, color=INK, fontsize=10)
        chart.legend(loc="outside lower left", ncols=2)
        svg = themed(chart, f"length of the gradient by layer at initialisation, {words}")
    caption = (
        "The same with batch norm before each activation: the scale of the initial weights no longer matters, He's and "
        "the small ones give one curve. A ReLU network's gradient now grows by about sqrt(π / (π - 1)) = 1.21 a layer "
        "towards the input (Yang et al., ICLR 2019), at initialisation."
        if batch_norm
        else f"Length of the loss's gradient in each layer's outputs before training: {DEPTH} layers of {_UNITS} "
        f"units, {_IMAGES} inputs of N(0, 1). Sigmoid's slope is at most ¼, so ten layers leave 0.25^10 = "
        f"{_SIGMOID_SLOPE**10:.1e} of it, times the weights; He's weights keep a ReLU network's gradient, small ones "
        "lose it."
    )
    return Figure(svg=svg, caption=caption)


TOPICS.add(
    "vanishing-gradients",
    Topic(
        name="vanishing-gradients",
        order=80,
        title="Vanishing gradients",
        idea="The gradient in an early layer is a product with one factor, slope times weights, for every layer above; "
        "where the factors are below one, depth takes it away. "
        "Activations with slope one, initial weights of the right size, and batch norm keep the factors near one.",
        code="convolve train digits network=mlp network.options.hidden=[100,100,100,100,100,100,100,100] "
        "network.options.activation=sigmoid network.options.batch_norm=true start=scratch epochs=5",
        source="Glorot and Bengio, AISTATS 2010; He et al., ICCV 2015; Ioffe and Szegedy, ICML 2015",
        compute=_compute,
    ),
)
