import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from convolve.networks.layers.bilinear_upsampling import (
    PIXELS,
    FixedUpsampling,
    Lattice,
    TransposedUpsampling,
    bilinear_kernel,
)

FACTORS = st.sampled_from([2, 4, 8, 32])
# Centres of odd kernels, of TensorFlow's padding, of pools of 2, and of the paper's fc6, in halves of a pixel.
CENTRES = st.integers(-200, 200).map(lambda halves: halves / 2)


def ways(coarse: Lattice, fine: Lattice) -> list[nn.Module]:
    return [FixedUpsampling(coarse, fine), TransposedUpsampling(1, coarse, fine).double()]


@given(FACTORS, CENTRES, st.integers(1, 5), st.integers(1, 5), st.integers(1, 90), st.integers(1, 90))
def test_coordinates_of_unit_centres_become_coordinates_of_pixels(factor, centre, rows, columns, height, width):
    coarse = Lattice(factor, centre)
    ys = centre + factor * torch.arange(rows, dtype=torch.float64)
    xs = centre + factor * torch.arange(columns, dtype=torch.float64)
    maps = torch.stack(torch.meshgrid(ys, xs, indexing="ij"))[:, None]
    # Between the outermost centres a pixel has its own coordinate, outside of them that of the nearest centre.
    expected_ys = torch.arange(height, dtype=torch.float64).clamp(ys[0], ys[-1])
    expected_xs = torch.arange(width, dtype=torch.float64).clamp(xs[0], xs[-1])
    expected = torch.stack(torch.meshgrid(expected_ys, expected_xs, indexing="ij"))[:, None]
    for way in ways(coarse, PIXELS):
        torch.testing.assert_close(way(maps, (height, width)), expected)


@given(st.sampled_from([(32, 16), (16, 8), (8, 4), (32, 4)]), st.sampled_from(["odd", "pools", "tensorflow"]))
def test_maps_of_two_strides_are_aligned_by_their_centres(strides, kind):
    centre_of = {"odd": lambda s: 0.0, "pools": lambda s: (s - 1) / 2, "tensorflow": lambda s: s - 1.0}[kind]
    coarse, fine = (Lattice(stride, centre_of(stride)) for stride in strides)
    ys = coarse.centre + coarse.stride * torch.arange(6, dtype=torch.float64)
    maps = ys[:, None].expand(6, 3)[None, None]
    finer = fine.centre + fine.stride * torch.arange(6 * strides[0] // strides[1], dtype=torch.float64)
    for way in ways(coarse, fine):
        result = way(maps, (len(finer), 5))[0, 0]
        torch.testing.assert_close(result, finer.clamp(ys[0], ys[-1])[:, None].expand(-1, 5))


@pytest.mark.parametrize("factor", [2, 3, 8, 32])
def test_between_pools_of_two_it_is_what_torch_calls_unaligned_corners(factor):
    maps = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    expected = F.interpolate(maps, scale_factor=factor, mode="bilinear", align_corners=False)
    hw = (expected.shape[2], expected.shape[3])
    coarse = Lattice(factor, (factor - 1) / 2)
    torch.testing.assert_close(FixedUpsampling(coarse, PIXELS)(maps, hw), expected)
    torch.testing.assert_close(TransposedUpsampling(3, coarse, PIXELS).double()(maps, hw), expected)


def test_uncontinued_scores_are_those_of_torchs_transposed_convolution():
    maps = torch.randn(1, 2, 3, 3)
    coarse = Lattice(2, 7.0)
    uncut = coarse.finer(2)
    layer = TransposedUpsampling(2, coarse, uncut, continued=False)
    plain = nn.ConvTranspose2d(2, 2, 4, stride=2, groups=2, bias=False)
    row = torch.tensor([0.25, 0.75, 0.75, 0.25])
    plain.weight.data = torch.outer(row, row).repeat(2, 1, 1, 1)
    torch.testing.assert_close(layer(maps, (8, 8)), plain(maps))


@pytest.mark.parametrize(("factor", "size", "centred"), [(2, 4, False), (2, 3, True), (3, 5, False), (32, 64, False)])
def test_kernels_sum_to_the_factor_and_are_those_of_the_paper(factor, size, centred):
    kernel = bilinear_kernel(factor, centred=centred)
    centre = factor - 1 if size % 2 else factor - 0.5
    assert kernel.tolist() == pytest.approx([1 - abs(i - centre) / factor for i in range(size)])
    assert float(kernel.sum()) == pytest.approx(factor)


def test_learned_kernels_get_gradients_class_by_class():
    layer = TransposedUpsampling(2, Lattice(4, 1.5), Lattice(2, 0.5))
    layer(torch.ones(1, 2, 3, 3), (6, 6))[:, 0].sum().backward()
    assert layer.weight.grad[0].abs().sum() > 0
    assert layer.weight.grad[1].abs().sum() == 0


def test_fixed_kernels_are_no_part_of_the_weights():
    assert not TransposedUpsampling(2, Lattice(4, 0.0), PIXELS, learned=False).state_dict()


@pytest.mark.parametrize("fine", [Lattice(3, 0.0), Lattice(2, 0.25)])
def test_lattices_that_do_not_nest_are_refused(fine):
    with pytest.raises(ValueError, match="cannot be laid on"):
        Lattice(8, 0.0).place_on(fine)
