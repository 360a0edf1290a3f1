import copy
from collections.abc import Iterable
from contextlib import suppress

import torch
from torch import Tensor, nn
from torch.export.decomp_utils import CustomDecompTable

from convolve.training.compute import Compute, bfloat16_is_fast
from convolve.training.engines import AT_ONCE, ENGINES, CannotRun, Runner


@ENGINES.register("openvino")
def openvino_engine(
    module: nn.Module, image_shape: tuple[int, int, int], compute: Compute, *, at_once: int = AT_ONCE
) -> Runner:
    """OpenVINO on the CPU: batch norms folded, layers fused, memory laid out for the processor.

    The number of images of a run is fixed: that converts in half the time of a free one.
    """
    try:
        # The converter's own parts and not `openvino.convert_model`, which reports its use to its makers over the net.
        from openvino import Core
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder
        from openvino.frontend.pytorch.torchdynamo.export_decompositions import ops_to_not_decompose
    except ImportError as error:
        raise CannotRun("it is not installed") from error
    # A copy: the module may be trained later, and converted weights may share its memory.
    frozen = Compute().place(copy.deepcopy(module)).eval()
    precision = "bf16" if compute.bfloat16 and bfloat16_is_fast("cpu") else "f32"
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    # Also where this is asked for in inference mode: it may be run outside of it.
    with torch.inference_mode(False):
        batch = torch.zeros(at_once, *image_shape)
    try:
        with torch.no_grad():
            program = torch.export.export(frozen, (batch,)).run_decompositions(_decompositions(ops_to_not_decompose()))
        converter = FrontEndManager().load_by_framework("pytorch")
        # Named, so that it lives for as long as it is read from.
        decoder = TorchFXPythonDecoder(program.module(), dynamic_shapes=True)
        converted = converter.convert(converter.load(decoder))
        request = Core().compile_model(converted, "CPU", settings).create_infer_request()
    except Exception as error:  # Converting fails in as many ways as there are networks; each is told.
        raise CannotRun(_reason(error)) from error

    def run(images: Tensor) -> Tensor:
        parts = []
        for some in torch.split(images, at_once):
            # A last part is filled up with what was there before; none of its outputs are kept.
            batch[: len(some)] = some
            outputs = request.infer([batch.numpy()], share_inputs=True)[0]
            parts.append(torch.from_numpy(outputs[: len(some)]).float())
        return torch.cat(parts)

    return run


def _decompositions(whole: Iterable[torch._ops.OperatorBase]) -> CustomDecompTable:
    """How torch takes operators apart, but for those that OpenVINO has whole; what torch leaves whole is not there."""
    table = CustomDecompTable()  # type: ignore[no-untyped-call]
    for operator in whole:
        with suppress(KeyError):
            table.pop(operator)  # type: ignore[no-untyped-call]
    return table


def _reason(error: Exception) -> str:
    """One line: the first, but OpenVINO begins with a line of its own source and ends with the reason."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1 if lines[0].startswith("Check '") else 0]
