"""Every instrument that goes by derivatives, on every kind of network: panels that are whole and say what they show."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.networks.network import ARCHITECTURES
from convolve.randomness import torch_randomness
from convolve.see.inside.instruments import INSTRUMENTS, Look
from convolve.see.inside.subject import Question, Subject
from see.inside.subjects import red_and_green_question, small_question, small_subject

OF_IMAGES = ("grad-cam", "deconvnet", "guided-backpropagation", "integrated-gradients")
OF_MAPS = ("grad-cam", "deconvnet")
CHOICES = {"mlp": {"hidden": (16,)}, "lenet5": {}, "residual": {"depth": 8, "width": 4}}


def subject_of(architecture, channels):
    with torch_randomness("network to look into", channels):
        network = ARCHITECTURES[architecture].create(
            3, channels=channels, image_hw=(28, 28), options=CHOICES[architecture]
        )
        # Before training it is next to 0.
        nn.init.normal_(network.head.weight)
        image = torch.rand(channels, 28, 28)
    subject = Subject(
        network=network.eval(),
        body=network.backbone,
        normalise=lambda images: (images - 0.5) / 0.25,
        classes=("cat", "dog", "owl"),
        channels=channels,
        image_hw=(28, 28),
        fill=(0.5,) * channels,
    )
    return subject, Question(image=image, name="noise.png", wanted=2)


def run(name, subject, question=None, look=None, **options):
    look = look or Look()
    instrument = INSTRUMENTS[name]
    given = (subject, look) if instrument.of == "network" else (subject, question, look)
    panel = instrument.run(*given, **options)
    names = [picture.name for picture in panel.pictures]
    assert len(set(names)) == len(names)
    for picture in panel.pictures:
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.shape[2:] == (3,)
        assert picture.pixels.size > 0
    assert json.loads(json.dumps(panel.numbers)) == dict(panel.numbers)
    return panel


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("architecture", ["lenet5", "residual"])
@pytest.mark.parametrize("name", OF_IMAGES)
def test_on_networks_with_maps(name, architecture, channels):
    subject, question = subject_of(architecture, channels)
    with torch.inference_mode():
        panel = run(name, subject, question)
    assert len(panel.pictures) >= 2
    assert all(picture.pixels.std() > 0 for picture in panel.pictures)


@pytest.mark.parametrize("name", ["guided-backpropagation", "integrated-gradients"])
def test_on_a_network_without_convolution(name):
    panel = run(name, *subject_of("mlp", 3))
    assert [picture.pixels.shape for picture in panel.pictures] == [(28, 28, 3)] * 2


@pytest.mark.parametrize("name", OF_MAPS)
def test_what_needs_maps_says_what_works_without(name):
    with pytest.raises(UserError, match="no convolution") as error:
        run(name, *subject_of("mlp", 1))
    assert "integrated-gradients" in error.value.remedy


@pytest.mark.parametrize(("architecture", "channels"), [("mlp", 1), ("lenet5", 1), ("residual", 3)])
def test_maximisation_makes_an_image_of_each_class(architecture, channels):
    subject, _ = subject_of(architecture, channels)
    panel = run("activation-maximisation", subject, steps=8)
    assert [picture.pixels.shape for picture in panel.pictures] == [(28, 28, 3)] * 3
    assert set(panel.numbers["reached"]) == {"cat", "dog", "owl"}
    # Some logits of an untrained network are highest of no image at all; of which, is said.
    fell = [name for name, (before, after) in panel.numbers["reached"].items() if after <= before]
    assert len(fell) < 3
    assert ("it did not rise for" in panel.words) == bool(fell)


def test_maximisation_stops_at_six_classes_and_says_so():
    panel = run("activation-maximisation", small_subject(classes=9), steps=2)
    assert len(panel.pictures) == 6
    assert "The first 6 classes; 3 more are left out." in panel.words


def test_maximisation_of_units():
    panel = run("activation-maximisation", small_subject(), look=Look(layer="4", units=(5, 0, 5)), steps=4)
    assert list(panel.numbers["reached"]) == ["unit 5", "unit 0"]
    assert "layer 4" in panel.words


def test_grad_cam_tells_how_much_of_it_is_inside_what_is_asked_about():
    subject, question = red_and_green_question()
    inside = np.zeros((40, 40), bool)
    inside[:20, :20] = True
    asked = Question(image=question.image, name=question.name, wanted=0, inside=inside)
    panel = run("grad-cam", subject, asked)
    # The network's maps are a tenth of the image wide; red is at 4 to 12, and all of the image is somewhat red.
    assert panel.numbers["map_hw"] == [10, 10]
    maps = nn.functional.avg_pool2d(question.image[None], 4)[0]
    full = nn.functional.interpolate(maps[None, :1], size=(40, 40), mode="bilinear")[0, 0]
    assert panel.numbers["share_inside"] == pytest.approx(float(full[:20, :20].sum() / full.sum()), abs=1e-6)
    assert f"{panel.numbers['share_inside']:.0%} of it lies inside" in panel.words


def test_grad_cam_says_where_no_place_speaks_for_the_class():
    subject, question = small_subject(), small_question()
    with torch.no_grad():
        subject.network[1].weight[1] = -1
    panel = run("grad-cam", subject, question)
    assert "the map is 0 all over" in panel.words
    assert panel.numbers["share_inside"] is None


def test_deconvnet_says_of_a_unit_that_it_is_not_active_and_has_no_picture_of_it():
    subject, question = small_subject(), small_question()
    with torch.no_grad():
        subject.body[4].weight[3] = 0
        subject.body[4].bias[3] = -1
        subject.body[4].bias[1] = 1
    panel = run("deconvnet", subject, question, Look(layer="5", units=(3, 1)))
    assert "Not active on this image, so without a picture: unit 3." in panel.words
    assert panel.numbers["not_active"] == [3]
    assert [picture.name for picture in panel.pictures] == ["unit-1-deconvnet", "unit-1-guided", "unit-1-image"]


def test_deconvnet_says_when_no_unit_is_active():
    subject, question = small_subject(), small_question()
    with torch.no_grad():
        subject.body[4].weight.zero_()
        subject.body[4].bias.fill_(-1)
    panel = run("deconvnet", subject, question, Look(layer="5"))
    assert "None of its units is active on this image." in panel.words
    assert panel.pictures == []


def test_deconvnet_cuts_out_what_the_unit_sees():
    subject, question = small_subject(), small_question()
    panel = run("deconvnet", subject, question, Look(layer="2"))
    back, _, patch = panel.pictures[:3]
    # One 3 x 3 convolution sees 3 x 3 pixels.
    assert back.pixels.shape == patch.pixels.shape == (3, 3, 3)
    windows = np.lib.stride_tricks.sliding_window_view(question.picture, (3, 3, 3))[:, :, 0]
    assert (windows == patch.pixels).all(axis=(2, 3, 4)).sum() == 1
    conv = subject.body[0].weight[panel_unit(panel)].detach()
    # Batch norm in test mode only scales: what comes back is the unit's kernel, or its negative.
    strength = np.corrcoef(back.pixels.astype(float).ravel(), conv.permute(1, 2, 0).numpy().ravel())[0, 1]
    assert strength > 0.99


def panel_unit(panel):
    return int(panel.pictures[0].name.split("-")[1])


def test_guided_adds_units_where_they_are_asked_for():
    subject, question = small_subject(), small_question()
    panel = run("guided-backpropagation", subject, question, Look(layer="2"))
    names = [picture.name for picture in panel.pictures]
    assert names[:2] == ["logit-guided", "logit-gradient"]
    assert names[2:4] == [f"unit-{panel.pictures[2].name.split('-')[1]}-{what}" for what in ("guided", "image")]


def test_what_has_no_rectifier_is_said_to_be_the_plain_gradient():
    subject, question = subject_of("lenet5", 1)
    for layer in subject.body.named_children():
        if isinstance(layer[1], nn.ReLU):
            setattr(subject.body, layer[0], nn.SiLU())
    panel = run("guided-backpropagation", subject, question)
    assert "no ReLU on the way, so this is its plain gradient. Of silu the plain derivative stands." in panel.words
    guided, gradient = panel.pictures
    assert np.array_equal(guided.pixels, gradient.pixels)


def test_integrated_gradients_state_their_error():
    subject, question = small_subject(), small_question()
    panel = run("integrated-gradients", subject, question, steps=20)
    numbers = panel.numbers
    rise = numbers["logit"] - numbers["empty_logit"]
    assert abs(numbers["completeness_error"]) < 0.1 * abs(rise)
    assert f"(error {numbers['completeness_error']:+.2g})" in panel.words
