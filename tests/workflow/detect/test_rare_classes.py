import numpy as np
import pytest

from convolve.data.dataset import Box, Boxes, Dataset, Sample
from convolve.data.scaled_pack import ScaledPack, pack_scaled
from convolve.recipe.file import make_recipe
from convolve.workflow.detect.choices import visits_of_images


@pytest.fixture
def dataset() -> Dataset:
    """100 images of 32 x 32: all show class 0, four also class 1, one class 2; the last shows nothing."""

    def sample(number: int) -> Sample:
        labels = [0] * (number < 99) + [1] * (number < 4) + [2] * (number == 0)
        objects = tuple(Box(label, (2.0, 2.0, 20.0, 20.0)) for label in labels)
        return Sample(str(number), np.full((32, 32, 3), number, np.uint8), Boxes((32, 32), objects))

    return Dataset("drawn", "arrays", ("a", "b", "c"), tuple(sample(number) for number in range(100)))


@pytest.fixture
def pack(dataset: Dataset) -> ScaledPack:
    return pack_scaled(dataset, hashes=[f"{number:032x}" for number in range(100)], side=32)


# Worked by hand: sqrt(0.16 / 0.04) = 2 and sqrt(0.16 / 0.01) = 4; an image is shown as often as its rarest class.
@pytest.mark.parametrize(("rare", "visits"), [(0.16, [4, 2, 2, 2, 1]), (0.0, [1, 1, 1, 1, 1])])
def test_images_with_rare_classes_are_shown_more_often(
    dataset: Dataset, pack: ScaledPack, rare: float, visits: list[int]
) -> None:
    recipe = make_recipe({"data": {"path": "drawn"}, "detect": {"crop": 32, "rare": rare}})
    found = visits_of_images(recipe, dataset, pack, np.arange(100))
    assert found[:5].tolist() == visits
    assert set(found[4:].tolist()) == {1}
