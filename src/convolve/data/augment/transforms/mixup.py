from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from scipy.special import betaincinv

from convolve.data.augment.transform import TRANSFORMS, Stage, Uniforms, per_image
from convolve.data.batch import Batch, Blend


@TRANSFORMS.register("mixup")
class Mixup:
    """Average two images, and train on both their targets with the same weights.

    Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", ICLR 2018. Every image has a
    weight of its own; its partner is the next one of the batch, which is as good as any since batches are shuffled.

    Args:
        alpha: weights follow Beta(alpha, alpha): near 0 or 1 for a small alpha, uniform for 1.
    """

    stage = Stage.MIXING
    draws = 1

    def __init__(self, *, alpha: Annotated[float, Field(gt=0, le=100)] = 0.2) -> None:
        self._alpha = alpha

    def mix(self, batch: Batch, uniforms: Uniforms) -> Batch:
        """Weight x image + (1 - weight) x partner."""
        # The inverse of the distribution function turns a uniform number into one of the distribution.
        weights = per_image(betaincinv(self._alpha, self._alpha, uniforms[:, 0]), batch.images)
        partner = np.roll(np.arange(len(batch.images)), -1)
        blend = Blend(torch.from_numpy(partner).to(batch.images.device), weights.flatten())
        return replace(batch, images=torch.lerp(batch.images[blend.partner], batch.images, weights), blend=blend)
