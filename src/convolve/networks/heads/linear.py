from collections.abc import Mapping

from torch import Tensor, nn

from convolve.networks.exact_head import check_shapes
from convolve.networks.heads import HEADS, HeadKind


def _from_tensors(tensors: Mapping[str, Tensor], *, features: int, outputs: int) -> nn.Module:
    shapes = {"weight": (tensors["weight"], (outputs, features)), "bias": (tensors["bias"], (outputs,))}
    check_shapes(shapes)
    head = nn.Linear(features, outputs)
    head.load_state_dict(tensors)
    return head


HEADS.add("linear", HeadKind(nn.Linear, _from_tensors))
