import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from convolve.networks.detection.warping import warp_regions


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_a_box_of_195_pixels_is_cut_out_with_16_pixels_of_context_and_not_scaled() -> None:
    images = noise(1, 3, 301, 407)
    cut = warp_regions(images, [torch.tensor([[100.0, 60.0, 295.0, 255.0]])], side=227, context=16)
    assert torch.equal(cut[0], images[0, :, 44:271, 84:311])


def test_without_context_the_whole_of_an_image_of_that_size_is_itself() -> None:
    images = noise(2, 1, 33, 33)
    box = torch.tensor([[0.0, 0.0, 33.0, 33.0]])
    assert torch.equal(warp_regions(images, [box, box], side=33, context=0), images)


def test_outside_of_the_image_is_zero_and_its_edge_is_not_dimmed() -> None:
    images = torch.ones(1, 1, 8, 8)
    cut = warp_regions(images, [torch.tensor([[-4.0, 0.0, 4.0, 8.0]])], side=16, context=0)
    assert torch.equal(cut[0, 0, :, :8], torch.zeros(16, 8))
    assert torch.equal(cut[0, 0, :, 8:], torch.ones(16, 8))


@given(st.integers(0, 30), st.integers(0, 20), st.integers(1, 25), st.integers(1, 25), st.integers(2, 40))
def test_enlarging_is_what_pillow_calls_bilinear(left: int, top: int, width: int, height: int, side: int) -> None:
    """Pillow smooths where it shrinks, and it knows nothing of what is around a box: so up, away from its edge."""
    side = max(side, width, height)
    pixels = noise(1, 1, 45, 55)
    cut = warp_regions(pixels, [torch.tensor([[left, top, left + width, top + height]]).float()], side=side, context=0)
    image = Image.fromarray(pixels[0, 0].numpy())
    box = (left, top, left + width, top + height)
    expected = np.asarray(image.crop(box).resize((side, side), Image.Resampling.BILINEAR))
    rows = slice(*_away_from_the_edge(side, height))
    columns = slice(*_away_from_the_edge(side, width))
    np.testing.assert_allclose(cut[0, 0, rows, columns].numpy(), expected[rows, columns], atol=1e-4)


def _away_from_the_edge(side: int, length: int) -> tuple[int, int]:
    half_a_pixel = -(-side // (2 * length)) + 1
    return half_a_pixel, max(half_a_pixel, side - half_a_pixel)


def test_a_square_keeps_the_aspect_of_what_it_shows() -> None:
    images = noise(1, 1, 64, 64)
    tall = torch.tensor([[28.0, 12.0, 36.0, 52.0]])
    cut = warp_regions(images, [tall], side=40, context=0, shape="square")
    assert torch.equal(cut[0], images[0, :, 12:52, 12:52])


def test_what_is_cut_out_is_in_the_order_of_the_images_and_their_regions() -> None:
    images = torch.arange(3.0)[:, None, None, None].expand(3, 1, 10, 10) + 1
    box = torch.tensor([[2.0, 2.0, 8.0, 8.0]])
    cut = warp_regions(images, [box, box[:0], box.repeat(2, 1)], side=4, context=0)
    assert cut.mean(dim=(1, 2, 3)).tolist() == [1, 3, 3]
    assert warp_regions(images, [box[:0]] * 3, side=4, context=0).shape == (0, 1, 4, 4)


@pytest.mark.parametrize("context", [0, 3])
def test_a_box_without_area_gives_finite_numbers(context: int) -> None:
    images = noise(1, 1, 10, 10)
    cut = warp_regions(images, [torch.tensor([[5.0, 5.0, 5.0, 5.0]])], side=8, context=context)
    assert bool(cut.isfinite().all())
