from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from convolve.data.augment.augmentation import Augmentation
from convolve.data.batch import Batch
from convolve.randomness import uniforms
from convolve.training.pretraining import PRETRAINING

_PATCHES_A_SIDE = 8
_SMALLEST_MAP = 8
_DECODER_WIDTH = 64


@PRETRAINING.register("autoencoder")
class AutoEncoder:
    """Restore an image of which parts are hidden, from its features alone.

    The denoising auto-encoder (Vincent, Larochelle, Bengio and Manzagol, "Extracting and Composing Robust Features with
    Denoising Autoencoders", ICML 2008) with a convolutional encoder (Masci, Meier, Ciresan and Schmidhuber, "Stacked
    Convolutional Auto-Encoders for Hierarchical Feature Extraction", ICANN 2011), trained as a whole, not layer by
    layer. Hidden are squares, not single pixels, which their neighbours would tell.

    Args:
        hidden: share of the image that is hidden, in squares of an eighth of its side.
    """

    score_name = "explained"
    lr = 2e-3
    weight_decay = 0.01

    def __init__(self, *, hidden: Annotated[float, Field(ge=0, lt=1)] = 0.25) -> None:
        self._hidden = hidden

    def views(self, batch: Batch, augmentation: Augmentation, *, seed: int, epoch: int) -> Tensor:
        """One draw of the augmentation, first with squares of the fill colour, then clean."""
        clean = augmentation(batch, seed=seed, epoch=epoch).images
        drawn = uniforms(seed, "hidden", epoch, rows=batch.rows, count=_PATCHES_A_SIDE**2)
        squares = torch.from_numpy(drawn < self._hidden).view(-1, 1, _PATCHES_A_SIDE, _PATCHES_A_SIDE)
        hidden = F.interpolate(squares.float(), size=clean.shape[2:], mode="nearest").bool()
        return torch.cat([torch.where(hidden, augmentation.fill[:, None, None], clean), clean], dim=1)

    def begin_epoch(self, epoch: int) -> None:
        """Every epoch is like the one before."""

    def network(self, backbone: nn.Module, *, features: int, channels: int, image_hw: tuple[int, int]) -> nn.Module:
        """The backbone and a light decoder."""
        return Reconstruction(backbone, decoder(features, channels=channels, image_hw=image_hw))

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(N,) mean square between restored and clean pixels, from outputs (N, 2, C, H, W), normalised."""
        restored, clean = outputs.float().unbind(dim=1)
        return (restored - clean).square().mean(dim=(1, 2, 3))

    def condense(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Both as they are."""
        return outputs, targets

    def evaluate(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """The loss, and the share of the pixels' variance that is explained; 0 for the mean image, 1 if all is."""
        loss = float(self.losses(outputs, targets).mean())
        clean = outputs[:, 1].float()
        variance = float((clean - clean.mean(dim=0)).square().mean())
        return {"loss": loss, "explained": 1 - loss / variance if variance else 0.0}


class Reconstruction(nn.Module):
    """The first view through encoder and decoder, beside the second, which it is to be.

    Args:
        backbone: (N, C, H, W) -> (N, D).
        decoder: (N, D) -> (N, C, H, W).
    """

    def __init__(self, backbone: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = decoder

    def forward(self, views: Tensor) -> Tensor:
        """(N, 2C, H, W) -> (N, 2, C, H, W)."""
        corrupted, clean = views.chunk(2, dim=1)
        return torch.stack([self.decoder(self.backbone(corrupted)), clean], dim=1)


def decoder(features: int, *, channels: int, image_hw: tuple[int, int]) -> nn.Sequential:
    """From features to an image: a small map, then doubled and convolved until it has the image's size.

    Args:
        features: D.
        channels: of the image.
        image_hw: of the image, pixels.
    """
    sizes = [image_hw]
    while max(sizes[0]) > _SMALLEST_MAP:
        sizes.insert(0, (-(-sizes[0][0] // 2), -(-sizes[0][1] // 2)))
    (height, width), *larger = sizes
    layers: list[nn.Module] = [
        nn.Linear(features, _DECODER_WIDTH * height * width),
        nn.Unflatten(1, (_DECODER_WIDTH, height, width)),
        nn.BatchNorm2d(_DECODER_WIDTH),
        nn.ReLU(),
    ]
    maps = _DECODER_WIDTH
    for size in larger:
        fewer = max(16, maps // 2)
        convolution = nn.Conv2d(maps, fewer, 3, padding=1, bias=False)
        layers += [nn.Upsample(size=size), convolution, nn.BatchNorm2d(fewer), nn.ReLU()]
        maps = fewer
    return nn.Sequential(*layers, nn.Conv2d(maps, channels, 3, padding=1))
