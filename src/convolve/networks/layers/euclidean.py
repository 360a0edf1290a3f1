"""Output units that measure how far the features are from a fixed code of each class."""

import torch
from torch import Tensor, nn

from convolve.randomness import numpy_generator

# 7 x 12 pixels; drawn after figure 3 of the paper, stylised like it.
_DIGITS = (
    ".......|..###..|.#...#.|#.....#|#.....#|#.....#|#.....#|#.....#|#.....#|.#...#.|..###..|.......",
    "...##..|..###..|.#.##..|...##..|...##..|...##..|...##..|...##..|...##..|...##..|.######|.......",
    ".......|.#####.|#.....#|......#|......#|.....#.|....#..|..##...|.#.....|#......|#######|.......",
    "#######|......#|.....#.|....#..|...##..|.....#.|......#|......#|......#|#.....#|.#####.|.......",
    ".......|.....#.|....##.|...#.#.|..#..#.|.#...#.|#....#.|#######|.....#.|.....#.|.....#.|.......",
    "#######|#......|#......|#......|######.|......#|......#|......#|......#|#.....#|.#####.|.......",
    "...###.|..#....|.#.....|#......|#.###..|##...#.|#.....#|#.....#|#.....#|.#...#.|..###..|.......",
    "#######|......#|......#|.....#.|.....#.|....#..|....#..|...#...|...#...|..#....|..#....|.......",
    ".......|..###..|.#...#.|#.....#|.#...#.|..###..|.#...#.|#.....#|#.....#|#.....#|.#####.|.......",
    ".......|..###..|.#...#.|#.....#|#.....#|.#...##|..###.#|......#|......#|.....#.|..###..|.......",
)
CODE_LENGTH = 84


def digit_codes() -> Tensor:
    """(10, 84) float32 in {-1, +1}: the digits 0 to 9 as bitmaps of 7 x 12 pixels, row by row; ink is +1."""
    pixels = [[1.0 if pixel == "#" else -1.0 for pixel in digit.replace("|", "")] for digit in _DIGITS]
    return torch.tensor(pixels)


def class_codes(classes: int) -> Tensor:
    """(K, 84) float32 in {-1, +1}: the digits' bitmaps for up to ten classes, otherwise random, always the same.

    Random codes of 84 bits differ in 42 of them, give or take 5: as far apart as codes of many classes can be hoped to.
    """
    if classes <= len(_DIGITS):
        return digit_codes()[:classes]
    bits = numpy_generator("euclidean output codes").integers(0, 2, size=(classes, CODE_LENGTH))
    return torch.from_numpy(2.0 * bits - 1.0).float()


class EuclideanOutput(nn.Module):
    """Minus the squared distance of the features to each class's code; nothing in it is trained.

    The paper's y_i = sum_j (x_j - w_ij)^2 is a penalty; its negative is a logit, so that softmax and the negative
    log-likelihood of it are the paper's discriminative loss without the constant j.

    Args:
        codes: (K, D), the centre of each class.

    Source: LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 86 (1998), sections II.B and II.C.
    """

    codes: Tensor

    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        self.register_buffer("codes", codes)

    def forward(self, features: Tensor) -> Tensor:
        """(N, D) -> (N, K), at most 0."""
        return -(features[:, None, :] - self.codes).square().sum(dim=2)
