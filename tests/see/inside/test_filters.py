from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.networks.catalogue import find_architecture
from convolve.see.inside.filters import first_filters
from convolve.see.inside.instruments import INSTRUMENTS, Look
from see.inside.subjects import small_subject


def run(subject, **options):
    return INSTRUMENTS["filters"].run(subject, Look(), **options)


def test_kernels_set_by_hand_appear_in_the_picture_in_their_order():
    subject = small_subject()
    with torch.no_grad():
        subject.body[0].weight.zero_()
        subject.body[0].weight[0, 0] = 2.0  # red everywhere
        subject.body[0].weight[1, 2, :, 0] = -0.5  # blue, negative, in the left column
    panel = run(subject)
    (sheet,) = panel.pictures
    tiles = [sheet.pixels[:42, left : left + 42] for left in range(0, 6 * 46, 46)]
    assert sheet.pixels.shape == (42, 6 * 46 - 4, 3)
    assert (tiles[0] == (255, 128, 128)).all()
    assert (tiles[1][:, :14] == (128, 128, 0)).all()
    assert (tiles[1][:, 14:] == 128).all()
    assert panel.numbers == {"layer": "0", "filters": 6, "all_zero": 4}
    assert "4 are 0 everywhere" in panel.words


def test_grey_kernels_are_grey_and_at_most_so_many_are_shown():
    panel = run(small_subject(channels=1), at_most=2)
    pixels = panel.pictures[0].pixels
    assert pixels.shape == (42, 88, 3)
    assert (pixels == pixels[..., :1]).all()
    assert "2 of 6" in panel.pictures[0].caption


def test_of_many_input_channels_the_one_with_the_largest_weights_is_shown():
    subject = small_subject(channels=5)
    with torch.no_grad():
        subject.body[0].weight[3, 4] = 7.0
    filters = first_filters(subject)
    assert filters.kernels.shape == (6, 1, 3, 3)
    assert int(filters.channel[3]) == 4
    assert (filters.kernels[3] == 7.0).all()
    assert "largest weights" in run(subject).words


def test_without_a_convolution_the_rows_of_the_first_layer_have_the_images_shape():
    network = find_architecture("mlp").create(4, channels=3, image_hw=(8, 10), options={"hidden": (12,)})
    subject = replace(small_subject(), network=network.eval(), body=network.backbone, image_hw=(8, 10))
    filters = first_filters(subject)
    row = network.backbone[1].weight[7].detach().numpy()
    # Pixel (y, x) of channel c is number (c * 8 + y) * 10 + x of what the layer reads.
    assert all(
        filters.kernels[7, c, y, x] == row[(c * 8 + y) * 10 + x] for c in range(3) for y in range(8) for x in range(10)
    )
    assert "no convolution" in run(subject).words
    assert np.ptp(run(subject).pictures[0].pixels) > 0


def test_neither_convolution_nor_a_layer_on_the_pixels():
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)).eval()
    with pytest.raises(UserError, match="no convolution"):
        run(replace(small_subject(), network=network, body=network))
