"""Augmentations that suit a kind of image, each as a recipe would write it."""

from collections.abc import Mapping
from typing import Any

from convolve.errors import unknown_name

PRESETS: dict[str, dict[str, Any]] = {
    # Nothing moves, nothing changes.
    "none": {},
    # Handwriting and print: slightly turned, sized and placed; a mirrored digit is another sign or none.
    "digits": {"rotate": 12.0, "scale": 0.1, "translate": 0.1, "shear": 8.0},
    # Things as people photograph them: upright, at any distance, in any light.
    "photos": {
        "crop": {"area": 0.5},
        "flip_horizontal": True,
        "brightness": 0.2,
        "contrast": 0.2,
        "saturation": 0.2,
    },
    # Places that are labelled pixel by pixel: upright, near and far, in any light.
    "scenes": {"flip_horizontal": True, "scale": 0.25, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2},
    # Things that are framed by boxes: upright, a little nearer or farther, in any light.
    "objects": {
        "flip_horizontal": True,
        "scale": 0.2,
        "translate": 0.1,
        "brightness": 0.2,
        "contrast": 0.2,
        "saturation": 0.2,
    },
    # The same without up and left: cells, land from above.
    "objects_symmetric": {
        "flip_horizontal": True,
        "flip_vertical": True,
        "quarter_turns": True,
        "scale": 0.2,
        "translate": 0.1,
        "brightness": 0.2,
        "contrast": 0.2,
        "saturation": 0.2,
    },
    # Cells, tissue, surfaces, land from above: no up and no left, but a scale that means something.
    "symmetric": {
        "flip_horizontal": True,
        "flip_vertical": True,
        "quarter_turns": True,
        "brightness": 0.1,
        "contrast": 0.1,
    },
    # Pre-training without labels: two views shall have in common what the image shows, and as little else as can be.
    "views_of_digits": {"rotate": 15.0, "shear": 15.0, "crop": {"area": 0.5}, "contrast": 0.4},
    "views_of_photos": {
        "crop": {"area": 0.2},
        "flip_horizontal": True,
        "brightness": 0.4,
        "contrast": 0.4,
        "saturation": 0.4,
        "hue": 0.1,
    },
}


def preset_of_views(*, channels: int, image_hw: tuple[int, int]) -> str:
    """The preset that pre-training draws views from, by the kind of images: small grey ones are taken for characters.

    Args:
        channels: 1 or 3.
        image_hw: pixels.
    """
    return "views_of_digits" if channels == 1 and max(image_hw) <= 32 else "views_of_photos"


def with_preset(augment: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's `augment` table with its preset written out: what the table itself says takes the preset's place.

    Raises:
        UserError: no preset is called so.

    >>> with_preset({"preset": "digits", "rotate": 5.0, "shear": False})
    {'rotate': 5.0, 'scale': 0.1, 'translate': 0.1, 'shear': False}
    """
    own = dict(augment)
    name = own.pop("preset", "none")
    if name not in PRESETS:
        raise unknown_name("augmentation preset", str(name), PRESETS)
    return PRESETS[name] | own
