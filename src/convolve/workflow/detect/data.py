"""A data set with boxes, decoded and divided."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convolve.data.boxes.proposals import Proposals, propose_all
from convolve.data.dataset import Boxes
from convolve.data.scaled_pack import ScaledPack, pack_scaled
from convolve.errors import UserError
from convolve.networks.detectors import DETECTORS
from convolve.progress import Progress
from convolve.recipe.schema import Recipe
from convolve.workflow.data import Divided, Opened, divide


@dataclass(frozen=True, kw_only=True)
class PreparedBoxes(Divided):
    """A data set with boxes, ready for training.

    Attributes:
        pack: images at the size of the network's input, and their boxes.
        proposals: regions for detectors that must be given them; None for others.
    """

    pack: ScaledPack
    proposals: Proposals | None

    def truth(self, row: int) -> Boxes:
        """The objects of an image, in its own pixels."""
        target = self.dataset.samples[row].target
        assert isinstance(target, Boxes)  # noqa: S101
        return target

    @property
    def most_objects(self) -> int:
        """Of an image; at least 1."""
        return max([1, *(len(self.truth(row).objects) for row in range(len(self.dataset.samples)))])

    def regions(self, *, most: int) -> "Regions | None":
        """The proposals at the input's scale; None where there are none."""
        return None if self.proposals is None else Regions(self.proposals, self.pack, most)


class Regions:
    """Proposals of each image at the size of the network's input.

    Args:
        proposals: in pixels of the images.
        pack: the images' sizes before and after.
        most: of an image; their order is one of chance, so that the first ones are a fair sample.
    """

    def __init__(self, proposals: Proposals, pack: ScaledPack, most: int) -> None:
        self._proposals = proposals
        self._pack = pack
        self._most = most

    def __call__(self, row: int) -> NDArray[np.float32]:
        """(R, 4) left, top, right, bottom."""
        height, width = self._pack.hw[row] / self._pack.original_hw[row]
        boxes = self._proposals.of(row)[: self._most]
        scaled: NDArray[np.float32] = (boxes * (width, height, width, height)).astype(np.float32)
        return scaled


def prepare_boxes(recipe: Recipe, opened: Opened, progress: Progress) -> PreparedBoxes:
    """The data as a recipe with its splits and its side chosen divides it, decoded; with proposals where needed.

    Raises:
        UserError: no image can be used, or the shares leave nothing to train on.
    """
    assert isinstance(recipe.folds, int)  # noqa: S101
    assert isinstance(recipe.data.validation, float)  # noqa: S101
    assert isinstance(recipe.data.test, float)  # noqa: S101
    assert recipe.detect.side != "auto"  # noqa: S101
    pack = pack_scaled(opened.dataset, hashes=opened.hashes, side=recipe.detect.side, progress=progress)
    if len(pack.usable) == 0:
        raise UserError(
            f"{opened.dataset.name}: none of its images can be used: {next(iter(pack.broken.values()))}",
            "`convolve look DATA` lists what is wrong with each.",
        )
    splits = divide(
        opened, seed=recipe.seed, folds=recipe.folds, validation=recipe.data.validation, test=recipe.data.test
    )
    rung, proposals = recipe.detect.name, None
    if rung != "auto" and DETECTORS[rung].takes_regions:
        # In the order that predicting has, whatever the recipe's seed: of many, others would be left out.
        proposals = propose_all(opened.dataset, opened.hashes, mode=recipe.detect.proposals, progress=progress)
    usable = np.array([row not in pack.broken for row in range(len(opened.dataset.samples))])
    return PreparedBoxes(
        dataset=opened.dataset,
        hashes=opened.hashes,
        broken=pack.broken,
        usable=usable,
        splits=splits,
        pack=pack,
        proposals=proposals,
    )
