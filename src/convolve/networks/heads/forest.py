from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from convolve.networks.exact_head import ExactHead, check_shapes
from convolve.networks.heads import HEADS, HeadKind


@final
class Forest(ExactHead):
    """Decision trees whose class shares are averaged.

    The outputs are log((T p + 1/P) / (T + 1)) of the mean shares p of T trees: one more tree, which knows nothing,
    keeps them finite. All nodes of all trees are in one table of M rows, a node before its children.

    Args:
        roots: (T,) int32, rows of the trees' first nodes.
        left, right: (M,) int32, rows of the children; -1 in a leaf.
        feature: (M,) int32, what a node looks at; -1 in a leaf.
        threshold: (M,) float64; up to it, an image goes left.
        shares: (M,) int32, row of a leaf's class shares in `distributions`; equal ones are kept once.
        distributions: (U, P) float64, rows sum to 1.
        classes: as for `ExactHead`.
        outputs: as for `ExactHead`.

    Raises:
        ValueError: the shapes or numbers do not fit one another.
    """

    roots: Tensor
    left: Tensor
    right: Tensor
    feature: Tensor
    threshold: Tensor
    shares: Tensor
    distributions: Tensor

    def __init__(
        self,
        *,
        roots: Tensor,
        left: Tensor,
        right: Tensor,
        feature: Tensor,
        threshold: Tensor,
        shares: Tensor,
        distributions: Tensor,
        classes: Tensor,
        outputs: int,
    ) -> None:
        super().__init__(classes, outputs=outputs)
        nodes = len(left)
        columns = {"right": right, "feature": feature, "threshold": threshold, "shares": shares}
        check_shapes({name: (column, (nodes,)) for name, column in columns.items()})
        check_shapes({"distributions": (distributions, (len(distributions), len(classes)))})
        inner, rows = left >= 0, torch.arange(nodes)
        # Each step goes to a later row, so that a damaged table cannot lead round in circles.
        sound = [
            ((left > rows) & (left < nodes))[inner].all(),
            ((right > rows) & (right < nodes) & (feature >= 0))[inner].all(),
            ((roots >= 0) & (roots < nodes)).all(),
            ((shares >= 0) & (shares < len(distributions)))[~inner].all(),
        ]
        if not all(map(bool, sound)):
            raise ValueError("its trees are damaged")
        self.keep(roots=roots, left=left, **columns, distributions=distributions)

    def scores(self, features: Tensor) -> Tensor:
        """(N, P) of features (N, D)."""
        rows = torch.arange(len(features))[:, None]
        rounded = features.float().double()  # scikit-learn's trees see float32
        node = self.roots.expand(len(features), -1)  # (N, T)
        while (inner := self.left[node] >= 0).any():
            lower = rounded[rows, self.feature[node]] <= self.threshold[node]
            child = torch.where(lower, self.left[node], self.right[node])
            node = torch.where(inner, child, node)
        total = features.new_zeros(len(features), len(self.classes))
        # Tree after tree, as scikit-learn adds them: in another order, rounding could break a tie the other way.
        for leaf in self.shares[node].unbind(dim=1):
            total += self.distributions[leaf]
        return ((total + 1 / len(self.classes)) / (len(self.roots) + 1)).log()


def _from_tensors(tensors: Mapping[str, Tensor], *, features: int, outputs: int) -> Forest:
    if int(tensors["feature"].max()) >= features:
        raise ValueError(f"its trees look at features beyond {features}")
    return Forest(**tensors, outputs=outputs)


HEADS.add("forest", HeadKind(Forest, _from_tensors, ("feature", "threshold", "distributions")))
