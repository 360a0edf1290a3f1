"""A model file of any task."""

from pathlib import Path
from typing import TypeAlias

from convolve.deploy.detection.model import DetectionModel, is_detection, load_detection_model
from convolve.deploy.model import Model, load_model
from convolve.deploy.segmentation.model import SegmentationModel, is_segmentation, load_segmentation_model
from convolve.run.tensors import read_card

AnyModel: TypeAlias = Model | SegmentationModel | DetectionModel


def load_any_model(path: Path) -> AnyModel:
    """The model in a file; nothing in it is executed.

    Raises:
        UserError: the file is no model of convolve's, or damaged.
    """
    card = read_card(path, "model")
    if is_segmentation(card):
        return load_segmentation_model(path)
    return load_detection_model(path) if is_detection(card) else load_model(path)
