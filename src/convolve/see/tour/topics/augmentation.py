"""Augmentation: one photograph as training would see it again and again."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure as Chart
from sklearn.datasets import load_sample_image
from torch import Tensor

from convolve.data.augment.augmentation import build_augmentation
from convolve.data.augment.presets import PRESETS
from convolve.data.augment.transforms.pca_colour import IMAGENET_EIGENVALUES, IMAGENET_EIGENVECTORS
from convolve.data.batch import Batch
from convolve.see.tour.drawing import INK, WIDTH, themed, tour_style
from convolve.see.tour.topic import TOPICS, Figure, Section, Topic

SIDE = 56
"""Pixels a side of the photograph here."""
_COLUMNS = 4
_ROWS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("flip", {"flip_horizontal": True}),
    ("rotate", {"rotate": 30.0}),
    ("crop", {"crop": {"area": 0.3}}),
    ("jitter", {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}),
    ("noise", {"noise": 0.1}),
    ("PCA colour", {"pca_colour": 1.0}),
    ("photos", PRESETS["photos"]),
)


def photograph() -> Tensor:
    """(3, SIDE, SIDE) float32 in [0, 1]: the middle of scikit-learn's flower, whole in height."""
    pixels = torch.from_numpy(load_sample_image("flower.jpg").copy()).permute(2, 0, 1).float() / 255
    height, width = pixels.shape[1:]
    left = (width - height) // 2
    middle = pixels[None, :, :, left : left + height]
    return F.interpolate(middle, size=(SIDE, SIDE), mode="bilinear", antialias=True)[0].clamp(0, 1)


def copies(image: Tensor, spec: Mapping[str, Any], *, seed: int) -> Tensor:
    """(n, C, H, W): what training would see of an image in its first epochs, one a row number.

    Args:
        image: (C, H, W) in [0, 1].
        spec: augmentations as a recipe has them.
        seed: of the recipe.
    """
    images = image.expand(_COLUMNS, *image.shape).contiguous()
    batch = Batch(images=images, targets=torch.zeros(_COLUMNS, dtype=torch.long), rows=np.arange(_COLUMNS))
    fill = [round(255 * float(value)) for value in image.mean(dim=(1, 2))]
    return build_augmentation(spec, fill=fill)(batch, seed=seed, epoch=0).images


def imagenet_covariance() -> np.ndarray[Any, np.dtype[np.float64]]:
    """(3, 3) V diag(l) V^T: the covariance of ImageNet's RGB in [0, 1] that PCA jitter moves along."""
    vectors = np.array(IMAGENET_EIGENVECTORS).reshape(3, 3).T
    covariance: np.ndarray[Any, np.dtype[np.float64]] = vectors @ np.diag(IMAGENET_EIGENVALUES) @ vectors.T
    return covariance


def _compute(seed: int) -> Section:
    image = photograph()
    sheet = {name: copies(image, spec, seed=seed) for name, spec in _ROWS}
    vectors = np.array(IMAGENET_EIGENVECTORS).reshape(3, 3)
    own = np.cov(image.flatten(1).double().numpy())
    jitter = np.sqrt(np.diag(vectors.T @ np.diag(np.square(0.1 * np.array(IMAGENET_EIGENVALUES))) @ vectors))
    numbers: dict[str, Any] = {
        "covariance from ImageNet's components": imagenet_covariance().round(4).tolist(),
        "orthonormal within": round(float(np.abs(vectors @ vectors.T - np.eye(3)).max()), 5),
        "standard deviation of the paper's jitter, R G B": jitter.round(4).tolist(),
        "eigenvalues of this photograph": np.linalg.eigvalsh(own)[::-1].round(4).tolist(),
        "settings": {name: dict(spec) for name, spec in _ROWS},
    }
    return Section(figures=(_sheet_figure(image, sheet, jitter),), numbers=numbers)


def _sheet_figure(image: Tensor, sheet: Mapping[str, Tensor], jitter: np.ndarray[Any, np.dtype[np.float64]]) -> Figure:
    gap = 4
    step = SIDE + gap
    with tour_style("augmentation"):
        chart = Chart(figsize=(WIDTH, WIDTH * (len(sheet) * step + 24) / ((_COLUMNS + 1.3) * step)))
        axes = chart.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        for number, (name, images) in enumerate(sheet.items()):
            top = number * step + 24
            axes.text(1.2 * step, top + SIDE / 2, name, fontsize=9, color=INK, ha="right", va="center")
            for column, copy in enumerate(images):
                left = (column + 1.3) * step
                axes.imshow(_pixels(copy), extent=(left, left + SIDE, top + SIDE, top), interpolation="none")
        axes.set_xlim(0, (_COLUMNS + 1.3) * step)
        axes.set_ylim(len(sheet) * step + 24, 0)
        axes.imshow(_pixels(image), extent=(2, 22, 22, 2), interpolation="none")
        axes.text(28, 12, "the photograph, then four copies of it by each way", fontsize=9, color=INK, va="center")
        svg = themed(chart, "a photograph of a flower, flipped, turned, cropped and in other colours")
    deviations = ", ".join(f"{value:.3f}" for value in jitter)
    return Figure(
        svg=svg,
        caption="Turned by up to 30°; cropped to 30 % of the area or more; brightness, contrast and saturation changed "
        "by up to 40 %; noise; one colour added along the principal components of ImageNet's RGB, ten times as strong "
        f"as the paper's, which has a standard deviation of {deviations} (R, G, B of 1) and can hardly be seen; the "
        "preset for photographs. What comes from outside takes the mean colour. Photograph: scikit-learn's sample.",
    )


def _pixels(image: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    pixels: np.ndarray[Any, np.dtype[np.uint8]] = (image * 255).round().byte().permute(1, 2, 0).numpy()
    return pixels


TOPICS.add(
    "augmentation",
    Topic(
        name="augmentation",
        order=190,
        title="Augmentation",
        idea="A flipped, turned, cropped or recoloured photograph shows the same thing, so each epoch sees another "
        "copy and learns what does not matter. What changes the answer is left out: a mirrored digit is another sign.",
        code="convolve train photos/ augment=photos augment.pca_colour=0.1",
        source="Krizhevsky et al., NIPS 2012, section 4.1; Szegedy et al., CVPR 2015, section 6",
        compute=_compute,
    ),
)
