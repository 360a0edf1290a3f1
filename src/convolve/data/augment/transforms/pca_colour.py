from typing import Annotated, TypeAlias

import numpy as np
import torch
from pydantic import Field
from scipy.special import ndtri
from torch import Tensor

from convolve.data.augment.transform import TRANSFORMS, Stage, Uniforms
from convolve.errors import UserError

Three: TypeAlias = Annotated[tuple[float, ...], Field(min_length=3, max_length=3)]
Nine: TypeAlias = Annotated[tuple[float, ...], Field(min_length=9, max_length=9)]

IMAGENET_EIGENVALUES = (0.2175, 0.0188, 0.0045)
IMAGENET_EIGENVECTORS = (-0.5675, -0.5808, -0.5836, 0.7192, -0.0045, -0.6948, 0.4009, -0.8140, 0.4203)
"""One eigenvector after the other; fb.resnet.torch's constants, of RGB in [0, 1]."""


@TRANSFORMS.register("pca_colour")
class PcaColour:
    """Add one colour to the whole image, along the principal components of the training images' RGB values.

    Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012,
    section 4.1. The paper multiplies by eigenvalues, not by their roots, so the unit counts: it is [0, 1], as in every
    implementation since. Images that are not RGB stay as they are.

    Args:
        std: standard deviation of the normal numbers that the eigenvalues are multiplied by.
        eigenvalues: of the (3, 3) covariance of RGB in [0, 1]; ImageNet's unless given.
        eigenvectors: nine numbers, one unit vector (R, G, B) after the other.

    Raises:
        UserError: the eigenvectors are not orthonormal.
    """

    stage = Stage.COLOUR
    draws = 3

    def __init__(
        self,
        *,
        std: Annotated[float, Field(ge=0, le=10)] = 0.1,
        eigenvalues: Three = IMAGENET_EIGENVALUES,
        eigenvectors: Nine = IMAGENET_EIGENVECTORS,
    ) -> None:
        rows = np.array(eigenvectors).reshape(3, 3)
        if not np.allclose(rows @ rows.T, np.eye(3), atol=1e-2):
            raise UserError(
                "augment.pca_colour.eigenvectors are not orthonormal",
                "Give three unit vectors at right angles, one after the other, as numpy.linalg.eigh(covariance)[1].T.",
            )
        self._colours = std * np.array(eigenvalues)[:, None] * rows

    def apply(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        """(N, C, H, W): value + sum over i of alpha_i lambda_i p_i."""
        if images.shape[1] != 3:
            return images
        normal = ndtri(np.maximum(uniforms, 2.0**-54))  # a uniform number of exactly 0 would give minus infinity
        added = (normal[:, :, None] * self._colours).sum(axis=1)
        return (images + torch.from_numpy(added).to(images)[:, :, None, None]).clamp_(0, 1)
