from collections.abc import Callable
from typing import final

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor

from convolve.networks.heads.forest import Forest
from convolve.training.classifiers import CLASSIFIERS, Setting
from convolve.training.task import Task

_TREES = 200
# From smooth to fine.
_LEAF_IMAGES = (20, 10, 5, 2, 1)


@final
class RandomForest:
    """Decision trees on random images and features (scikit-learn's RandomForestClassifier).

    The same features give the same forest: its random numbers are always the same. Class weights count.
    """

    in_words = "a random forest"
    several_labels = False
    in_order = True

    def settings(self, *, images: int, features: int) -> list[Setting]:
        """The fewest images in a leaf, from many to few."""
        return [{"images in a leaf": fewest} for fewest in _LEAF_IMAGES if 2 * fewest <= images]

    def fitter(
        self, features: Tensor, targets: Tensor, task: Task, *, exact: bool = False
    ) -> Callable[[Setting], Forest]:
        """Fits from the start each time."""
        weights = task.image_weights(targets).numpy()

        def fit(setting: Setting) -> Forest:
            forest = RandomForestClassifier(
                _TREES, min_samples_leaf=int(setting["images in a leaf"]), n_jobs=-1, random_state=0
            )
            forest.fit(features.numpy(), targets.numpy(), sample_weight=weights)
            return head_of(forest, outputs=task.outputs)

        return fit


def head_of(forest: RandomForestClassifier, *, outputs: int) -> Forest:
    """The head that computes what a fitted forest does.

    Args:
        forest: fitted; its classes are numbers of outputs.
        outputs: K.
    """
    trees = [tree.tree_ for tree in forest.estimators_]
    sizes = np.array([tree.node_count for tree in trees])
    roots = sizes.cumsum() - sizes

    def children(side: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        below = [getattr(tree, side) for tree in trees]
        return np.concatenate([np.where(own < 0, -1, own + root) for own, root in zip(below, roots, strict=True)])

    feature = np.concatenate([tree.feature for tree in trees])
    distributions, shares = np.unique(np.concatenate([tree.value[:, 0] for tree in trees]), axis=0, return_inverse=True)
    left = children("children_left")
    return Forest(
        roots=torch.tensor(roots, dtype=torch.int32),
        left=torch.tensor(left, dtype=torch.int32),
        right=torch.tensor(children("children_right"), dtype=torch.int32),
        feature=torch.tensor(np.where(left < 0, -1, feature), dtype=torch.int32),
        threshold=torch.tensor(np.concatenate([tree.threshold for tree in trees])),
        shares=torch.tensor(shares, dtype=torch.int32),
        distributions=torch.tensor(distributions),
        classes=torch.tensor(forest.classes_),
        outputs=outputs,
    )


CLASSIFIERS.add("random-forest", RandomForest())
