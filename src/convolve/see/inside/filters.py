"""What the first layer looks for: its weights as small images."""

from dataclasses import dataclass

from torch import Tensor, nn

from convolve.see.inside.layers import no_maps
from convolve.see.inside.subject import Subject


@dataclass(frozen=True)
class Filters:
    """The weights that read the image.

    Attributes:
        layer: its name within the subject's body.
        kernels: (O, C, kh, kw) on the CPU, C the channels of the image; or, where `channel` is given, (O, 1, kh, kw).
        channel: (O,) which input channel of each kernel is shown, the one with the largest weights; None = all.
        kind: "convolution", or "fully connected": each kernel is as large as the image.
    """

    layer: str
    kernels: Tensor
    channel: Tensor | None
    kind: str


def first_filters(subject: Subject) -> Filters:
    """The kernels of the first convolution, or the first fully connected layer's rows in the shape of the image.

    Raises:
        UserError: the network has neither.
    """
    layers = list(subject.body.named_modules())
    for name, layer in layers:
        if isinstance(layer, nn.Conv2d):
            return _of_convolution(name, layer.weight.detach().float().cpu())
    shape = (subject.channels, *subject.image_hw)
    for name, layer in layers:
        if isinstance(layer, nn.Linear) and layer.in_features == shape[0] * shape[1] * shape[2]:
            rows = layer.weight.detach().float().cpu()
            return Filters(name, rows.view(-1, *shape), None, "fully connected")
    raise no_maps()


def _of_convolution(name: str, weight: Tensor) -> Filters:
    if weight.shape[1] in (1, 3):
        return Filters(name, weight, None, "convolution")
    channel = weight.square().sum(dim=(2, 3)).argmax(dim=1)
    strongest = weight.gather(1, channel[:, None, None, None].expand(-1, 1, *weight.shape[2:]))
    return Filters(name, strongest, channel, "convolution")
