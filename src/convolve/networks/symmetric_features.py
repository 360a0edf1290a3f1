"""Features that do not change when an image is mirrored or turned, where that changes nothing about what it shows."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from convolve.errors import UserError

Symmetry: TypeAlias = Literal["none", "mirror", "flips", "turns"]

_Move: TypeAlias = Callable[[Tensor], Tensor]


def _same(images: Tensor) -> Tensor:
    return images


def _left_right(images: Tensor) -> Tensor:
    return images.flip(-1)


def _up_down(images: Tensor) -> Tensor:
    return images.flip(-2)


def _half_turn(images: Tensor) -> Tensor:
    return images.flip(-2, -1)


def _then_transposed(move: _Move) -> _Move:
    return lambda images: move(images).transpose(-2, -1)


def _transposed_then(move: _Move) -> _Move:
    return lambda maps: move(maps.transpose(-2, -1))


_FLIPS: tuple[_Move, ...] = (_same, _left_right, _up_down, _half_turn)
_MOVES: dict[Symmetry, tuple[_Move, ...]] = {
    "none": (_same,),
    "mirror": (_same, _left_right),
    "flips": _FLIPS,
    # With the four flips, their transposed forms are all eight symmetries of the square.
    "turns": (*_FLIPS, *(_then_transposed(move) for move in _FLIPS)),
}
# What puts each copy back: flips undo themselves.
_BACK: dict[Symmetry, tuple[_Move, ...]] = {
    **{symmetry: moves for symmetry, moves in _MOVES.items() if symmetry != "turns"},
    "turns": (*_FLIPS, *(_transposed_then(move) for move in _FLIPS)),
}


def symmetry_in_words(symmetry: Symmetry) -> str:
    """What features are then, for a sentence.

    >>> symmetry_in_words("turns")
    'means over 8 mirrored or turned copies of each image'
    """
    return f"means over {len(_MOVES[symmetry])} mirrored or turned copies of each image"


class SymmetricFeatures(nn.Module):
    """The mean of a backbone's features over mirrored and turned copies of an image.

    A mean over all elements of a group of symmetries is the same for an image and its copies, so a classifier need not
    learn that from examples: Cohen and Welling, "Group Equivariant Convolutional Networks", ICML 2016, section 6;
    summing over views of frozen features: Razavian et al., "CNN Features off-the-shelf", 2014, section 3.

    Args:
        backbone: (N, C, H, W) -> (N, D).
        symmetry: "mirror" (left and right), "flips" (also up and down) or "turns" (also quarter turns); as many times
            the work: 2, 4 or 8.
    """

    def __init__(self, backbone: nn.Module, symmetry: Symmetry) -> None:
        super().__init__()
        self.backbone = backbone
        self.symmetry: Symmetry = symmetry

    def extra_repr(self) -> str:
        """Tells it from another on the same backbone."""
        return f"symmetry={self.symmetry!r}"

    def forward(self, images: Tensor) -> Tensor:
        """(N, D) features of (N, C, H, W) images; quarter turns ask for H = W.

        Raises:
            UserError: quarter turns of images that are not square.
        """
        if self.symmetry == "turns" and images.shape[2] != images.shape[3]:
            raise UserError("quarter turns need square images", 'Give start.options.symmetry="flips".')
        moves = _MOVES[self.symmetry]
        # One pass over all copies: the network stands once in what an engine converts.
        features: Tensor = self.backbone(torch.cat([move(images) for move in moves]))
        return features.view(len(moves), len(images), -1).mean(dim=0)

    def moved_back(self, maps: Tensor) -> Tensor:
        """The mean of maps of an image's copies, each moved back to where the image has what it shows.

        Args:
            maps: (M N, ..., h, w), in the order in which `forward` gives the copies to the backbone.

        Returns:
            (N, ..., h, w).
        """
        copies = maps.view(len(_BACK[self.symmetry]), -1, *maps.shape[1:])
        back = [move(copy) for move, copy in zip(_BACK[self.symmetry], copies, strict=True)]
        return torch.stack(back).mean(dim=0)
