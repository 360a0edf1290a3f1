import numpy as np
import pytest
import torch
from scipy import stats

from convolve.data.augment.augmentation import build_augmentation
from convolve.data.augment.transforms.random_erasing import RandomErasing
from convolve.errors import UserError
from convolve.randomness import uniforms


def erased(transform: RandomErasing, *, image_hw: tuple[int, int] = (32, 32), count: int = 600) -> torch.Tensor:
    outside = torch.full((count, 3, *image_hw), 2.0)  # a value that nothing is overwritten with
    return transform.apply(outside, uniforms(0, rows=np.arange(count), count=6))


@pytest.mark.parametrize("image_hw", [(32, 32), (12, 40), (1, 9)])
def test_it_is_one_whole_rectangle_of_the_area_asked_for(image_hw: tuple[int, int]) -> None:
    for image in erased(RandomErasing(probability=1), image_hw=image_hw, count=200):
        gone = (image != 2).all(dim=0)
        assert torch.equal(gone, (image != 2).any(dim=0))
        height, width = int(gone.any(dim=1).sum()), int(gone.any(dim=0).sum())
        assert gone.sum() == height * width
        assert (height - 0.5) * (width - 0.5) <= 0.4 * image_hw[0] * image_hw[1] + 0.5
        assert (height + 0.5) * (width + 0.5) >= 0.02 * image_hw[0] * image_hw[1]


def test_so_many_images_lose_one() -> None:
    share = (erased(RandomErasing(probability=0.3)) != 2).any(dim=(1, 2, 3)).float().mean()
    assert share == pytest.approx(0.3, abs=0.06)
    assert (erased(RandomErasing(probability=0)) == 2).all()


def test_every_place_is_reached() -> None:
    often = (erased(RandomErasing(probability=1), image_hw=(8, 8), count=3000) != 2).float().mean(dim=(0, 1))
    assert often.min() > 0
    assert torch.allclose(often, often.flip(-1), atol=0.05)
    assert torch.allclose(often, often.mT, atol=0.05)


def test_values_are_uniform_and_every_images_own() -> None:
    images = erased(RandomErasing(probability=1))
    values = images[images != 2].numpy()
    assert stats.kstest(values[:20_000], "uniform").pvalue > 1e-3
    assert len(np.unique(values)) > 0.9 * len(values)


def test_a_smallest_area_above_the_largest_is_refused() -> None:
    with pytest.raises(UserError, match=r"smallest=0.5 is larger than largest=0.4[\s\S]*smallest <= largest"):
        build_augmentation({"random_erasing": {"smallest": 0.5}}, fill=(0, 0, 0))
