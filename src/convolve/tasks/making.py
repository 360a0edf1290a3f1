"""Which task a data set asks for, and tasks as plain values in a model file."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convolve.data.dataset import Dataset, class_counts
from convolve.errors import UserError
from convolve.tasks.classify.one_label import OneLabel
from convolve.tasks.classify.several_labels import SeveralLabels
from convolve.training.task import Task

_FORMS: dict[str, type[OneLabel] | type[SeveralLabels]] = {"one label": OneLabel, "several labels": SeveralLabels}


def task_of(dataset: Dataset, *, train: NDArray[np.int64], class_weights: str, label_smoothing: float) -> Task:
    """The task for a data set's kind of targets.

    Args:
        dataset: its first sample tells.
        train: rows of the training images, whose counts make the class weights.
        class_weights: "none", "balanced" (all classes count alike) or "sqrt" (weights with the root of that).
        label_smoothing: share of the target spread over all classes.

    Raises:
        UserError: label smoothing with several labels an image.
    """
    if dataset.several_labels:
        if label_smoothing:
            raise UserError("loss.label_smoothing is for one label an image", "These images have several; set it to 0.")
        return SeveralLabels(dataset.classes)
    weights = None
    if class_weights != "none":
        counts = class_counts((dataset.samples[row] for row in train), len(dataset.classes))
        weights = weights_of_classes(counts, power={"balanced": 1.0, "sqrt": 0.5}[class_weights])
    return OneLabel(dataset.classes, class_weights=weights, label_smoothing=label_smoothing)


def weights_of_classes(counts: NDArray[np.int64], *, power: float) -> Tensor:
    """(K,) float32 weights that fall with the number of images to some power; their mean over the images is 1.

    A class without images has weight 0.

    >>> [round(weight, 3) for weight in weights_of_classes(np.array([1, 4]), power=0.5).tolist()]
    [1.667, 0.833]
    """
    weights = np.divide(1.0, counts**power, out=np.zeros(len(counts)), where=counts > 0)
    return torch.from_numpy(weights * counts.sum() / (weights * counts).sum()).float()


def describe_task(task: Task) -> dict[str, Any]:
    """What `make_task` needs to make the task again, as plain JSON values."""
    form = next(form for form, kind in _FORMS.items() if isinstance(task, kind))
    return {"name": task.name, "form": form, "classes": list(task.classes)}


def make_task(description: Mapping[str, Any]) -> Task:
    """The task that `describe_task` described.

    Raises:
        KeyError: a part of the description is missing, or the task is unknown.
    """
    return _FORMS[description["form"]](description["classes"])
