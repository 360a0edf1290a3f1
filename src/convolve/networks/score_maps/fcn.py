"""FCN-32s, -16s and -8s: a classifier's scores for every place of its coarsest map, refined by finer maps' scores."""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from torch import Tensor, nn

from convolve.errors import UserError
from convolve.networks.feature_pyramid import FeaturePyramid, feature_pyramid
from convolve.networks.layers.bilinear_upsampling import PIXELS, FixedUpsampling, TransposedUpsampling
from convolve.networks.layers.score_fusion import CroppedFusion, ScoreFusion
from convolve.networks.network import Network
from convolve.networks.pixel_network import PixelNetwork
from convolve.networks.score_maps import SCORE_MAPS, ScoreMap
from convolve.networks.score_maps.convolved_classifier import convolved_classifier, paper_pyramid

Form: TypeAlias = Literal["features", "classifier", "paper"]
Dropout: TypeAlias = Annotated[float, Field(ge=0, lt=1)] | Literal["auto"]

# Factors of the skips' maps, finer and finer. Without batch normalisation VGG's are so large that, unscaled, their
# scores would drown the coarse ones (Shelhamer et al., TPAMI 2017, section 4.3).
_VGG_SCALES = (0.01, 0.0001)
_DROPOUT, _CLASSIFIERS_DROPOUT = 0.1, 0.5


class FullyConvolutionalNetwork(PixelNetwork):
    """A backbone with a score layer on its coarsest map and on the next finer ones, summed up from coarse to fine.

    Score layers begin at zero, so that at first no class is preferred anywhere. Upsampling to the pixels stays
    bilinear; between the maps it is learned, as in the paper, or bilinear too.

    Args:
        pyramid: the backbone; its last level may go on with fully connected layers as convolutions.
        classifier: what follows from the first dropout on, and has D maps at its end.
        features: D.
        outputs: K, classes.
        skips: of how many finer maps scores are added.
        scales: by what each of these maps is multiplied before it is scored.
        learned: whether upsampling between maps is.
        fusion: how two maps of scores are put together; with `CroppedFusion` the last one fades, as in the paper.
    """

    def __init__(
        self,
        pyramid: FeaturePyramid,
        classifier: nn.Sequential,
        *,
        features: int,
        outputs: int,
        skips: int,
        scales: Sequence[float],
        learned: bool,
        fusion: type[ScoreFusion] | type[CroppedFusion] = ScoreFusion,
    ) -> None:
        super().__init__()
        self.pyramid = pyramid
        self.classifier = classifier
        self.scorer = _score_layer(features, outputs)
        self.scales = tuple(scales)
        self.skip_scorers = nn.ModuleList()
        self.fusions = nn.ModuleList()
        lattice = pyramid.lattices[-1]
        self.reach = pyramid.reach[-1]
        for level in range(-2, -2 - skips, -1):
            self.skip_scorers.append(_score_layer(pyramid.channels[level], outputs))
            joined = fusion(outputs, lattice, pyramid.lattices[level], learned=learned)
            self.fusions.append(joined)
            lattice = joined.lattice
            self.reach = _farther(self.reach, pyramid.spread[level + 1], pyramid.reach[level])
        self.reach = _farther(self.reach, pyramid.spread[-1 - skips], 0)
        self.to_pixels: nn.Module = (
            FixedUpsampling(lattice, PIXELS)
            if fusion is ScoreFusion
            else TransposedUpsampling(outputs, lattice, PIXELS, learned=False, continued=False)
        )
        self.stride = pyramid.strides[-1]
        self.smallest_side = pyramid.smallest_side

    @property
    def encoder_stages(self) -> tuple[nn.Module, ...]:
        """The backbone's levels, and fully connected layers as convolutions."""
        return (*self.pyramid.levels, *([self.classifier] if any(self.classifier.parameters()) else []))

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, C, H, W) -> the coarsest map (N, D, h, w); then scores (N, K, ...) of the skips, finer and finer."""
        maps = self.pyramid(images)
        skips = [
            scorer(finer if scale == 1 else finer * scale)
            for scorer, finer, scale in zip(self.skip_scorers, maps[-2::-1], self.scales, strict=False)
        ]
        return maps[-1], *skips

    def score(self, encoded: tuple[Tensor, ...], image_hw: tuple[int, int]) -> Tensor:
        """(N, K, H, W) logits from what `encode` gave."""
        coarsest, *skips = encoded
        scores: Tensor = self.scorer(self.classifier(coarsest))
        for fuse, skip in zip(self.fusions, skips, strict=True):
            scores = fuse(scores, skip)
        logits: Tensor = self.to_pixels(scores, image_hw)
        return logits


def _score_layer(channels: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, outputs, 1)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _farther(reach: int | None, spread: int, skip: int | None) -> int | None:
    return None if reach is None or skip is None else max(reach + spread, skip)


def _builder(skips: int) -> Callable[..., FullyConvolutionalNetwork]:
    def build(
        network: Network,
        *,
        outputs: int,
        channels: int,
        image_hw: tuple[int, int],
        form: Form = "features",
        upsampling: Literal["learned", "fixed"] = "learned",
        dropout: Dropout = "auto",
    ) -> FullyConvolutionalNetwork:
        """The backbone with score layers.

        Args:
            network: its backbone is used.
            outputs: K.
            channels: C.
            image_hw: a size that the backbone takes, pixels.
            form: what is scored. features: the backbone's last maps, finest to coarsest the last of each resolution;
                classifier: its fully connected layers as convolutions, for AlexNet and VGG (slow: 102 million weights
                at 7 x 7); paper: the same as in the paper's nets for VGG: zeros of 100 pixels around the image,
                skips from the third and fourth pool.
            upsampling: between maps: learned from bilinear interpolation on, or fixed. To the pixels it is fixed.
            dropout: before the coarsest scores, and between fully connected layers; auto = 0.1, with the latter 0.5.

        Raises:
            UserError: the backbone has no such maps, or not the layers that `form` is about.
        """
        chance = (_DROPOUT if form == "features" else _CLASSIFIERS_DROPOUT) if dropout == "auto" else dropout
        if form == "features":
            pyramid = feature_pyramid(network.backbone, channels=channels, image_hw=image_hw)
            classifier, features = nn.Sequential(nn.Dropout(chance)), pyramid.channels[-1]
        else:
            make = paper_pyramid if form == "paper" else convolved_classifier
            pyramid, classifier = make(network.backbone, channels=channels, image_hw=image_hw, dropout=chance)
            features = network.features
        if len(pyramid.strides) <= skips:
            raise UserError(
                f"fcn with {skips} finer maps: this network has only {len(pyramid.strides)} resolutions",
                "Choose segment.name=fcn-32s, or another network.",
            )
        return FullyConvolutionalNetwork(
            pyramid,
            classifier,
            features=features,
            outputs=outputs,
            skips=skips,
            scales=(1.0, 1.0) if form == "features" else _VGG_SCALES,
            learned=upsampling == "learned",
            fusion=CroppedFusion if form == "paper" else ScoreFusion,
        )

    return build


for _skips, (_name, _about) in enumerate(
    (
        ("fcn-32s", "scores of the coarsest map alone, upsampled"),
        ("fcn-16s", "scores of the coarsest map, plus those of the next finer one"),
        ("fcn-8s", "scores of the coarsest map, plus those of the next two finer ones"),
    )
):
    SCORE_MAPS.add(
        _name,
        ScoreMap(
            build=_builder(_skips),
            trained_on="crops",
            about=_about,
            source="Long, Shelhamer and Darrell, CVPR 2015",
        ),
    )
