from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from convolve.networks.heads.neighbours import Neighbours
from convolve.training.classifiers import CLASSIFIERS, Setting
from convolve.training.task import Task

# From many, which are smooth, to few.
_VOTERS = (40, 20, 10, 5, 3, 1)


@final
class NearestNeighbours:
    """The votes of the k images with the most similar features, by the cosine of the angle between them.

    It answers what scikit-learn's KNeighborsClassifier(metric="cosine") does. Class weights do not count.
    """

    in_words = "a vote of nearest neighbours"
    several_labels = False
    in_order = True

    def settings(self, *, images: int, features: int) -> list[Setting]:
        """k, at most the number of images, from many to few."""
        return [{"k": k} for k in _VOTERS if k <= images]

    def fitter(
        self, features: Tensor, targets: Tensor, task: Task, *, exact: bool = False
    ) -> Callable[[Setting], Neighbours]:
        """Nothing is fitted: the images are remembered."""
        classes, labels = torch.unique(targets, return_inverse=True)

        def fit(setting: Setting) -> Neighbours:
            k = torch.tensor(int(setting["k"]))
            return Neighbours(vectors=features, labels=labels, k=k, classes=classes, outputs=task.outputs)

        return fit


CLASSIFIERS.add("nearest-neighbours", NearestNeighbours())
