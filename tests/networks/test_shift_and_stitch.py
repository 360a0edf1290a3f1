import torch
from hypothesis import given
from hypothesis import strategies as st

from convolve.networks.shift_and_stitch import shifted, stitch

sides = st.integers(1, 11)
strides = st.integers(1, 5)


@given(height=sides, width=sides, rows=strides, columns=strides)
def test_shifted_images_seen_at_every_stride_stitch_to_the_image(height, width, rows, columns):
    images = torch.arange(2.0 * 3 * height * width).view(2, 3, height, width)
    views = shifted(images, (rows, columns), (height, width))
    sampled = [view[:, :, ::rows, ::columns] for view in views]
    assert torch.equal(stitch(sampled, (rows, columns), (height, width)), images)


def test_what_a_network_gives_beyond_the_image_is_left_out():
    maps = [torch.full((1, 1, 5, 5), float(number)) for number in range(4)]
    assert stitch(maps, (2, 2), (3, 2))[0, 0].tolist() == [[0, 1], [2, 3], [0, 1]]
