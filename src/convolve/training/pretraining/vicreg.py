from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from convolve.data.augment.augmentation import Augmentation
from convolve.data.batch import Batch
from convolve.errors import UserError
from convolve.randomness import seed_of
from convolve.training.pretraining import PRETRAINING

_WIDEST = 2048
_SMALLEST_STD_SQUARED = 1e-4
# Random weights, and norm layers that have seen a few batches only, may well have little spread.
_EPOCHS_BEFORE_JUDGED = 3
_COLLAPSED = 0.1


@PRETRAINING.register("vicreg")
class VicReg:
    """Two views of an image shall have one embedding, and all images together shall fill the space.

    The loss is the mean square between the two embeddings (invariance), plus what each dimension's standard deviation
    lacks of 1 (variance), plus the squared covariances of different dimensions (covariance). The last two keep the
    embeddings from collapsing to one point, with no negatives, no second network and no large batch: Bardes, Ponce and
    LeCun, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning", ICLR 2022. On small
    machines it got further in the same time than SimSiam and Barlow Twins (benchmarks/LOG.md).

    Args:
        invariance, variance, covariance: the terms' weights; 25, 25 and 1 in the paper.
    """

    score_name = "spread"
    lr = 2e-3
    weight_decay = 0.01

    def __init__(
        self,
        *,
        invariance: Annotated[float, Field(gt=0)] = 25.0,
        variance: Annotated[float, Field(ge=0)] = 25.0,
        covariance: Annotated[float, Field(ge=0)] = 1.0,
    ) -> None:
        self._invariance = invariance
        self._variance = variance
        self._covariance = covariance
        self._epoch = 0

    def views(self, batch: Batch, augmentation: Augmentation, *, seed: int, epoch: int) -> Tensor:
        """Two independent draws of the augmentation."""
        drawn = [augmentation(batch, seed=seed_of(seed, "view", view), epoch=epoch).images for view in range(2)]
        return torch.cat(drawn, dim=1)

    def begin_epoch(self, epoch: int) -> None:
        """From the third epoch on, a collapse is an error, however often the training was interrupted."""
        self._epoch = epoch

    def network(self, backbone: nn.Module, *, features: int, channels: int, image_hw: tuple[int, int]) -> nn.Module:
        """The backbone and a projector of three layers, 4 times as wide as the features but at most 2048."""
        return JointEmbedding(backbone, projector(features, min(_WIDEST, 4 * features)))

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(N,) from embeddings (N, 2, E); what belongs to the batch as a whole counts for each of its images."""
        first, second = outputs.float().unbind(dim=1)
        invariance = (first - second).square().mean(dim=1)
        variance = (_lacking_std(first) + _lacking_std(second)) / 2
        covariance = _covariances(first) + _covariances(second)
        return self._invariance * invariance + self._variance * variance + self._covariance * covariance

    def condense(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Both as they are."""
        return outputs, targets

    def evaluate(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """The loss; the spread of the embeddings' directions, 1 all over the sphere, 0 in one point; their deviation.

        The deviation is that of each dimension, on average; the loss wants 1. Either near 0 is a collapse.

        Raises:
            UserError: the embeddings collapsed.
        """
        spread, std = spread_of(outputs[:, 0]), float(outputs[:, 0].std(dim=0).mean())
        if self._epoch + 1 >= _EPOCHS_BEFORE_JUDGED and not min(spread, std) > _COLLAPSED:
            raise UserError(
                f"pre-training collapsed: all images have nearly the same embedding (spread {spread:.3f} and deviation "
                f"{std:.3f}, each of 1)",
                "Lower the learning rate (optimiser.lr), or keep the weights of variance and covariance at 25 and 1.",
            )
        return {"loss": float(self.losses(outputs, targets).mean()), "spread": spread, "std": std}


class JointEmbedding(nn.Module):
    """Both views through one backbone and one projector, in one batch.

    Args:
        backbone: (N, C, H, W) -> (N, D).
        projector: (N, D) -> (N, E).
    """

    def __init__(self, backbone: nn.Module, projector: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.projector = projector

    def forward(self, views: Tensor) -> Tensor:
        """(N, 2C, H, W) -> (N, 2, E)."""
        embedded = self.projector(self.backbone(torch.cat(views.chunk(2, dim=1))))
        return torch.stack(embedded.chunk(2), dim=1)


def projector(features: int, width: int) -> nn.Sequential:
    """(N, D) -> (N, E): three linear layers, the first two with batch norm and ReLU: the paper's expander.

    The norms' statistics are plain means over all steps: moving ones would still be what they began with after a few,
    and the embeddings of test mode, which are watched for a collapse, would have a scale that means nothing.

    Args:
        features: D.
        width: E, of all three layers.
    """
    return nn.Sequential(
        nn.Linear(features, width, bias=False),
        nn.BatchNorm1d(width, momentum=None),
        nn.ReLU(),
        nn.Linear(width, width, bias=False),
        nn.BatchNorm1d(width, momentum=None),
        nn.ReLU(),
        nn.Linear(width, width, bias=False),
    )


def spread_of(embeddings: Tensor) -> float:
    """Mean over dimensions of the standard deviation of z / |z|, times sqrt(E): 1 where all directions are as likely.

    Chen and He, "Exploring Simple Siamese Representation Learning", CVPR 2021, section 4.1.

    Args:
        embeddings: (N, E), of many images.
    """
    directions = F.normalize(embeddings.float(), dim=1)
    return float(directions.std(dim=0).mean() * embeddings.shape[1] ** 0.5)


def _lacking_std(embeddings: Tensor) -> Tensor:
    return F.relu(1 - (embeddings.var(dim=0) + _SMALLEST_STD_SQUARED).sqrt()).mean()


def _covariances(embeddings: Tensor) -> Tensor:
    """The sum of the squared covariances of different dimensions, over the number of dimensions."""
    count, width = embeddings.shape
    centred = embeddings - embeddings.mean(dim=0)
    squares = (centred.T @ centred / (count - 1)).square()
    return (squares.sum() - squares.diagonal().sum()) / width
