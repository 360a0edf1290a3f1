"""The graph of what a function of numbers computes, with its values and derivatives: all of them autograd's."""

import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from convolve.errors import UserError
from convolve.networks.receptive_field import tensors_in
from convolve.see.graph.notation import call_text, number_text
from convolve.see.graph.paths import Edge

MOST_JACOBIAN = 1_000_000
"""Entries of the largest Jacobian that is worked out for an edge between tensors."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A value that a function works with.

    Attributes:
        name: unique in the graph.
        text: how it is computed from the others, for example "a + b"; empty for an input.
        shape: of its value; () for a number.
        value: the number; of a tensor the Euclidean norm.
        total: derivative of the output by it; of a tensor the Euclidean norm of the gradient.
    """

    name: str
    text: str
    shape: tuple[int, ...]
    value: float
    total: float

    @property
    def is_input(self) -> bool:
        """Whether it was given and not computed."""
        return not self.text


@dataclass(frozen=True, kw_only=True)
class ComputationGraph:
    """What was computed from what.

    Attributes:
        nodes: the inputs first, then in the order in which they were computed.
        edges: from what an operation takes to what it gives; two where it takes a value twice. An edge's weight is the
            partial derivative of the operation; between tensors, the Frobenius norm of its Jacobian.
        output: name of the node whose derivatives the totals are.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    output: str

    @property
    def inputs(self) -> tuple[Node, ...]:
        """What was given."""
        return tuple(node for node in self.nodes if node.is_input)

    @property
    def of_numbers(self) -> bool:
        """Whether every node is a single number, so that the sum over paths of an edge's weights is a derivative."""
        return all(not node.shape for node in self.nodes)

    def __getitem__(self, name: str) -> Node:
        """The node of a name; KeyError if there is none."""
        return {node.name: node for node in self.nodes}[name]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "output": self.output,
            "nodes": [{**vars(node), "shape": list(node.shape), "input": node.is_input} for node in self.nodes],
            "edges": [{"from": edge.source, "to": edge.target, "partial": edge.weight} for edge in self.edges],
        }


def computation_graph(
    function: Callable[..., Tensor | Mapping[str, Tensor]], inputs: Mapping[str, float | Tensor]
) -> ComputationGraph:
    """Run a function once in float64 and record what it computes.

    Every call of torch on something that depends on the inputs is a node; what torch does inside such a call is not
    shown, and what is detached is a constant. Each partial derivative is autograd's of that call alone, each total
    autograd's of the whole.

    Args:
        function: of the inputs, by keyword -> its result, one number; or results by name, of which the last is the
            output and the others name the nodes within.
        inputs: numbers, or tensors of any shape.

    Raises:
        UserError: the output is not one number or does not depend on the inputs, a derivative is infinite or no number,
            the function changes a value in place, or tensors are too large for the Jacobians between them.

    >>> graph = computation_graph(lambda a, b: (a + b) * (b + 1), {"a": 2.0, "b": 1.0})
    >>> graph[graph.output].value, graph["a"].total, graph["b"].total
    (6.0, 2.0, 5.0)
    """
    leaves = {
        name: torch.as_tensor(value, dtype=torch.float64).detach().clone().requires_grad_()
        for name, value in inputs.items()
    }
    with torch.enable_grad(), _Recorder(leaves.values()) as recorder:
        result = function(**leaves)
    named = result if isinstance(result, Mapping) else {"": result}
    output = list(named.values())[-1]
    _check_output(output, recorder)
    names = recorder.name_all(leaves, named)
    tensors = [record.tensor for record in recorder.records]
    gradients = torch.autograd.grad(output, tensors, allow_unused=True)
    nodes = [
        Node(
            name=name,
            text=call_text(record.operation, record.arguments, lambda tensor: recorder.names.get(id(tensor))),
            shape=tuple(record.tensor.shape),
            value=_size(record.tensor),
            total=0.0 if gradient is None else _size(gradient),
        )
        for name, record, gradient in zip(names, recorder.records, gradients, strict=True)
    ]
    edges = [
        edge for record, node in zip(recorder.records, nodes, strict=True) for edge in recorder.edges(record, node)
    ]
    graph = ComputationGraph(nodes=tuple(nodes), edges=tuple(edges), output=recorder.names[id(output)])
    _check_derivatives(graph)
    return graph


@dataclass(frozen=True)
class _Record:
    """One result of one call; an input has no operation."""

    tensor: Tensor
    operation: str = ""
    arguments: tuple[Any, ...] = ()
    sources: tuple[Tensor, ...] = ()
    # One Jacobian a source: of shape (*result, *source).
    jacobians: tuple[Tensor, ...] = field(default=(), repr=False)


class _Recorder(TorchFunctionMode):
    """Note every call of torch that takes something that depends on the inputs."""

    def __init__(self, inputs: Any) -> None:
        super().__init__()
        self.records = [_Record(tensor) for tensor in inputs]
        self.names: dict[int, str] = {}
        # The records keep the tensors, so that no id is given twice.
        self._known = {id(record.tensor) for record in self.records}

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call torch, and record what depends on the inputs."""
        kwargs = kwargs or {}
        sources = [value for value in tensors_in([*args, *kwargs.values()]) if id(value) in self._known]
        if not sources:
            return func(*args, **kwargs)
        versions = [source._version for source in sources]
        result = func(*args, **kwargs)
        operation = str(getattr(func, "__name__", func)).strip("_")
        if versions != [source._version for source in sources]:
            raise UserError(f"'{operation}' changes a value in place", "Use the operation that gives a new value.")
        results = [value for value in _differentiable(result) if id(value) not in self._known]
        for place, tensor in enumerate(results):
            jacobians = _jacobians(func, args, kwargs, sources, place)
            self.records.append(_Record(tensor, operation, (*args, *kwargs.values()), tuple(sources), jacobians))
            self._known.add(id(tensor))
        return result

    def name_all(self, inputs: Mapping[str, Tensor], named: Mapping[str, Tensor]) -> list[str]:
        """Give every node a name: its own where it has one, else the next free letter."""
        for name, tensor in [*inputs.items(), *named.items()]:
            if name:
                self.names.setdefault(id(tensor), name)
        free = _free_names({*inputs, *named})
        return [
            self.names.setdefault(id(record.tensor), "") or self._call(record, next(free)) for record in self.records
        ]

    def _call(self, record: _Record, name: str) -> str:
        self.names[id(record.tensor)] = name
        return name

    def edges(self, record: _Record, node: Node) -> Iterator[Edge]:
        """The edges into a node, in the order of the operation's arguments."""
        for source, jacobian in zip(record.sources, record.jacobians, strict=True):
            start = self.names[id(source)]
            yield Edge(start, node.name, _size(jacobian), f"∂{node.name}/∂{start}")


def _jacobians(
    func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], sources: Sequence[Tensor], place: int
) -> tuple[Tensor, ...]:
    """Of one result of one call, by each tensor that the call depends on."""
    leaves = [source.detach().clone().requires_grad_() for source in sources]
    # A value that the call takes twice is replaced by two leaves: two edges.
    left = list(zip(sources, leaves, strict=True))
    result = func(*_replaced(args, left), **dict(zip(kwargs, _replaced(list(kwargs.values()), left), strict=True)))
    tensor = _differentiable(result)[place]
    for leaf in leaves:
        if tensor.numel() * leaf.numel() > MOST_JACOBIAN:
            raise UserError(
                f"the Jacobian between {tuple(leaf.shape)} and {tuple(tensor.shape)} has more than "
                f"{MOST_JACOBIAN:,} entries",
                "Give smaller tensors; `layer_graph` is for whole networks.",
            )
    rows = [
        torch.autograd.grad(entry, leaves, retain_graph=True, allow_unused=True, materialize_grads=True)
        for entry in tensor.reshape(-1)
    ]
    return tuple(
        torch.stack([row[number] for row in rows]).reshape((*tensor.shape, *leaf.shape))
        for number, leaf in enumerate(leaves)
    )


def _replaced(values: Sequence[Any], left: list[tuple[Tensor, Tensor]]) -> list[Any]:
    """The values with each recorded tensor replaced by its leaf; a pair that is used is taken off `left`."""
    return [_stand_in(value, left) for value in values]


def _stand_in(value: Any, left: list[tuple[Tensor, Tensor]]) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_replaced(value, left)) if type(value) in (list, tuple) else value
    if left and value is left[0][0]:
        return left.pop(0)[1]
    return value


def _differentiable(result: Any) -> list[Tensor]:
    return [value for value in tensors_in([result]) if value.requires_grad]


def _size(tensor: Tensor) -> float:
    """The number itself, or the Euclidean norm of several."""
    return float(tensor.detach()) if tensor.dim() == 0 else float(torch.linalg.vector_norm(tensor.detach()))


def _free_names(taken: set[str]) -> Iterator[str]:
    yield from (letter for letter in string.ascii_lowercase if letter not in taken)
    number = 1
    while True:
        if f"v{number}" not in taken:
            yield f"v{number}"
        number += 1


def _check_output(output: Any, recorder: _Recorder) -> None:
    if not isinstance(output, Tensor) or output.numel() != 1 or output.dim() != 0:
        what = f"a tensor of shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        raise UserError(f"the result is {what}, not one number", "Sum it, or choose one entry.")
    if not output.requires_grad or all(record.tensor is not output for record in recorder.records):
        raise UserError("the result does not depend on any input, so there is nothing to differentiate")


def _check_derivatives(graph: ComputationGraph) -> None:
    for edge in graph.edges:
        if edge.weight - edge.weight != 0:  # infinite, or no number
            node, source = graph[edge.target], graph[edge.source]
            what = "infinite" if abs(edge.weight) == float("inf") else "no number"
            raise UserError(
                f"the derivative of {node.name} = {node.text} by {source.name} is {what} "
                f"at {source.name} = {number_text(source.value)}",
                "Choose other values.",
            )
