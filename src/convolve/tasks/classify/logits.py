import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def float64_logits(outputs: Tensor) -> NDArray[np.float64]:
    """Outputs (N, K) of any float dtype and device as float64, in which figures are computed."""
    # First the CPU: some GPUs have no float64.
    return outputs.detach().cpu().double().numpy()
