"""A data set with masks, decoded and divided."""

from dataclasses import dataclass

import numpy as np

from convolve.data.native_pack import NativePack, pack_native
from convolve.errors import UserError
from convolve.progress import Progress
from convolve.recipe.schema import Recipe
from convolve.workflow.data import Divided, Opened, divide


@dataclass(frozen=True, kw_only=True)
class PreparedMasks(Divided):
    """A data set with masks, ready for training.

    Attributes:
        pack: images and masks in their own sizes.
    """

    pack: NativePack


def prepare_masks(recipe: Recipe, opened: Opened, progress: Progress) -> PreparedMasks:
    """The data as a recipe with its splits chosen divides it, decoded.

    Raises:
        UserError: no image can be used, or the shares leave nothing to train on.
    """
    assert isinstance(recipe.folds, int)  # noqa: S101
    assert isinstance(recipe.data.validation, float)  # noqa: S101
    assert isinstance(recipe.data.test, float)  # noqa: S101
    bands = None if recipe.data.bands == "auto" else tuple(recipe.data.bands)
    pack = pack_native(opened.dataset, hashes=opened.hashes, bands=bands, progress=progress)
    if len(pack.usable) == 0:
        raise UserError(
            f"{opened.dataset.name}: none of its images can be used: {next(iter(pack.broken.values()))}",
            "`convolve look DATA` lists what is wrong with each.",
        )
    splits = divide(
        opened, seed=recipe.seed, folds=recipe.folds, validation=recipe.data.validation, test=recipe.data.test
    )
    usable = np.array([row not in pack.broken for row in range(len(opened.dataset.samples))])
    return PreparedMasks(
        dataset=opened.dataset, hashes=opened.hashes, broken=pack.broken, usable=usable, splits=splits, pack=pack
    )
