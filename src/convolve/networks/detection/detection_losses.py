"""The loss of what is said of regions."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from convolve.networks.detection.region_sampling import IGNORED, RegionTargets


def region_losses(outputs: Tensor, targets: Sequence[RegionTargets]) -> dict[str, Tensor]:
    """Cross-entropy of the classes, and smooth L1 of the offsets of the true class where there is an object.

    Both by the number of the image's regions. -log p_u + [u >= 1] sum of smooth L1 (t^u - v), Girshick, ICCV 2015, 2.3.

    Args:
        outputs: (R, K + 1 + 4 K) of all regions, image by image.
        targets: of each of N images.

    Returns:
        {"classes", "boxes"}, (N,) each.
    """
    classes = (outputs.shape[1] - 1) // 5
    counts = [len(image.labels) for image in targets]
    labels = torch.cat([image.labels for image in targets])
    wanted = torch.cat([image.offsets for image in targets]).to(outputs)
    offsets = outputs[:, classes + 1 :].reshape(-1, classes, 4)
    of_class = offsets[torch.arange(len(labels), device=labels.device), (labels - 1).clamp(min=0)]
    distances = F.smooth_l1_loss(of_class, wanted, reduction="none").sum(dim=1)
    entropies = F.cross_entropy(outputs[:, : classes + 1], labels, ignore_index=IGNORED, reduction="none")
    return {
        "classes": torch.stack([part.mean() for part in torch.split(entropies, counts)]),
        "boxes": torch.stack([part.mean() for part in torch.split(distances * (labels > 0), counts)]),
    }
