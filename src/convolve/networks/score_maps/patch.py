"""The first rung: what is the pixel in the middle of this patch? Asked again for every pixel."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from convolve.networks.network import Network
from convolve.networks.patch_margin import mirror_margin, patch_side
from convolve.networks.pixel_network import PixelNetwork
from convolve.networks.score_maps import SCORE_MAPS, ScoreMap
from convolve.networks.tracing import split_before_dropout, trace

# Numbers that go through the network at a time: its maps for 62 patches of 65 x 65 stay near the processor.
_PORTION = 2**18


class PatchByPatch(PixelNetwork):
    """The logits of the patch around every pixel, or every `step`-th, each patch by itself, mirrored at the border.

    Args:
        classifier: (N, C, P, P) -> (N, K).
        channels: C.
        side: P, pixels; the centre of a patch is its row P // 2.
        step: pixels from one patch to the next; logits between are interpolated linearly in both directions.

    Raises:
        UserError: the classifier cannot be taken apart before its first dropout.
    """

    trained_on: Literal["crops", "patches"] = "patches"

    def __init__(self, classifier: nn.Module, *, channels: int, side: int, step: int) -> None:
        super().__init__()
        self.classifier = classifier
        self.patch_side = side
        self.stride = step
        self.reach = side // 2 + step - 1
        # In a tuple they are not registered: the weights keep one name each, the classifier's.
        self._parts = split_before_dropout(trace(classifier, channels=channels, image_hw=(side, side)))

    @property
    def trained(self) -> nn.Module:
        """The classifier."""
        return self.classifier

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features before the first dropout: (N, C, H, W) -> tensors (N, rows, columns, ...), one for each patch."""
        side = self.patch_side
        rows = grid(images.shape[2], self.stride).to(images.device)
        columns = grid(images.shape[3], self.stride).to(images.device)
        # A view, (N, H, W, C, P, P): patches are copied out a portion at a time.
        patches = mirror_margin(images, (side, side)).unfold(2, side, 1).unfold(3, side, 1).permute(0, 2, 3, 1, 4, 5)
        first, _ = self._parts
        order = torch.cartesian_prod(torch.arange(len(images), device=images.device), rows, columns)
        portions = []
        for chosen in torch.split(order, max(1, _PORTION // side**2)):
            portion = patches[chosen[:, 0], chosen[:, 1], chosen[:, 2]]
            portions.append(first(portion.contiguous(memory_format=torch.channels_last)))
        every = (torch.cat(values) for values in zip(*portions, strict=True))
        return tuple(values.view(len(images), len(rows), len(columns), *values.shape[1:]) for values in every)

    def score(self, encoded: tuple[Tensor, ...], image_hw: tuple[int, int]) -> Tensor:
        """(N, K, H, W) logits from the features of patches."""
        _, rest = self._parts
        flat = [values.flatten(0, 2) for values in encoded]
        count = max(1, _PORTION // sum(values[0].numel() for values in flat))
        parts = zip(*(torch.split(values, count) for values in flat), strict=True)
        # Copies, as some networks drop in place, and the features are scored again for another draw.
        logits = torch.cat([rest(*(values.clone() for values in portion)) for portion in parts])
        scores = logits.view(*encoded[0].shape[:3], -1).permute(0, 3, 1, 2)
        return between(between(scores, 2, image_hw[0], self.stride), 3, image_hw[1], self.stride)


def grid(length: int, step: int) -> Tensor:
    """Every `step`-th of `length` places, and the last one, so that all others lie between two: ascending, int64."""
    return torch.arange(0, length + step - 1, step).clamp(max=length - 1)


def between(values: Tensor, axis: int, length: int, step: int) -> Tensor:
    """Values on `grid(length, step)` along an axis, interpolated linearly to all of its places."""
    if step == 1:
        return values
    known = grid(length, step).to(values.device)
    places = torch.arange(length, device=values.device)
    upper = torch.searchsorted(known, places)
    lower = (upper - 1).clamp(min=0)
    gap = (known[upper] - known[lower]).clamp(min=1)
    share = ((places - known[lower]).to(values) / gap).view(-1, *[1] * (values.ndim - 1 - axis))
    return torch.lerp(values.index_select(axis, lower), values.index_select(axis, upper), share)


def patch(
    network: Network,
    *,
    outputs: int,
    channels: int,
    image_hw: tuple[int, int],
    step: Annotated[int, Field(ge=1, le=64)] = 1,
) -> PatchByPatch:
    """The network as a classifier of the pixel in the middle of a patch.

    Args:
        network: classifies patches into K classes.
        outputs: K.
        channels: C.
        image_hw: height and width of the patches; they are equal.
        step: classify every step-th pixel in both directions and interpolate the scores between; 1 = every pixel.

    Raises:
        UserError: patches that are not square, or a network whose dropout cannot be told from what is before it.
    """
    return PatchByPatch(network, channels=channels, side=patch_side(image_hw), step=step)


SCORE_MAPS.add(
    "patch",
    ScoreMap(
        build=patch,
        trained_on="patches",
        about="a classifier of the pixel in the middle of a patch, applied pixel by pixel",
        source="Ciresan et al., NIPS 2012; Kampffmeyer et al., CVPR Workshops 2016",
    ),
)
