"""A model that finds objects as the beginning of another training: its backbone under its architecture's names."""

from pathlib import Path

from torch import Tensor

from convolve.data.box_preprocessing import BoxPreprocessing
from convolve.deploy.detection.model import is_detection
from convolve.errors import UserError
from convolve.networks.detection.anchors import AnchorShapes
from convolve.networks.detection.building import build_detector
from convolve.networks.pretrained import Weights
from convolve.networks.score_maps.building import build_network
from convolve.randomness import torch_randomness
from convolve.run.tensors import read_card, read_tensors


def weights_of_detection(path: Path) -> Weights | None:
    """What is known of a model that finds objects as a start for other trainings; None if the file is anything else.

    Raises:
        UserError: it is one, and its description is damaged.
    """
    try:
        card = read_card(path, "model")
    except UserError:
        return None
    if not is_detection(card):
        return None
    try:
        preprocessing = BoxPreprocessing.model_validate(card["preprocessing"])
        network, facts = card["network"], card["facts"]
        name, options, side = network["name"], network["options"], max(map(int, network["image_hw"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: its description is damaged ({error})", "Restore it from a copy.") from error
    return Weights(
        name=str(path),
        architecture=name,
        options=options,
        source="a training of convolve's",
        licence=facts.get("data_licence", ""),
        trained_on=facts.get("data", "unknown images"),
        mean=preprocessing.mean,
        std=preprocessing.std,
        sides=(side,),
        how_to_get="",
        at_hand=path.exists,
        load=lambda: _backbone_tensors(path),
    )


def _backbone_tensors(path: Path) -> dict[str, Tensor]:
    """Those that the detector uses: its layers are the backbone's own, in another order and by other names."""
    tensors, card = read_tensors(path, "model")
    described, rung, shapes = card["network"], card["network"]["detector"], card["network"]["anchors"]
    height, width = map(int, described["image_hw"])
    classes, channels = len(card["task"]["classes"]), int(card["preprocessing"]["channels"])
    # What is drawn here is overwritten, and must not move what others draw.
    with torch_randomness(0, "weights"):
        network = build_network(
            described["name"], described["options"], outputs=classes, channels=channels, image_hw=(height, width)
        )
        around = build_detector(
            rung["name"],
            rung["options"],
            network,
            classes=classes,
            channels=channels,
            image_hw=(height, width),
            anchors=AnchorShapes(sizes=tuple(shapes["sizes"]), ratios=tuple(shapes["ratios"])),
        )
    try:
        around.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(
            f"{path}: its weights do not fit its network '{described['name']}'", "Restore it from a copy."
        ) from error
    # By where they are stored, as in a model for masks: names differ, and layers that are not used keep fresh values.
    used = {tensor.data_ptr() for tensor in around.state_dict().values()}
    return {name: tensor for name, tensor in network.backbone.state_dict().items() if tensor.data_ptr() in used}
