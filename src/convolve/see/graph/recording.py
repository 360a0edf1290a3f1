"""Follow one pass of a network on torch's meta device: which layer takes what from which."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from convolve.networks.receptive_field import Field, FieldTracker, tensors_in

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_NAMES = {"iadd": "add", "imul": "mul", "cat": "concatenate", "conv2d": "convolution", "getitem": "part of it"}


@dataclass
class Row:
    """A call of a layer, or of a function outside of layers, while it is followed.

    Attributes:
        name, operation: what is called.
        output: what it gives; of several the last.
        inputs: numbers of the rows whose outputs it takes.
        parameters: numbers that it is the first to use.
        flops: of the call.
        field: of a unit of its output.
    """

    name: str
    operation: str
    output: Tensor
    inputs: set[int] = field(default_factory=set)
    parameters: int = 0
    flops: int = 0
    field: Field | None = None


@dataclass(frozen=True)
class Output:
    """A piece of memory.

    Attributes:
        written: number of the row that writes it first; rows that work in place or only view it come after.
        last: number of the last row that takes it.
        size: bytes.
    """

    written: int
    last: int
    size: int


class LayerRecorder:
    """Within it, one pass of a network is written down row by row.

    Args:
        network: on the meta device.
        image: likewise.
        flops: a counter of its own.
        fields: a tracker of its own, of this image.

    Attributes:
        rows: the first is the image.
    """

    def __init__(self, network: nn.Module, image: Tensor, flops: FlopCounterMode, fields: FieldTracker) -> None:
        self.rows = [Row("image", "", image, field=Field())]
        self._last_used: dict[int, int] = {}
        self._network, self._flops, self._fields = network, flops, fields
        # The rows' tensors by id; kept, so that no id is given twice.
        self._producers: dict[int, tuple[Tensor, int]] = {}
        # Parameters, and what is computed from them alone: the parameters that nobody has used yet.
        self._weights: dict[int, tuple[Tensor, dict[int, int]]] = {}
        self._modules: list[tuple[str, nn.Module]] = []
        self._call: tuple[str, str] | None = None
        self._open_row: int | None = None
        self._used_parameters: set[int] = set()
        self._give_out(image, 0)
        for parameter in network.parameters():
            self._weights[id(parameter)] = (parameter, {id(parameter): parameter.numel()})

    def __enter__(self) -> None:
        self._within = ExitStack()
        for name, module in self._network.named_modules():
            before = module.register_forward_pre_hook(lambda module, _inputs, name=name: self._enter(name, module))
            after = module.register_forward_hook(lambda module, _inputs, _output: self._leave(module))
            self._within.callback(before.remove)
            self._within.callback(after.remove)
        for mode in (self._flops, self._fields, _Operations(self), _Functions(self)):
            self._within.enter_context(mode)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._within.__exit__(kind, error, trace)

    def _enter(self, name: str, module: nn.Module) -> None:
        if self._call is None and _is_layer(module):
            self.open(name, _described(module))
            self._modules.append((name, module))
        elif self._call is None:
            self._modules.append((name, module))

    def _leave(self, module: nn.Module) -> None:
        if self._modules and self._modules[-1][1] is module:
            self._modules.pop()
            if _is_layer(module):
                self.close()

    @property
    def calling(self) -> bool:
        """Whether a layer or function is at work, to which everything below belongs."""
        return self._call is not None

    def open(self, name: str | None, operation: str) -> None:
        """A layer or, without a name, a function of the module at work is called."""
        inside = self._modules[-1][0] if self._modules else ""
        self._call, self._open_row = (inside if name is None else name, operation), None

    def close(self) -> None:
        """It has returned."""
        self._call = self._open_row = None

    def note(self, operation: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Run one operation and write down what it did."""
        flops = self._flops.get_total_flops()
        # Set before each operation, so that what stands there afterwards is the field of its result.
        self._fields.last_field = None
        result = operation(*args, **kwargs)
        tensors = tensors_in([*args, *kwargs.values()])
        results = tensors_in([result])
        producers = {self._producers[id(tensor)][1] for tensor in tensors if id(tensor) in self._producers}
        weights = {
            key: count
            for tensor in tensors
            if id(tensor) in self._weights
            for key, count in self._weights[id(tensor)][1].items()
        }
        if producers and results:
            number = self._row(results[0])
            self._fill(number, tensors, producers, weights)
            self.rows[number].flops += self._flops.get_total_flops() - flops
            for tensor in reversed(results):
                self._give_out(tensor, number)
        elif weights:
            self._weights.update({id(tensor): (tensor, weights) for tensor in results})
        return result

    def outputs(self) -> list[Output]:
        """Every piece of memory with the output of some row, once; what a row needs within it is not among them."""
        found: dict[int, Output] = {}
        for number, row in enumerate(self.rows):
            memory = _memory_of(row.output)
            last = max(number, self._last_used.get(memory, 0))
            found.setdefault(memory, Output(number, last, row.output.untyped_storage().nbytes()))
        return list(found.values())

    def _row(self, output: Tensor) -> int:
        if self._open_row is None:
            name, operation = self._call or ("", "operation")
            self.rows.append(Row(name, operation, output))
            self._open_row = len(self.rows) - 1
        return self._open_row

    def _fill(self, number: int, tensors: list[Tensor], producers: set[int], weights: dict[int, int]) -> None:
        row = self.rows[number]
        row.inputs |= producers - {number}
        row.parameters += sum(count for key, count in weights.items() if key not in self._used_parameters)
        row.field = self._fields.last_field
        self._used_parameters |= weights.keys()
        for tensor in tensors:
            if id(tensor) in self._producers:
                self._last_used[_memory_of(tensor)] = number

    def _give_out(self, tensor: Tensor, number: int) -> None:
        self.rows[number].output = tensor
        self._producers[id(tensor)] = (tensor, number)


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, recorder: LayerRecorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._recorder = recorder

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return self._recorder.note(operation, args, kwargs or {})


class _Functions(TorchFunctionMode):
    def __init__(self, recorder: LayerRecorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if self._recorder.calling:
            return func(*args, **(kwargs or {}))
        name = str(getattr(func, "__name__", func)).strip("_")
        self._recorder.open(None, _NAMES.get(name, name))
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self._recorder.close()


def _is_layer(module: nn.Module) -> bool:
    """Whether its inside is no business of a reader: it has no layers within, or torch wrote it."""
    own = type(module).__module__.startswith("torch.nn") and not isinstance(module, _CONTAINERS)
    return own or not any(True for _ in module.children())


def _described(module: nn.Module) -> str:
    """The class of a layer and, of one with a window, its size, stride and groups: "Conv2d 3x3/2"."""
    words = type(module).__name__
    kernel, stride = getattr(module, "kernel_size", None), getattr(module, "stride", None)
    if isinstance(kernel, int | tuple):
        words += f" {'x'.join(map(str, _pair(kernel)))}"
        if isinstance(stride, int | tuple) and max(_pair(stride)) > 1:
            words += f"/{max(_pair(stride))}"
    dilation, groups = getattr(module, "dilation", 1), getattr(module, "groups", 1)
    if isinstance(dilation, int | tuple) and max(_pair(dilation)) > 1:
        words += f" dilated {max(_pair(dilation))}"
    return f"{words} in {groups} groups" if isinstance(groups, int) and groups > 1 else words


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else value


def _memory_of(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
