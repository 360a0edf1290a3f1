from dataclasses import replace

import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.networks.catalogue import find_architecture
from convolve.networks.symmetric_features import SymmetricFeatures
from convolve.see.inside.activations import activations
from convolve.see.inside.instruments import INSTRUMENTS, Look
from convolve.see.inside.subject import Question
from convolve.see.inside.unit_maps import maps_of
from see.inside.galleries import red_detector, red_squares
from see.inside.subjects import small_question, small_subject


def run(subject, question, **look):
    return INSTRUMENTS["activations"].run(subject, question, Look(**look))


def test_maps_are_what_the_layers_compute():
    subject, image = small_subject(), small_question().image
    last, *_ = reversed(activations(subject, image))
    with torch.no_grad():
        expected = subject.body[:6](subject.normalise(image[None]))[0]
    assert last.layer.name == "5"
    assert torch.allclose(last.maps, expected[list(last.units)])
    assert last.largest == pytest.approx(float(expected.max()))
    assert last.silent == sum(bool((one <= 0).all()) for one in expected)
    assert last.zeros == pytest.approx(sum(float(value == 0) for value in expected.flatten()) / expected.numel())
    peaks = [float(expected[unit].max()) for unit in last.units]
    assert peaks == sorted(peaks, reverse=True)


def test_the_last_layer_at_each_resolution():
    assert [one.layer.name for one in activations(small_subject(), small_question().image)] == ["2", "5"]


def test_layer_and_units_are_the_users():
    (found,) = activations(small_subject(), small_question().image, layer="0", units=(4, 1))
    assert (found.layer.name, found.units, found.signed) == ("0", (4, 1), True)
    panel = run(small_subject(), small_question(), layer="0", units=(4, 1))
    assert "below zero" in panel.words
    with pytest.raises(UserError, match="no unit 6"):
        run(small_subject(), small_question(), layer="0", units=(6,))
    with pytest.raises(UserError, match="layer with maps '9'"):
        run(small_subject(), small_question(), layer="9")


def test_a_dead_unit_is_counted():
    image = red_squares().tensor([0])[0]
    panel = run(red_detector(), Question(image=image, name="red", wanted=0))
    assert panel.numbers["1"]["silent"] == 1
    assert panel.numbers["1"]["largest"] == pytest.approx(9 * 200 / 255)
    assert panel.table[1][0][4] == "1 of 3"


def test_a_layer_that_is_silent_altogether_is_named():
    question = Question(image=torch.zeros(3, 24, 24), name="black", wanted=0)
    assert "Layer '1' is silent" in run(red_detector(), question).words


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_first_layer_with_numbers_that_are_none_is_named(value):
    subject = small_subject()
    with torch.no_grad():
        subject.body[4].weight[2, 0, 0, 0] = value
    with pytest.raises(UserError, match=r"layer '4' gives numbers that are none"):
        run(subject, small_question())


def test_an_infinity_that_a_bounded_activation_hides_is_found():
    subject = small_subject()
    subject.body[2] = nn.ReLU6()
    with torch.no_grad():
        subject.body[1].weight[0] = float("inf")
    with pytest.raises(UserError, match=r"layer '1' gives"):
        run(subject, small_question())


def test_grey_images_and_networks_without_maps():
    panel = run(small_subject(channels=1), small_question(channels=1))
    assert [picture.pixels.ndim for picture in panel.pictures] == [3, 3]
    network = find_architecture("mlp").create(3, channels=3, image_hw=(24, 24)).eval()
    subject = replace(small_subject(), network=network, body=network.backbone)
    with pytest.raises(UserError, match="no convolution"):
        run(subject, small_question())


def test_a_network_that_sees_copies_shows_the_image_itself():
    plain = small_subject()
    copies = SymmetricFeatures(plain.body, "turns")
    subject = replace(plain, network=nn.Sequential(copies, plain.network[1]).eval())
    image = small_question().image[None]
    found, expected = (maps_of(one, image, ["5"])["5"] for one in (subject, plain))
    assert torch.allclose(found, expected, atol=1e-6)
