"""Scores from all resolutions at once: the coarse maps say what, the fine ones say where."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from convolve.errors import UserError
from convolve.networks.feature_pyramid import FeaturePyramid, feature_pyramid
from convolve.networks.initialisation import he_initialise
from convolve.networks.layers.bilinear_upsampling import PIXELS, FixedUpsampling, Lattice
from convolve.networks.network import Network
from convolve.networks.pixel_network import PixelNetwork
from convolve.networks.score_maps import SCORE_MAPS, ScoreMap

_FEWEST_CHANNELS = 16


class Refinement(nn.Module):
    """One step up: coarse maps laid on the units of a finer map, both next to each other, two 3 x 3 convolutions.

    Args:
        channels: of the coarse and of the finer map.
        outputs: channels that come out.
        coarse, fine: lattices of the two.
    """

    def __init__(self, channels: tuple[int, int], outputs: int, *, coarse: Lattice, fine: Lattice) -> None:
        super().__init__()
        self.upsampling = FixedUpsampling(coarse, fine)
        self.layers = nn.Sequential(
            *_normalised(nn.Conv2d(sum(channels), outputs, 3, padding=1, bias=False)),
            *_normalised(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)),
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(N, C, h, w) and (N, D, H, W) -> (N, outputs, H, W)."""
        maps: Tensor = self.layers(torch.cat((self.upsampling(coarse, fine.shape[2:]), fine), dim=1))
        return maps


class UNet(PixelNetwork):
    """A backbone, and a decoder that joins its maps from the coarsest to a finer one, whose scores are upsampled.

    Dropout leaves out whole maps, just before the scores, where drawing again costs a 1 x 1 convolution and upsampling:
    neighbouring units are so alike that leaving out one of them takes nothing away (Tompson et al., CVPR 2015, 3.2).

    Args:
        pyramid: the backbone.
        outputs: K, classes.
        steps: by how many levels the decoder climbs.
        width: channels of its first step; each further one has half as many.
        dropout: probability that one of the last maps is left out.
    """

    def __init__(self, pyramid: FeaturePyramid, *, outputs: int, steps: int, width: int, dropout: float) -> None:
        super().__init__()
        self.pyramid = pyramid
        coarsest = pyramid.channels[-1]
        channels = min(width, coarsest)
        # Upsampling the many maps of a classifier's last layer would cost more than the backbone.
        self.entry = nn.Sequential(*_normalised(nn.Conv2d(coarsest, channels, 1, bias=False)))
        self.refinements = nn.ModuleList()
        lattices = pyramid.lattices[::-1]
        for step in range(steps):
            fine = pyramid.channels[-2 - step]
            wider, outs = channels, max(min(width, coarsest) // 2**step, _FEWEST_CHANNELS)
            place = {"coarse": lattices[step], "fine": lattices[step + 1]}
            self.refinements.append(Refinement((wider, fine), outs, **place))
            channels = outs
        self.dropout = nn.Dropout2d(dropout)
        self.scorer = nn.Conv2d(channels, outputs, 1)
        self.to_pixels = FixedUpsampling(lattices[steps], PIXELS)
        # The scores too: from weights as small as a classifier's, these few maps long learn nothing but the background.
        for layers in (self.entry, self.refinements, self.scorer):
            he_initialise(layers)
        self.stride = pyramid.strides[-1]
        self.smallest_side = pyramid.smallest_side
        self.reach = _reach(pyramid, steps)

    @property
    def encoder_stages(self) -> tuple[nn.Module, ...]:
        """The backbone's levels."""
        return tuple(self.pyramid.levels)

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, C, H, W) -> the decoder's last maps, (N, D, h, w)."""
        *finer, maps = self.pyramid(images)
        maps = self.entry(maps)
        for refine in self.refinements:
            maps = refine(maps, finer.pop())
        return (maps,)

    def score(self, encoded: tuple[Tensor, ...], image_hw: tuple[int, int]) -> Tensor:
        """(N, K, H, W) logits from the decoder's last maps."""
        scores: Tensor = self.to_pixels(self.scorer(self.dropout(encoded[0])), image_hw)
        return scores


def _normalised(convolution: nn.Conv2d) -> Sequence[nn.Module]:
    return convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True)


def _reach(pyramid: FeaturePyramid, steps: int) -> int | None:
    """Each step adds what it is interpolated from, and one unit for each 3 x 3 convolution."""
    reach = pyramid.reach[-1]
    for step in range(steps):
        skip, coarse = pyramid.reach[-2 - step], pyramid.spread[-1 - step]
        if reach is None or skip is None:
            return None
        reach = max(reach + coarse, skip) + 2 * pyramid.strides[-2 - step]
    return None if reach is None else reach + pyramid.spread[-1 - steps]


def unet(
    network: Network,
    *,
    outputs: int,
    channels: int,
    image_hw: tuple[int, int],
    width: Annotated[int, Field(ge=_FEWEST_CHANNELS)] = 128,
    finest: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto",
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
) -> UNet:
    """The backbone with a decoder.

    Args:
        network: its backbone is used.
        outputs: K.
        channels: C.
        image_hw: a size that the backbone takes, pixels.
        width: channels of the decoder's first step, halved at each further one; at most the backbone's last.
        finest: stride of the finest maps that are decoded, pixels; logits are interpolated from there. auto = an eighth
            of the coarsest stride, or what there is: finer maps cost four times as much each.
        dropout: probability that one of the last maps is left out of a training step.

    Raises:
        UserError: a backbone without maps of several resolutions, or none of a stride `finest`.
    """
    pyramid = feature_pyramid(network.backbone, channels=channels, image_hw=image_hw)
    strides = pyramid.strides
    least = strides[-1] // 8 if finest == "auto" else finest
    if len(strides) == 1 or (finest != "auto" and finest not in strides[:-1]):
        known = ", ".join(map(str, strides[:-1])) or "none"
        raise UserError(
            f"segment.options.finest={finest}: this network has no finer maps of that stride",
            f"Strides it has: {known}. Or choose another network, or segment.name=fcn-32s, which needs none.",
        )
    steps = sum(stride >= least for stride in strides[:-1])
    return UNet(pyramid, outputs=outputs, steps=steps, width=width, dropout=dropout)


SCORE_MAPS.add(
    "unet",
    ScoreMap(
        build=unet,
        trained_on="crops",
        about="a decoder that joins the maps of all resolutions, from the coarsest up",
        source="Ronneberger, Fischer and Brox, MICCAI 2015",
    ),
)
