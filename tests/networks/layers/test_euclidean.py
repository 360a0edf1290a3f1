import numpy as np
import torch
from scipy.spatial.distance import cdist

from convolve.networks.layers.euclidean import EuclideanOutput, class_codes, digit_codes


def test_logits_are_negative_squared_distances():
    features = torch.randn(5, 84, dtype=torch.float64)
    codes = class_codes(10).double()
    expected = -cdist(features.numpy(), codes.numpy(), "sqeuclidean")
    np.testing.assert_allclose(EuclideanOutput(codes)(features).numpy(), expected)


def test_digits_are_twelve_rows_of_seven_pixels_and_all_different():
    codes = digit_codes()
    assert codes.shape == (10, 84)
    assert set(codes.unique().tolist()) == {-1.0, 1.0}
    # The two that look most alike, as to people, still differ in a few pixels.
    assert torch.pdist(codes, p=0).min() >= 4


def test_codes_of_many_classes_are_far_apart_and_always_the_same():
    codes = class_codes(200)
    assert codes.shape == (200, 84)
    assert torch.pdist(codes, p=0).min() >= 15
    assert torch.equal(codes, class_codes(200))
    # More classes leave the codes of the earlier ones as they are.
    assert torch.equal(codes[:50], class_codes(50))


def test_few_classes_use_the_first_digits():
    assert torch.equal(class_codes(3), digit_codes()[:3])
