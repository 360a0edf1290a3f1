"""From a classifier of patches to class scores at every pixel, with the same weights: strides become dilations.

A layer of stride s computes every s-th place of what it would compute with stride 1. Where all that follows is dilated
by s, each place of the result is what the classifier gives for the patch that begins there.

Sources: Sermanet et al., "OverFeat", ICLR 2014, section 3.5 (fully connected layers as convolutions); Long, Shelhamer
and Darrell, CVPR 2015, section 3.2 (strides as dilations, "filter rarefaction").
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import fx, nn

from convolve.errors import UserError
from convolve.networks.layers.sliding import (
    Pair,
    SlidingConvolution,
    SlidingDropout,
    SlidingLinear,
    SlidingMaximum,
    SlidingMean,
    SlidingNormalisation,
    Subsampling,
    Window,
)
from convolve.networks.tracing import shape_of, trace


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the units of a map come from; rows first, then columns.

    Attributes:
        map_hw: units that one patch has; flattening leaves it.
        jump: pixels from one of them to the next.
        before: pixels seen in front of the patch, because of padding inside the network.
        after: pixels seen from the patch's first one on.
        padded: whether padding inside makes the patch's border differ from the same place of an image.
    """

    map_hw: Pair
    jump: Pair = (1, 1)
    before: Pair = (0, 0)
    after: Pair = (0, 0)
    padded: bool = False

    def through(self, window: Window) -> "Place":
        """The place after a convolution or pooling."""
        map_hw, jump, before, after = [], [], [], []
        for axis in (0, 1):
            reach = (window.kernel[axis] - 1) * window.dilation[axis]
            padding, stride = window.padding[axis], window.stride[axis]
            map_hw.append((self.map_hw[axis] + 2 * padding - reach - 1) // stride + 1)
            jump.append(self.jump[axis] * stride)
            before.append(self.before[axis] + padding * self.jump[axis])
            after.append(self.after[axis] + (reach - padding) * self.jump[axis])
        return Place(
            map_hw=(map_hw[0], map_hw[1]),
            jump=(jump[0], jump[1]),
            before=(before[0], before[1]),
            after=(after[0], after[1]),
            padded=self.padded or window.padding != (0, 0),
        )

    def joined(self, other: "Place") -> "Place":
        """The place of a sum or concatenation of two maps of one resolution."""
        return replace(
            self,
            before=(max(self.before[0], other.before[0]), max(self.before[1], other.before[1])),
            after=(max(self.after[0], other.after[0]), max(self.after[1], other.after[1])),
            padded=self.padded or other.padded,
        )


@dataclass(frozen=True)
class FullyConvolutional:
    """A classifier that takes images larger than its patches.

    Attributes:
        layers: (N, C, H, W) -> (N, K, H', W'), its unit (y, x) being the logits of the patch that begins at pixel
            (y, x), or with strides kept at (y * stride, x * stride).
        place: of the logits; its jump is the network's total stride.
    """

    layers: fx.GraphModule
    place: Place


def make_dense(
    classifier: nn.Module, *, channels: int, patch_hw: tuple[int, int], keep_strides: bool = False
) -> FullyConvolutional:
    """The classifier with fully connected layers as convolutions and strides as dilations, over the same weights.

    Without padding inside, each unit is exactly what the classifier gives in test mode for its patch. With padding it
    is close: at the border of a patch the classifier sees zeros, where this sees what the image goes on with.

    Args:
        classifier: (N, C, height, width) -> (N, K). Its layers stay its own.
        channels: C.
        patch_hw: height and width of the patches.
        keep_strides: leave strides as they are: scores for every stride-th pixel.

    Raises:
        UserError: a layer does not do the same at all places of a map, or its place cannot be followed.
    """
    form = trace(classifier, channels=channels, image_hw=patch_hw)
    places: dict[fx.Node, Place] = {}
    for node in list(form.graph.nodes):
        if node.op == "placeholder":
            places[node] = Place(map_hw=patch_hw)
        elif node.op == "output":
            result = places[node.args[0]]
            _require(result.map_hw == (1, 1), node, "more than one vector a patch comes out")
        else:
            _convert(form, node, places, keep_strides=keep_strides)
    form.delete_all_unused_submodules()
    form.recompile()
    return FullyConvolutional(form, result)


def _convert(form: fx.GraphModule, node: fx.Node, places: dict[fx.Node, Place], *, keep_strides: bool) -> None:
    """Note the place of one operation, and put a layer that moves over maps in its stead where that is another one."""
    values = node.all_input_nodes
    operation, layer = node.target, None
    if node.op == "call_module":
        layer = form.get_submodule(str(operation))
        operation = type(layer)
    if operation in _ALIKE_EVERYWHERE and values:
        here = places[values[0]]
        for value in values[1:]:
            there = places[value]
            _require((there.map_hw, there.jump) == (here.map_hw, here.jump), node, "maps of two resolutions meet")
            here = here.joined(there)
        # Flattened maps laid end to end are no longer one map after the other.
        _require(operation is not torch.cat or _joins_channels(node), node, "it joins other axes than channels")
        places[node] = here
        return
    _require(operation in _RULES and len(values) == 1, node, "not known to do the same at every place of a map")
    here = places[values[0]]
    window, build = _RULES[operation](node, layer, here)
    places[node] = here.through(window)
    form.add_submodule(node.name, build(window if keep_strides else window.on_every_place(here.jump)))
    node.op, node.target, node.args, node.kwargs = "call_module", node.name, (values[0],), {}


def _joins_channels(node: fx.Node) -> bool:
    shapes = [shape_of(value) for value in node.all_input_nodes]
    return len(shapes[0]) == 4 and shape_of(node)[1] == sum(shape[1] for shape in shapes)


# How a layer moves over the map of a patch, and what makes the layer that moves so over a larger map.
_Converted: TypeAlias = tuple[Window, Callable[[Window], nn.Module]]
_POINT = Window((1, 1))


def _convolution(node: fx.Node, layer: nn.Conv2d, here: Place) -> _Converted:
    _require(layer.padding_mode == "zeros", node, f"it pads with {layer.padding_mode}, not zeros")
    kernel, dilation = _pair(layer.kernel_size), _pair(layer.dilation)
    if isinstance(layer.padding, str):
        total = [(kernel[axis] - 1) * dilation[axis] if layer.padding == "same" else 0 for axis in (0, 1)]
        _require(not (total[0] % 2 or total[1] % 2), node, "it pads one side more than the other")
        padding = (total[0] // 2, total[1] // 2)
    else:
        padding = _pair(layer.padding)
    return Window(kernel, _pair(layer.stride), padding, dilation), lambda window: SlidingConvolution(layer, window)


def _linear(node: fx.Node, layer: nn.Linear, here: Place) -> _Converted:
    _require(len(shape_of(node.all_input_nodes[0])) == 2, node, "it is applied to one axis of a map")
    return Window(here.map_hw), lambda window: SlidingLinear(layer, window)


def _normalisation(node: fx.Node, layer: nn.BatchNorm1d | nn.BatchNorm2d, here: Place) -> _Converted:
    _require(layer.track_running_stats, node, "it normalises over the batch in test mode too")
    of_maps = isinstance(layer, nn.BatchNorm2d) or here.map_hw == (1, 1)
    _require(of_maps, node, "it normalises each place of a patch by itself")
    return _POINT, lambda _: SlidingNormalisation(layer)


def _maximum(node: fx.Node, layer: nn.MaxPool2d, here: Place) -> _Converted:
    window = Window(*map(_pair, (layer.kernel_size, layer.stride, layer.padding, layer.dilation)))
    _require(here.through(window).map_hw == shape_of(node)[2:], node, "it rounds the size of its map up")
    return window, SlidingMaximum


def _mean(node: fx.Node, layer: nn.AvgPool2d, here: Place) -> _Converted:
    window = Window(*map(_pair, (layer.kernel_size, layer.stride, layer.padding)))
    _require(here.through(window).map_hw == shape_of(node)[2:], node, "it rounds the size of its map up")
    _require(layer.divisor_override is None, node, "it divides by a number of its own")
    return window, SlidingMean


def _adaptive_mean(node: fx.Node, layer: object, here: Place) -> _Converted:
    outputs = _pair(shape_of(node)[2:])
    even = all(units % out == 0 for units, out in zip(here.map_hw, outputs, strict=True))
    _require(even, node, f"it makes {outputs[0]} x {outputs[1]} of {here.map_hw[0]} x {here.map_hw[1]} units")
    kernel = (here.map_hw[0] // outputs[0], here.map_hw[1] // outputs[1])
    if kernel == (1, 1):
        return _POINT, lambda _: nn.Identity()
    stride = (kernel[0] if outputs[0] > 1 else 1, kernel[1] if outputs[1] > 1 else 1)
    return Window(kernel, stride), SlidingMean


def _mean_of_maps(node: fx.Node, layer: object, here: Place) -> _Converted:
    axes = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
    _require(axes in ((2, 3), [2, 3], (-2, -1), [-2, -1]), node, "it is not the mean over rows and columns")
    return Window(here.map_hw), SlidingMean


def _flattening(node: fx.Node, layer: nn.Flatten | None, here: Place) -> _Converted:
    _require(shape_of(node)[1:] == (prod(shape_of(node.all_input_nodes[0])[1:]),), node, "it leaves more than one axis")
    return _POINT, lambda _: nn.Identity()


def _slicing(node: fx.Node, layer: object, here: Place) -> _Converted:
    every = (slice(None), slice(None))
    parts: Any = node.args[1]
    steps = [part.step or 1 for part in parts[2:]] if isinstance(parts, tuple) and len(parts) == 4 else []
    whole = steps and parts == (*every, slice(None, None, parts[2].step), slice(None, None, parts[3].step))
    _require(bool(whole), node, "it takes a part of its input")
    return Window((1, 1), (steps[0], steps[1])), Subsampling


def _more_channels(node: fx.Node, layer: object, here: Place) -> _Converted:
    margins: Any = node.kwargs.get("pad", node.args[1] if len(node.args) > 1 else None)
    _require(len(margins) == 6 and not any(margins[:4]) and not node.kwargs.get("value"), node, "it pads a map")
    return _POINT, lambda _: nn.ConstantPad3d(tuple(margins), 0.0)


def _dropout(node: fx.Node, layer: nn.Dropout, here: Place) -> _Converted:
    return _POINT, lambda _: SlidingDropout(layer)


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _require(holds: bool, node: fx.Node, why: str) -> None:
    if not holds:
        name = str(node.target) if node.op == "call_module" else node.name
        raise UserError(
            f"the network cannot be moved over an image: layer '{name}': {why}",
            "segment.name=patch applies it as it is, patch by patch; or choose network patch-net or residual.",
        )


_RULES: dict[Any, Callable[[fx.Node, Any, Place], _Converted]] = {
    nn.Conv2d: _convolution,
    nn.Linear: _linear,
    nn.BatchNorm1d: _normalisation,
    nn.BatchNorm2d: _normalisation,
    nn.MaxPool2d: _maximum,
    nn.AvgPool2d: _mean,
    nn.AdaptiveAvgPool2d: _adaptive_mean,
    F.adaptive_avg_pool2d: _adaptive_mean,
    torch.mean: _mean_of_maps,
    "mean": _mean_of_maps,
    nn.Flatten: _flattening,
    torch.flatten: _flattening,
    "flatten": _flattening,
    operator.getitem: _slicing,
    F.pad: _more_channels,
    nn.Dropout: _dropout,
}
# Each unit of the result depends on units of the same place, all channels of it at most.
_ALIKE_EVERYWHERE: frozenset[Any] = frozenset(
    (
        *(nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid),
        *(nn.Sigmoid, nn.Tanh, nn.LocalResponseNorm),
        *(F.relu, F.relu6, F.leaky_relu, F.elu, F.gelu, F.silu, F.hardswish, F.hardsigmoid, F.hardtanh),
        *(torch.relu, torch.sigmoid, torch.tanh, torch.add, torch.mul, torch.sub, torch.cat, "relu", "sigmoid", "tanh"),
        *(operator.add, operator.iadd, operator.mul, operator.imul, operator.sub, operator.truediv),
    )
)
