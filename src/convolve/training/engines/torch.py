import torch
from torch import Tensor, nn

from convolve.training.compute import Compute
from convolve.training.engines import AT_ONCE, ENGINES, Runner
from convolve.training.inference import in_parts


@ENGINES.register("torch")
def torch_engine(
    module: nn.Module, image_shape: tuple[int, int, int], compute: Compute, *, at_once: int = AT_ONCE
) -> Runner:
    """The module itself, step by step: runs every network, on every device."""
    network = compute.place(module)

    def run(images: Tensor) -> Tensor:
        with torch.inference_mode(), compute.precision():
            return in_parts(network, compute.images(images)).float().cpu()

    return run
