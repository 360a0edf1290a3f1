"""A model for masks as the beginning of another training: its backbone under the names that its architecture has."""

from pathlib import Path

from torch import Tensor

from convolve.data.pixel_preprocessing import PixelPreprocessing
from convolve.deploy.segmentation.model import is_segmentation
from convolve.errors import UserError
from convolve.networks.pretrained import Weights
from convolve.networks.score_maps.building import build_network, build_pixel_network
from convolve.randomness import torch_randomness
from convolve.run.tensors import read_card, read_tensors


def weights_of_segmentation(path: Path) -> Weights | None:
    """What is known of a model for masks as a start for other trainings; None if the file is anything else.

    Raises:
        UserError: it is one, and its description is damaged.
    """
    try:
        card = read_card(path, "model")
    except UserError:
        return None
    if not is_segmentation(card):
        return None
    try:
        preprocessing = PixelPreprocessing.model_validate(card["preprocessing"])
        network, facts = card["network"], card["facts"]
        name, options, side = network["name"], network["options"], max(map(int, network["image_hw"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: its description is damaged ({error})", "Restore it from a copy.") from error
    # Of more bands than three, those that stand for red, green and blue in pictures too.
    told = 3 if preprocessing.channels >= 3 else 1
    return Weights(
        name=str(path),
        architecture=name,
        options=options,
        source="a training of convolve's",
        licence=facts.get("data_licence", ""),
        trained_on=facts.get("data", "unknown images"),
        mean=preprocessing.mean[:told],
        std=preprocessing.std[:told],
        sides=(side,),
        how_to_get="",
        at_hand=path.exists,
        load=lambda: _backbone_tensors(path),
    )


def _backbone_tensors(path: Path) -> dict[str, Tensor]:
    """Those that the network for masks uses: its layers are the backbone's own, in another order and by other names."""
    tensors, card = read_tensors(path, "model")
    described, rung = card["network"], card["network"]["score_map"]
    height, width = map(int, described["image_hw"])
    outputs, channels = len(card["task"]["classes"]), int(card["preprocessing"]["channels"])
    # What is drawn here is overwritten, and must not move what others draw.
    with torch_randomness(0, "weights"):
        network = build_network(
            described["name"], described["options"], outputs=outputs, channels=channels, image_hw=(height, width)
        )
        around = build_pixel_network(
            rung["name"], rung["options"], network, outputs=outputs, channels=channels, image_hw=(height, width)
        )
    try:
        around.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(
            f"{path}: its weights do not fit its network '{described['name']}'", "Restore it from a copy."
        ) from error
    # By where they are stored: fully connected layers may have become convolutions over the same numbers.
    used = {tensor.data_ptr() for tensor in around.state_dict().values()}
    return {name: tensor for name, tensor in network.backbone.state_dict().items() if tensor.data_ptr() in used}
