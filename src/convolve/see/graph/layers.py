"""The layers of a network as a graph, with what each costs, holds and sees; shapes are followed without numbers."""

from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convolve.errors import UserError
from convolve.networks.receptive_field import FieldTracker
from convolve.see.graph.recording import LayerRecorder


@dataclass(frozen=True, kw_only=True)
class LayerNode:
    """One layer, or one operation between layers such as the sum of two branches, for one image.

    Attributes:
        name: of the layer within the network; of an operation, that of the module whose forward has it, where it has
            one. A layer that is used twice has two rows of one name.
        operation: the class of the layer with its window, as "Conv2d 3x3/2", or torch's name of the operation.
        inputs: the rows whose output it takes, by number, each once, ascending.
        shape: of its output, without the N in front.
        parameters: trainable numbers that it is the first to use.
        multiply_adds: of convolutions and matrix products, half the FLOPs.
        receptive_field: height and width in pixels of what one unit sees; None where no rectangle bounds it.
        stride: pixels from one unit to the next, down and across; None where the field is None.
        memory: bytes of its output; 0 where it is written into the memory of its input (in place, or a view).
        held: bytes of all outputs up to here, the image among them: what training has in memory at this row, if every
            output is kept for the way back.
        live: bytes of the outputs that this row or a later one still takes, and of its own: what inference has in
            memory. Weights and what a layer needs within it are in neither.
    """

    name: str
    operation: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: tuple[int, int] | None
    stride: tuple[int, int] | None
    memory: int
    held: int
    live: int


@dataclass(frozen=True, kw_only=True)
class LayerGraph:
    """A network, layer by layer.

    Attributes:
        rows: in the order in which they are computed; row 0 is the image.
        unused_parameters: trainable numbers that the answer to an image in test mode does not need, as those of
            auxiliary classifiers.
    """

    rows: tuple[LayerNode, ...]
    unused_parameters: int

    @property
    def parameters(self) -> int:
        """Trainable numbers of the network."""
        return sum(row.parameters for row in self.rows) + self.unused_parameters

    @property
    def multiply_adds(self) -> int:
        """Of one image."""
        return sum(row.multiply_adds for row in self.rows)

    @property
    def training_memory(self) -> int:
        """Bytes of the outputs of all rows for one image, if all are kept for the way back."""
        return self.rows[-1].held

    @property
    def inference_memory(self) -> int:
        """Bytes of the outputs of one image that are needed at once, where this is most."""
        return max(row.live for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "parameters": self.parameters,
            "unused_parameters": self.unused_parameters,
            "multiply_adds": self.multiply_adds,
            "training_memory": self.training_memory,
            "inference_memory": self.inference_memory,
            "rows": [asdict(row) for row in self.rows],
        }


def layer_graph(network: nn.Module, *, channels: int, image_hw: tuple[int, int]) -> LayerGraph:
    """What `network` computes for one image in test mode; the network itself is neither run nor changed.

    A row is a call of a layer, or of a function of torch outside of layers; rows are joined by the tensors that they
    hand on. So branches, sums and concatenations are there for any forward, whatever it does in between. Dropout and
    other layers that do nothing in test mode are left out.

    Args:
        network: takes (N, C, H, W).
        channels: C.
        image_hw: H and W, pixels.

    Raises:
        UserError: the network does not take images of this size, or what it does depends on their values.
    """
    shapes_only = deepcopy(network).to("meta").eval()
    dtype = next((parameter.dtype for parameter in network.parameters()), torch.float32)
    image = torch.empty(1, channels, *image_hw, device="meta", dtype=dtype)
    recorder = LayerRecorder(shapes_only, image, FlopCounterMode(display=False), FieldTracker(image))
    try:
        with torch.no_grad(), recorder:
            shapes_only(image)
    except (AssertionError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()
        raise UserError(
            f"the network cannot be followed with an image of {channels} channels and {image_hw[0]} x {image_hw[1]} "
            f"pixels ({reason[0] if reason else type(error).__name__})",
            "Give another size or number of channels, or a part of the network that takes images.",
        ) from error
    total = sum(parameter.numel() for parameter in network.parameters())
    return _as_graph(recorder, total)


def _as_graph(recorder: LayerRecorder, parameters: int) -> LayerGraph:
    held, rows = 0, []
    outputs = recorder.outputs()
    for number, row in enumerate(recorder.rows):
        memory = sum(output.size for output in outputs if output.written == number)
        held += memory
        rows.append(
            LayerNode(
                name=row.name,
                operation=row.operation,
                inputs=tuple(sorted(row.inputs)),
                shape=tuple(row.output.shape[1:]),
                parameters=row.parameters,
                multiply_adds=row.flops // 2,
                receptive_field=row.field.sides if row.field else None,
                stride=row.field.jump if row.field else None,
                memory=memory,
                held=held,
                live=sum(output.size for output in outputs if output.written <= number <= output.last),
            )
        )
    return LayerGraph(rows=tuple(rows), unused_parameters=parameters - sum(row.parameters for row in rows))
