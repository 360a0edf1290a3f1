from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.networks.receptive_field import Field
from convolve.see.inside.gallery import Gallery
from convolve.see.inside.instruments import INSTRUMENTS, Look
from convolve.see.inside.layers import find_layer
from convolve.see.inside.strongest_patches import (
    cut,
    has_switches,
    project,
    responses,
    strongest_patches,
    telling_units,
)
from convolve.see.inside.unit_maps import Window, field_of, maps_of, window_of
from see.inside.galleries import MIDDLES, REDS, red_detector, red_squares
from see.inside.subjects import small_subject


def run(subject, gallery, *, layer=None, units=(), **options):
    return INSTRUMENTS["strongest-patches"].run(subject, Look(gallery=gallery, layer=layer, units=units), **options)


def found_in(subject, gallery, layer="1", rows=None):
    (found,) = responses(subject, gallery, [find_layer(subject, layer)], rows=rows or range(len(gallery)))
    return found


def test_patches_are_cut_at_the_object_strongest_first():
    subject, gallery = red_detector(), red_squares()
    (unit,) = strongest_patches(subject, found_in(subject, gallery), [0])
    # The square at the edge has but six pixels inside the image.
    assert [patch.row for patch in unit.patches] == [1, 0, 3, 2]
    assert [patch.value for patch in unit.patches] == pytest.approx(
        [9 * 255 / 255, 9 * 200 / 255, 6 * 230 / 255, 9 * 120 / 255]
    )
    assert [patch.place for patch in unit.patches] == [MIDDLES[row] for row in (1, 0, 3, 2)]
    assert [patch.window for patch in unit.patches] == [
        Window(11, 17, 14, 20),
        Window(4, 4, 7, 7),
        Window(0, 21, 2, 24),
        Window(19, 8, 22, 11),
    ]
    for patch in unit.patches:
        pixels = cut(gallery.pixels(patch.row), patch.window)
        assert (pixels == (REDS[patch.row], 0, 0)).all()


def test_a_layer_behind_pooling_has_larger_windows_in_the_right_place():
    body = nn.Sequential(red_detector().body[0], nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 1, 1))
    with torch.no_grad():
        body[3].weight.copy_(torch.tensor([1.0, 0, 0])[None, :, None, None])
        body[3].bias.zero_()
    subject = replace(red_detector(), network=nn.Sequential(body, nn.Flatten(), nn.Linear(144, 2)).eval(), body=body)
    (unit,) = strongest_patches(subject, found_in(subject, red_squares(), "3"), [0], most=1)
    # (12, 18) is pooled to (6, 9), which sees the 4 x 4 pixels around rows 12, 13 and columns 18, 19.
    assert (unit.patches[0].place, unit.patches[0].window) == ((6, 9), Window(11, 17, 15, 21))


@pytest.mark.parametrize("place", [(0, 0), (5, 7), (11, 11), (3, 0)])
def test_pixels_outside_the_window_do_not_change_the_unit_and_those_inside_do(place):
    subject = small_subject()
    window = window_of(field_of(subject, "4"), place, (24, 24))
    generator = torch.Generator().manual_seed(7)
    image, other = torch.rand((2, 1, 3, 24, 24), generator=generator)
    outside = other.clone()
    outside[..., window.top : window.bottom, window.left : window.right] = image[
        ..., window.top : window.bottom, window.left : window.right
    ]
    value, same = (maps_of(subject, one, ["4"])["4"][0, :, *place] for one in (image, outside))
    assert torch.equal(value, same)
    # And the window is not too large: its four sides all count.
    pixels = image.clone().requires_grad_()
    # Maximum pooling passes on one of four: the mean of the same linear layers has no zeros by chance.
    smooth = nn.Sequential(subject.body[0], nn.AvgPool2d(2), subject.body[4])
    (gradient,) = torch.autograd.grad(smooth(pixels)[0, :, *place].sum(), pixels)
    rows, columns = (gradient[0].abs().sum(dim=(0, axis)).nonzero().flatten() for axis in (2, 1))
    assert (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1) == (
        window.top,
        window.bottom,
        window.left,
        window.right,
    )


class Gate(nn.Module):
    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps * maps.mean(dim=(2, 3), keepdim=True).sigmoid()


def test_where_nothing_bounds_the_field_the_window_is_the_whole_image():
    body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), Gate(), nn.ReLU())
    subject = replace(
        small_subject(), network=nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval(), body=body
    )
    assert field_of(subject, "0") == Field((-1, -1), (1, 1), (1, 1))
    assert field_of(subject, "1") is None
    assert field_of(subject, "2") is None
    assert window_of(None, (3, 3), (24, 20)) == Window(0, 0, 24, 20)


def test_a_unit_that_is_never_active_is_said_to_be_so():
    panel = run(red_detector(), red_squares(), units=(1, 0))
    assert "unit 1 of '1' is not active on any of 4 images" in panel.words
    assert [picture.name for picture in panel.pictures] == ["1-unit-0"]
    assert panel.numbers["layers"]["1"]["never_active"] == 1
    units = panel.numbers["layers"]["1"]["units"]
    assert units[0] == {"unit": 1, "patches": []}
    assert units[1]["patches"][0]["rows"] == [11, 14]


def test_units_that_tell_the_classes_apart_come_first():
    found = found_in(red_detector(), red_squares())
    # Variance between the classes over the whole variance, by hand: unit 0 and unit 2 differ by a factor only.
    values = np.array([[5.0, 0, 1], [5.0, 0, 9], [1.0, 0, 2], [1.0, 0, 8]], np.float32)
    told = replace(found, values=values)
    assert telling_units(told, ["a", "a", "b", "b"], most=3) == (0, 2, 1)
    assert telling_units(told, ["a", "b", "a", "b"], most=3) == (2, 0, 1)
    # Without classes, the variance: that of unit 2 is 12.5, that of unit 0 is 4.
    assert telling_units(told, ["", "", "", ""], most=2) == (2, 0)


def test_a_projection_lights_up_the_object_and_nothing_outside_the_window():
    body = nn.Sequential(red_detector().body[0], nn.ReLU(), nn.MaxPool2d(2))
    subject = replace(red_detector(), network=nn.Sequential(body, nn.Flatten(), nn.Linear(432, 2)).eval(), body=body)
    assert has_switches(subject)
    assert not has_switches(replace(subject, network=nn.Sequential(body[:2]), body=body[:2]))
    (unit,) = strongest_patches(subject, found_in(subject, red_squares(), "2"), [0], most=2)
    signals = project(subject, red_squares(), "2", unit)
    for signal, patch in zip(signals, unit.patches, strict=True):
        row, column = MIDDLES[patch.row]
        expected = torch.zeros(3, 24, 24)
        # The kernel of ones, turned around the place of the switch, times the activation.
        expected[0, row - 1 : row + 2, column - 1 : column + 2] = patch.value
        assert torch.allclose(signal, expected)


def test_many_images_are_sampled_evenly_and_that_is_said():
    images = np.zeros((2300, 24, 24, 3), np.uint8)
    names = [str(row) for row in range(2300)]
    gallery = Gallery(images, names, (), "black")
    rows = gallery.rows(2000)
    assert (len(rows), len(set(rows)), rows[0]) == (2000, 2000, 0)
    assert max(np.diff(rows)) == 2
    panel = run(red_detector(), gallery)
    assert "2000 of 2300 images" in panel.words
    assert panel.pictures == []


def test_a_gallery_that_is_part_of_a_pack_is_read_by_its_places():
    whole = red_squares()
    part = Gallery(whole.images, ["2.png", "0.png"], ["low", "low"], "part", np.array([2, 0]))
    (unit,) = strongest_patches(red_detector(), found_in(red_detector(), part), [0])
    assert [(patch.row, patch.window.top) for patch in unit.patches] == [(1, 4), (0, 19)]


def test_bad_input():
    with pytest.raises(UserError, match="no images to look through"):
        run(red_detector(), None)
    with pytest.raises(UserError, match="no unit 3"):
        run(red_detector(), red_squares(), units=(3,))
    subject = red_detector()
    with torch.no_grad():
        subject.body[0].bias[2] = float("nan")
    with pytest.raises(UserError, match="layer '1' gives numbers that are none"):
        run(subject, red_squares())


def test_grey_images():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (6, 24, 24, 1)).astype(np.uint8)
    gallery = Gallery(images, [str(row) for row in range(6)], (), "grey")
    panel = run(small_subject(channels=1), gallery, at_most=2)
    assert len(panel.pictures) == 4
    assert all(picture.pixels.shape[2] == 3 for picture in panel.pictures)
    assert "deconvnet" in panel.words
