"""A network as the graph of what it computes, and that graph in two parts."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, fx, nn

from convolve.errors import UserError


def trace(network: nn.Module, *, channels: int, image_hw: tuple[int, int]) -> fx.GraphModule:
    """What `network` computes in test mode, over its own layers; each node's meta has the shape of its value.

    The network itself is neither run nor changed.

    Args:
        network: takes (N, C, H, W).
        channels: C.
        image_hw: H and W, pixels.

    Raises:
        UserError: its forward depends on the values or shapes that it meets, or does not take images of this size.
    """
    # On the meta device shapes are followed without numbers.
    shapes_only = deepcopy(network).to("meta").eval()
    try:
        traced = fx.symbolic_trace(shapes_only)
        dtype = next(network.parameters()).dtype
        _ShapeNotes(traced).run(torch.empty(1, channels, *image_hw, device="meta", dtype=dtype))
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"the network cannot be taken apart into its layers ({str(error).splitlines()[0]})",
            "Choose another network, for example patch-net or residual.",
        ) from error
    return fx.GraphModule(network, traced.graph)


class _ShapeNotes(fx.Interpreter):
    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            n.meta["shape"] = tuple(value.shape)
        return value


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """The shape of a traced node's value for one image, (1, ...)."""
    shape: tuple[int, ...] = node.meta["shape"]
    return shape


def split_before_dropout(network: fx.GraphModule) -> tuple[fx.GraphModule, fx.GraphModule]:
    """A traced network as two, of which the second begins with the first layer of dropout.

    Returns:
        (first, rest), over the same layers: `rest(*first(images))` is `network(images)`. Without dropout, `rest` gives
        back what it gets.
    """
    nodes = list(network.graph.nodes)
    cut = next((place for place, node in enumerate(nodes) if _drops(network, node)), len(nodes) - 1)
    early, late = nodes[:cut], nodes[cut:]
    crossing = [node for node in early if any(user in late for user in node.users)]
    first, rest = fx.Graph(), fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in early:
        copies[node] = first.node_copy(node, copies.__getitem__)
    first.output(tuple(copies[node] for node in crossing))
    copies = {node: rest.placeholder(node.name) for node in crossing}
    for node in late:
        copies[node] = rest.node_copy(node, copies.__getitem__)
    return fx.GraphModule(network, first), fx.GraphModule(network, rest)


def _drops(network: fx.GraphModule, node: fx.Node) -> bool:
    if node.op != "call_module":
        return False
    return any(isinstance(layer, nn.Dropout) for layer in network.get_submodule(str(node.target)).modules())
