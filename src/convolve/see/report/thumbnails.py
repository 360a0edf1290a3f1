"""Images inside a page."""

from base64 import b64encode
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Below this side an image is a drawing of pixels: kept exactly, and enlarged by the browser without smoothing.
_PIXEL_ART = 64
_SIDE = 160


def shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image whose longer side is at most 160 pixels, in its own shape.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3) uint8, grey or RGB.

    Returns:
        (h, w) or (h, w, 3) uint8.
    """
    picture = Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image)
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def data_uri(image: NDArray[np.uint8], *, shrunk: bool = True) -> str:
    """An image as a data URI for `src`.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3) uint8, grey or RGB.
        shrunk: whether to bring it to 160 pixels first.

    Returns:
        A PNG of images up to 64 pixels, a JPEG of larger ones.
    """
    picture, small = Image.fromarray(shrink(image) if shrunk else image), is_pixel_art(image)
    buffer = BytesIO()
    if small:
        picture.save(buffer, "PNG")
    else:
        picture.save(buffer, "JPEG", quality=85)
    return f"data:image/{'png' if small else 'jpeg'};base64,{b64encode(buffer.getvalue()).decode()}"


def is_pixel_art(image: NDArray[np.uint8]) -> bool:
    """Whether an image is so small that its pixels should stay visible."""
    height: int = image.shape[0]
    width: int = image.shape[1]
    return max(height, width) <= _PIXEL_ART
