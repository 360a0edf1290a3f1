import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import clip_boxes_to_image

from convolve.networks.detection.box_coding import clip, decode, encode

ONES, TENTHS = (1.0, 1.0, 1.0, 1.0), (0.1, 0.1, 0.2, 0.2)


def boxes_like(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = 100 * torch.rand(count, 2, generator=generator)
    return torch.cat((corners, corners + 1 + 60 * torch.rand(count, 2, generator=generator)), dim=1)


def test_the_worked_example_of_the_papers():
    proposal, truth = torch.tensor([[10.0, 10, 50, 90]]), torch.tensor([[20.0, 20, 70, 80]])
    plain = [0.375, 0.0, math.log(50 / 40), math.log(60 / 80)]
    assert encode(truth, proposal, deviations=ONES)[0].tolist() == pytest.approx(plain, abs=1e-6)
    assert encode(truth, proposal, deviations=TENTHS)[0].tolist() == pytest.approx([3.75, 0, 1.1157, -1.4384], abs=1e-4)


@pytest.mark.parametrize("deviations", [ONES, TENTHS])
def test_the_same_as_torchvision(deviations):
    coder = BoxCoder(weights=tuple(1 / deviation for deviation in deviations))
    boxes, references = boxes_like(50, 1), boxes_like(50, 2)
    torch.testing.assert_close(
        encode(boxes, references, deviations=deviations), coder.encode_single(boxes, references), rtol=1e-5, atol=1e-5
    )
    offsets = 8 * torch.randn(50, 4, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(
        decode(offsets, references, deviations=deviations), coder.decode_single(offsets, references)
    )


@given(st.integers(0, 10_000), st.sampled_from([ONES, TENTHS]))
def test_decoding_undoes_encoding(seed, deviations):
    boxes, references = boxes_like(8, seed).double(), boxes_like(8, seed + 1).double()
    offsets = encode(boxes, references, deviations=deviations)
    torch.testing.assert_close(decode(offsets, references, deviations=deviations), boxes)


def test_offsets_do_not_depend_on_scale_or_place():
    boxes, references = boxes_like(8, 5).double(), boxes_like(8, 6).double()
    offsets = encode(boxes, references, deviations=TENTHS)
    torch.testing.assert_close(encode(3 * boxes - 7, 3 * references - 7, deviations=TENTHS), offsets)


def test_wild_offsets_stay_finite():
    decoded = decode(torch.full((1, 4), 1e4), torch.tensor([[0.0, 0, 8, 8]]), deviations=ONES)
    assert decoded.isfinite().all()
    assert (decoded[0, 2] - decoded[0, 0]).item() == pytest.approx(8 * 1000 / 16, rel=1e-3)


def test_batches_of_any_shape_are_decoded_alike():
    references, offsets = boxes_like(6, 8), torch.randn(2, 3, 4)
    flat = decode(offsets.reshape(6, 4), references, deviations=TENTHS)
    torch.testing.assert_close(decode(offsets, references.reshape(2, 3, 4), deviations=TENTHS).reshape(6, 4), flat)


def test_clipped_as_torchvision_clips():
    boxes = 200 * torch.randn(100, 4, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(clip(boxes, torch.tensor([50, 80])), clip_boxes_to_image(boxes, (50, 80)))


def test_each_image_of_a_batch_has_its_own_edges():
    boxes = torch.tensor([-5.0, -5, 500, 500]).expand(2, 1, 4)
    clipped = clip(boxes, torch.tensor([[30, 40], [50, 60]])[:, None])
    assert clipped[:, 0].tolist() == [[0, 0, 40, 30], [0, 0, 60, 50]]
