"""Occlusion, faithfulness, sanity and what-it-needed: panels of every kind of network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.networks.architectures.mlp import mlp
from convolve.randomness import torch_randomness
from convolve.registry import checked_options
from convolve.see.inside.instruments import INSTRUMENTS, Look
from see.inside.subjects import red_and_green_question, small_body, small_question, small_subject
from see.inside.trained import asked, trained_subject

NAMES = ("occlusion", "faithfulness", "sanity", "what-it-needed")


class Steps(nn.Module):
    """Answers in steps, as a forest does: no gradient."""

    def forward(self, features):
        return (features[:, :3] > 0).float().detach()


def small_mlp():
    with torch_randomness("small mlp"):
        return mlp(3, channels=1, image_hw=(24, 24), hidden=(20,)).eval()


def look(name, subject, question, **options):
    return INSTRUMENTS[name].run(subject, question, Look(), **options)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_panels_say_and_show_the_same_twice(name, channels):
    subject, question = small_subject(channels=channels), small_question(channels=channels)
    one, other = look(name, subject, question), look(name, subject, question)
    assert one.title
    assert one.words == other.words
    assert one.numbers == other.numbers
    assert one.charts == other.charts
    assert len({picture.name for picture in one.pictures}) == len(one.pictures)
    for first, second in zip(one.pictures, other.pictures, strict=True):
        assert first.pixels.dtype == np.uint8
        assert first.pixels.shape[:2] == (24, 24)
        assert first.pixels.shape[2:] in {(), (3,)}
        assert np.array_equal(first.pixels, second.pixels)
    assert one.pictures or one.charts


@pytest.mark.parametrize("name", ["occlusion", "faithfulness", "what-it-needed"])
def test_network_without_maps(name):
    network = small_mlp()
    subject = replace(small_subject(channels=1), network=network, body=network.backbone)
    panel = look(name, subject, small_question(channels=1))
    if name == "faithfulness":
        assert "Grad-CAM is left out: the network has no convolution" in panel.words
        assert set(panel.numbers["areas"]) == {"occlusion"}
    if name == "what-it-needed":
        assert "The network has no convolution" in panel.words
        assert panel.numbers["change_rms"] > 0
        assert "speakers" not in panel.numbers


def test_sanity_needs_maps():
    network = small_mlp()
    subject = replace(small_subject(channels=1), network=network, body=network.backbone)
    with pytest.raises(UserError, match="no convolution"):
        look("sanity", subject, small_question(channels=1))


def test_head_without_gradient_leaves_its_parts_out():
    body = small_body().eval()
    subject = replace(small_subject(), network=nn.Sequential(body, Steps()).eval(), body=body)
    panel = look("what-it-needed", subject, small_question())
    assert panel.words.count("no gradient") == 1
    assert not {"speakers", "change_rms"} & set(panel.numbers)
    assert "squares_that_flip" in panel.numbers
    assert set(look("faithfulness", subject, small_question()).numbers["areas"]) == {"occlusion"}
    assert look("occlusion", subject, small_question()).numbers["positions"] == 21 * 21
    with pytest.raises(UserError, match="gradient"):
        look("sanity", subject, small_question())


def test_what_red_needed_to_be_green():
    subject, question = red_and_green_question()
    panel = look("what-it-needed", subject, replace(question, truth=1))
    assert "the right answer is 'green' (0.401), 0.40 logits behind" in panel.words
    assert panel.numbers["gap"] == pytest.approx(0.4, abs=1e-5)
    assert list(panel.numbers["speakers"]["for"]) == ["0"]
    assert list(panel.numbers["speakers"]["against"]) == ["1"]
    assert panel.numbers["squares_that_flip"] == 3
    assert "gives 'green' at 3 of 361 places" in panel.words


def test_several_answers_are_asked_one_by_one():
    subject = replace(small_subject(), several=True)
    panel = look("what-it-needed", subject, small_question(wanted=2))
    assert "Asked whether this is 'class 2', the network says" in panel.words


def test_occlusion_says_where_the_lowest_is():
    subject, question = red_and_green_question()
    panel = look("occlusion", subject, question, side=8, stride=4)
    assert panel.numbers["lowest_top_left"] == [4, 4]
    assert panel.numbers["lowest"] == pytest.approx(0.00549, abs=1e-4)
    assert panel.numbers["labels"] == {"red": 80, "green": 1}
    assert panel.numbers["positions"] == 81
    assert "red" in panel.charts[0]
    covered = panel.pictures[0].pixels
    assert (covered[4:12, 4:12] == round(0.3 * 255)).all()


def test_verdict_of_a_trained_network_is_better_than_random():
    panel = look("faithfulness", trained_subject(), asked(1)[0])
    assert "The map of occlusion is better than random by both." in panel.words
    assert "The map of Grad-CAM is better than random by both." in panel.words
    # Blurred, red is still red.
    assert panel.numbers["onto"] == "fill"


def test_verdict_where_nothing_matters():
    subject = small_subject()
    with torch.no_grad():
        subject.network[1].weight.zero_()
    panel = look("faithfulness", subject, small_question())
    assert "The map of occlusion is no better than random" in panel.words


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [("occlusion", "cover", "black"), ("faithfulness", "steps", 0), ("sanity", "draws", 0), ("occlusion", "sise", 3)],
)
def test_options_are_checked(name, option, value):
    with pytest.raises(UserError, match=option):
        checked_options(INSTRUMENTS[name].run, {option: value}, where=name)
