"""A classifier of patches moved over the image: the same weights, and none of the work done twice."""

from typing import Literal

import torch
from torch import Tensor, nn

from convolve.networks.dilation import make_dense
from convolve.networks.network import Network
from convolve.networks.patch_margin import mirror_margin, patch_side
from convolve.networks.pixel_network import PixelNetwork
from convolve.networks.score_maps import SCORE_MAPS, ScoreMap
from convolve.networks.shift_and_stitch import shifted, shifts, stitch
from convolve.networks.tracing import split_before_dropout


class MovedClassifier(PixelNetwork):
    """The logits of the patch around every pixel, from one pass over the image, mirrored at its border.

    Args:
        classifier: (N, C, P, P) -> (N, K); it has all of the weights.
        channels: C.
        side: P, pixels; the centre of a patch is its row P // 2.
        way: "dilation", or "shift-and-stitch": one pass for every shift by less than the classifier's stride.

    Raises:
        UserError: the classifier has layers that cannot be moved over a map.
    """

    trained_on: Literal["crops", "patches"] = "patches"

    def __init__(
        self, classifier: nn.Module, *, channels: int, side: int, way: Literal["dilation", "shift-and-stitch"]
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.patch_side = side
        form = make_dense(classifier, channels=channels, patch_hw=(side, side), keep_strides=way == "shift-and-stitch")
        self._stride = form.place.jump if way == "shift-and-stitch" else (1, 1)
        # In a tuple they are not registered: the weights keep one name each, the classifier's.
        self._parts = split_before_dropout(form.layers)
        centre = side // 2
        self.reach = max(*(centre + rows for rows in form.place.before), *(rows - centre for rows in form.place.after))
        # What no class score sees need not be computed; but padded layers would put zeros there.
        self._seen = (side - 1, side - 1) if form.place.padded else form.place.after

    @property
    def trained(self) -> nn.Module:
        """The classifier."""
        return self.classifier

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps before the first dropout, for each shifted image: (N, C, H, W) -> tensors (N, D, H', W')."""
        height, width = images.shape[2:]
        margin = mirror_margin(images, (self.patch_side, self.patch_side))
        margin = margin[:, :, : height + self._seen[0], : width + self._seen[1]]
        first, _ = self._parts
        maps: list[Tensor] = []
        for view in shifted(margin, self._stride, (height, width)):
            maps += first(view.contiguous(memory_format=torch.channels_last))
        return tuple(maps)

    def score(self, encoded: tuple[Tensor, ...], image_hw: tuple[int, int]) -> Tensor:
        """(N, K, H, W) logits from the maps of all shifted images."""
        _, rest = self._parts
        count = len(encoded) // len(shifts(self._stride, image_hw))
        scores = [rest(*encoded[start : start + count]) for start in range(0, len(encoded), count)]
        return stitch(scores, self._stride, image_hw)


def dense(
    network: Network,
    *,
    outputs: int,
    channels: int,
    image_hw: tuple[int, int],
    way: Literal["dilation", "shift-and-stitch"] = "dilation",
) -> MovedClassifier:
    """The network of the patch rung with strides as dilations, fully connected layers as convolutions.

    Args:
        network: classifies patches into K classes.
        outputs: K.
        channels: C.
        image_hw: height and width of the patches; they are equal.
        way: "dilation", or "shift-and-stitch", which gives the same more slowly and only shows that it does.

    Raises:
        UserError: patches that are not square, or a network that cannot be moved over an image.
    """
    return MovedClassifier(network, channels=channels, side=patch_side(image_hw), way=way)


SCORE_MAPS.add(
    "dense",
    ScoreMap(
        build=dense,
        trained_on="patches",
        about="the classifier of patches moved over the image with the same weights: strides become dilations",
        source="Sermanet et al., ICLR 2014; Long et al., CVPR 2015, section 3.2",
    ),
)
