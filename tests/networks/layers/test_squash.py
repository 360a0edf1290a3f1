import torch

from convolve.networks.layers.squash import ScaledTanh


def test_plus_and_minus_one_are_kept_to_the_papers_four_digits():
    torch.testing.assert_close(
        ScaledTanh()(torch.tensor([-1.0, 0.0, 1.0])), torch.tensor([-1.0, 0.0, 1.0]), atol=1e-4, rtol=0
    )
