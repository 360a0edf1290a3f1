"""What becomes of objects that an image's edge cuts off."""

from torch import Tensor

from convolve.data.boxes.targets import DIFFICULT, KIND, NOTHING, OBJECT

LEAST_LEFT = 0.3
"""Share of an object's area: of less nobody can say what it is, so it shall neither be found nor count as ground."""


def keep_what_is_left(rows: Tensor, corners: Tensor, whole_areas: Tensor) -> Tensor:
    """Target rows with the corners that the image's edge has left them.

    Args:
        rows: (..., 6) of `targets`.
        corners: (..., 4) what is left of each within the image; without area where nothing is.
        whole_areas: (...) of each before it was cut off.

    Returns:
        (..., 6): objects of which less than `LEAST_LEFT` is left are difficult, those of which nothing is left are
        zeros and `NOTHING`. Crowds stay crowds.
    """
    areas = (corners[..., 2:] - corners[..., :2]).clamp(min=0).prod(dim=-1)
    left = rows.clone()
    left[..., :4] = corners
    stump = (areas < LEAST_LEFT * whole_areas) & (rows[..., KIND] == OBJECT)
    left[..., KIND] = left[..., KIND].masked_fill(stump, DIFFICULT)
    gone = (areas <= 0) | (rows[..., KIND] == NOTHING)
    left[gone] = 0
    left[..., KIND] = left[..., KIND].masked_fill(gone, NOTHING)
    return left


def cut_rows(rows: Tensor, corner_yx: tuple[int, int], hw: tuple[int, int]) -> Tensor:
    """(m, 6) target rows as a window has them that is cut from their image, in pixels of the window.

    Args:
        rows: of `targets`.
        corner_yx: top and left of the window, pixels of the image.
        hw: its height and width.
    """
    top, left = corner_yx
    shifted = rows[:, :4] - rows.new_tensor([left, top, left, top])
    corners = shifted.clamp(min=0).minimum(rows.new_tensor([hw[1], hw[0], hw[1], hw[0]]))
    whole = (shifted[:, 2:] - shifted[:, :2]).prod(dim=1)
    cut = keep_what_is_left(rows, corners, whole)
    return cut[cut[:, KIND] != NOTHING]
