from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from convolve.networks.exact_head import ExactHead, check_shapes
from convolve.networks.heads import HEADS, HeadKind


@final
class Neighbours(ExactHead):
    """The k stored images whose features point most nearly the same way, each with one vote.

    The outputs are log((votes + 1/P) / (k + 1)): one more vote, shared by all classes, keeps them finite.

    Args:
        vectors: (M, D) float32, features of the stored images.
        labels: (M,) int64, the class of each, counted among the P.
        k: () int64, 1 <= k <= M.
        classes: as for `ExactHead`.
        outputs: as for `ExactHead`.

    Raises:
        ValueError: the shapes or numbers do not fit one another.
    """

    vectors: Tensor
    labels: Tensor
    k: Tensor

    def __init__(self, *, vectors: Tensor, labels: Tensor, k: Tensor, classes: Tensor, outputs: int) -> None:
        super().__init__(classes, outputs=outputs)
        stored = len(vectors)
        check_shapes({"labels": (labels, (stored,)), "k": (k, ())})
        if not 1 <= int(k) <= stored or not 0 <= int(labels.min()) <= int(labels.max()) < len(classes):
            raise ValueError(f"k = {int(k)} of {stored} images, or their labels, are out of range")
        self.keep(vectors=vectors, labels=labels, k=k)

    def scores(self, features: Tensor) -> Tensor:
        """(N, P) of features (N, D)."""
        present, k = len(self.classes), int(self.k)
        similarity = torch.nn.functional.normalize(features) @ torch.nn.functional.normalize(self.vectors.double()).T
        nearest = self.labels[similarity.topk(k, dim=1).indices]
        votes = torch.nn.functional.one_hot(nearest, present).sum(dim=1).double()
        return ((votes + 1 / present) / (k + 1)).log()


def _from_tensors(tensors: Mapping[str, Tensor], *, features: int, outputs: int) -> Neighbours:
    check_shapes({"vectors": (tensors["vectors"], (len(tensors["labels"]), features))})
    return Neighbours(**tensors, outputs=outputs)


HEADS.add("neighbours", HeadKind(Neighbours, _from_tensors, ()))
