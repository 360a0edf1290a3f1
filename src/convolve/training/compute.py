"""Where and how arithmetic is done: device, layout in memory, precision, compilation."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import Literal, TypeAlias

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from convolve.errors import UserError

EngineName: TypeAlias = Literal["torch", "openvino"]


class Compute(BaseModel):
    """One way to run a network on one machine.

    Attributes:
        device: "cpu", "cuda", "cuda:1" or "mps".
        channels_last: keep activations as N, H, W, C in memory.
        bfloat16: compute convolutions and matrix products in bfloat16; weights, norms and losses stay float32.
        compiled: run through torch.compile.
        engine: what runs layers that are not trained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = "cpu"
    channels_last: bool = False
    bfloat16: bool = False
    compiled: bool = False
    engine: EngineName = "torch"

    def place(self, network: nn.Module) -> nn.Module:
        """Move a network to the device and the layout; returns the same module."""
        return network.to(self.device).to(memory_format=self.memory_format)

    def images(self, images: Tensor) -> Tensor:
        """Move (N, C, H, W) images to the device and the layout; feature vectors (N, D) have but one layout."""
        layout = self.memory_format if images.ndim == 4 else torch.contiguous_format
        return images.to(device=self.device, memory_format=layout)

    def runner(self, network: nn.Module) -> Callable[[Tensor], Tensor]:
        """What to call in place of the network: itself, or its compiled form on the same parameters."""
        return torch.compile(network) if self.compiled else network

    def precision(self) -> AbstractContextManager[object]:
        """Within it, operations run in this precision."""
        return torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.bfloat16)

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout as PyTorch names it."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def __str__(self) -> str:
        layout = "channels_last" if self.channels_last else "contiguous"
        precision = "bfloat16" if self.bfloat16 else "float32"
        frozen = "" if self.engine == "torch" else f", frozen layers by {self.engine}"
        return f"{self.device}, {layout}, {precision}{', compiled' if self.compiled else ''}{frozen}"


def choose_device(name: str) -> str:
    """The device of that name, or for "auto" a GPU if there is one.

    Raises:
        UserError: there is no such device on this machine.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        # The CPU is one device, however many processors it has; torch takes any number after its name.
        torch.empty(1, device="none" if name.startswith("cpu:") else name)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"compute.device={name!r}: not on this machine", "Known here: auto, cpu.") from error
    return name


def choose_engine(name: str, device: str) -> EngineName:
    """What runs frozen layers: the engine of that name, or for "auto" OpenVINO on a CPU, where it is installed.

    Raises:
        UserError: OpenVINO is not installed, or not for this device.
    """
    installed = find_spec("openvino") is not None
    if name == "openvino" and not (installed and device == "cpu"):
        reason = f"it is used on CPUs, not on {device}" if installed else "it is not installed"
        raise UserError(f"compute.engine='openvino': {reason}", "Give compute.engine=auto.")
    return "openvino" if name != "torch" and installed and device == "cpu" else "torch"


def out_of_memory() -> UserError:
    """The error for a network that is too large even for one image."""
    return UserError("out of memory with a single image at a time", "Choose a smaller network or data.image_size.")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch failed for lack of memory; CPUs and Apple's GPUs have no exception class for it."""
    words = ("can't allocate memory", "out of memory")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)


def bfloat16_is_fast(device: str) -> bool:
    """Whether the processor multiplies bfloat16 in hardware; elsewhere it is emulated, many times slower."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
