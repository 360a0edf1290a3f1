import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convolve.errors import UserError
from convolve.networks.patch_margin import mirror_margin, patch_side


@given(height=st.integers(1, 9), width=st.integers(1, 9), rows=st.integers(1, 24), columns=st.integers(1, 24))
def test_the_margin_is_numpys_reflection_also_of_images_smaller_than_it(height, width, rows, columns):
    images = np.random.default_rng(0).random((2, 3, height, width))
    around = [(side // 2, side - 1 - side // 2) for side in (rows, columns)]
    expected = np.pad(images, ((0, 0), (0, 0), *around), mode="reflect")
    np.testing.assert_array_equal(mirror_margin(torch.from_numpy(images), (rows, columns)).numpy(), expected)


def test_patches_are_square():
    assert patch_side((65, 65)) == 65
    with pytest.raises(UserError, match="squares around a pixel, not 65 x 33"):
        patch_side((65, 33))
