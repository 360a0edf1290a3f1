from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import Occlusion
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from convolve.errors import UserError
from convolve.networks.architectures.mlp import mlp
from convolve.networks.joined_features import JoinedFeatures
from convolve.networks.symmetric_features import SymmetricFeatures
from convolve.randomness import torch_randomness
from convolve.see.inside import many_passes
from convolve.see.inside.layers import captured
from convolve.see.inside.occlusion import (
    Squares,
    choose_squares,
    occlude,
    occlusion_heat,
    probability_map,
    spread,
)
from convolve.see.inside.subject import Subject
from convolve.training.compute import Compute
from see.inside.subjects import red_and_green_question, small_question, small_subject


def captums(subject: Subject, image: Tensor, wanted: int, side: int, stride: int, value: float) -> Tensor:
    """(H, W): Captum's falls of the probability; the same for each channel."""
    with torch.inference_mode():
        falls = Occlusion(lambda images: subject.probabilities(subject.logits(images))).attribute(
            image[None],
            sliding_window_shapes=(len(image), side, side),
            strides=(len(image), stride, stride),
            baselines=value,
            target=wanted,
        )
    return falls[0, 0]


@pytest.mark.parametrize(("side", "stride"), [(4, 4), (6, 3), (8, 2), (24, 24)])
@pytest.mark.parametrize(("cover", "value"), [("fill", 0.3), ("grey", 0.5)])
def test_heat_is_captums_where_squares_fit_the_image(side, stride, cover, value):
    subject, question = replace(small_subject(), fill=(0.3,) * 3), small_question()
    occluded = occlude(subject, question.image, choose_squares((24, 24), side=side, stride=stride), cover=cover)
    expected = captums(subject, question.image, 1, side, stride, value)
    assert float(expected.abs().max()) > 1e-4
    torch.testing.assert_close(occlusion_heat(subject, occluded, 1), expected.float(), atol=1e-5, rtol=0)


def test_each_square_is_captums_where_both_have_it():
    subject, question = small_subject(channels=1), small_question(channels=1)
    squares = choose_squares((24, 24), side=7, stride=7)
    assert squares.tops == squares.lefts == (0, 7, 14, 17)
    whole, covered = probability_map(subject, occlude(subject, question.image, squares), 1)
    falls = captums(subject, question.image, 1, 7, 7, 0.5)
    expected = falls[[0, 7, 14]][:, [0, 7, 14]]
    torch.testing.assert_close(whole - covered[:3, :3], expected.float(), atol=1e-5, rtol=0)
    # Captum's last square is cut off by the edge, ours is whole: they are not the same question.
    assert float((whole - covered[3, 3] - falls[-1, -1]).abs()) > 1e-5


def test_probability_is_lowest_with_the_object_covered():
    subject, question = red_and_green_question()
    squares = choose_squares((40, 40), side=8, stride=4)
    occluded = occlude(subject, question.image, squares)
    whole, covered = probability_map(subject, occluded, 0)
    assert squares.places()[int(covered.argmin())] == (4, 4)
    assert float(covered.min()) == pytest.approx(1 / (1 + np.exp(8 * (0.95 - 0.3))), abs=1e-6)
    assert whole == pytest.approx(1 / (1 + np.exp(-8 * 0.05)), abs=1e-6)
    assert int(occluded.logits[1, 1].argmax()) == 1
    assert int(occluded.logits[5, 1].argmax()) == 0
    hottest = occlusion_heat(subject, occluded, 0).flatten().argmax()
    assert 4 <= int(hottest) // 40 < 12
    assert 4 <= int(hottest) % 40 < 12


def test_default_squares_find_the_object_too():
    subject, question = red_and_green_question()
    squares = choose_squares((40, 40))
    _, covered = probability_map(subject, occlude(subject, question.image, squares), 0)
    top, left = squares.places()[int(covered.argmin())]
    assert 4 <= top <= 12 - squares.side
    assert 4 <= left <= 12 - squares.side


@given(st.integers(1, 400), st.integers(1, 400))
def test_default_squares_cover_every_pixel_and_stay_inside(height, width):
    squares = choose_squares((height, width))
    for starts, length in ((squares.tops, height), (squares.lefts, width)):
        covered = np.zeros(length, int)
        for start in starts:
            assert 0 <= start <= length - squares.side
            covered[start : start + squares.side] += 1
        assert covered.min() >= 1
        assert len(set(starts)) == len(starts)
    if max(height, width) <= 20 * min(height, width):
        assert len(squares) <= 441


def test_default_squares_of_a_photograph():
    squares = choose_squares((300, 300))
    assert (squares.side, squares.stride, len(squares)) == (38, 14, 20 * 20)


@pytest.mark.parametrize(
    ("side", "stride", "words"),
    [(0, None, "1 to 24 pixels"), (25, None, "1 to 24 pixels"), (4, 5, "gaps"), (4, 0, "less than 1")],
)
def test_squares_that_cannot_be(side, stride, words):
    with pytest.raises(UserError, match=words):
        choose_squares((24, 30), side=side, stride=stride)


@settings(max_examples=25)
@given(st.integers(1, 6), st.data())
def test_spread_is_the_mean_over_the_squares_that_cover_a_pixel(side, data):
    squares = choose_squares((7, 9), side=side, stride=data.draw(st.integers(1, side)))
    values = np.random.default_rng(side).normal(size=(len(squares.tops), len(squares.lefts)))
    spread_out = spread(torch.from_numpy(values), squares, (7, 9))
    for row in range(7):
        for column in range(9):
            here = [
                values[place]
                for place in np.ndindex(values.shape)
                if 0 <= row - squares.tops[place[0]] < side and 0 <= column - squares.lefts[place[1]] < side
            ]
            assert float(spread_out[row, column]) == pytest.approx(np.mean(here), abs=1e-6)


def test_strongest_map_is_watched():
    subject, question = small_subject(), small_question()
    squares = Squares(8, 8, (0, 8, 16), (0, 8, 16))
    occluded = occlude(subject, question.image, squares, layer="2")
    covered = question.image.clone()
    covered[:, 8:16, 16:24] = 0.5
    with torch.no_grad(), captured(subject.body, ["2"]) as kept:
        subject.logits(question.image[None])
        whole = kept["2"][0].clamp(min=0).sum(dim=(1, 2))
        subject.logits(covered[None])
    assert occluded.layer is not None
    assert occluded.activation is not None
    assert (occluded.layer.name, occluded.unit) == ("2", int(whole.argmax()))
    assert occluded.whole_activation == pytest.approx(float(whole.max()), rel=1e-5)
    expected = float(kept["2"][0, occluded.unit].clamp(min=0).sum())
    assert float(occluded.activation[1, 2]) == pytest.approx(expected, rel=1e-5)


def test_unknown_layer():
    with pytest.raises(UserError, match="no_such"):
        occlude(small_subject(), small_question().image, choose_squares((24, 24), side=12), layer="no_such")


def test_network_without_maps_and_with_several_answers():
    with torch_randomness("small mlp"):
        network = mlp(3, channels=1, image_hw=(24, 24), hidden=(20,)).eval()
    subject = replace(small_subject(channels=1), network=network, body=network.backbone, several=True)
    question = small_question(channels=1)
    occluded = occlude(subject, question.image, choose_squares((24, 24), side=6, stride=6))
    assert occluded.activation is None
    expected = captums(subject, question.image, 1, 6, 6, 0.5)
    assert float(expected.abs().max()) > 1e-4
    torch.testing.assert_close(occlusion_heat(subject, occluded, 1), expected.float(), atol=1e-5, rtol=0)


def test_answers_that_are_no_numbers():
    subject = small_subject()
    with torch.no_grad():
        subject.network[1].bias[0] = torch.nan
    with pytest.raises(UserError, match="no number"):
        occlude(subject, small_question().image, choose_squares((24, 24), side=12))


def test_what_is_remembered_is_forgotten_when_weights_or_squares_change():
    subject, question = small_subject(), small_question()
    squares = choose_squares((24, 24), side=12)
    first = occlude(subject, question.image, squares)
    assert occlude(subject, question.image, squares) is first
    assert occlude(subject, question.image, squares, cover="grey") is first  # the fill is grey
    assert occlude(subject, question.image, choose_squares((24, 24), side=8)) is not first
    with torch.no_grad():
        subject.network[1].bias += 1.0
    torch.testing.assert_close(occlude(subject, question.image, squares).whole, first.whole + 1)


def test_openvino_runs_networks_of_joined_and_mirrored_features(monkeypatch):
    monkeypatch.setattr(many_passes, "_WORTH_CONVERTING", 0)
    small = small_subject()
    mirrored = SymmetricFeatures(JoinedFeatures(small.body, ["2"]), "mirror")
    network = nn.Sequential(mirrored, nn.Linear(14, 3)).eval()

    def upright(maps: Tensor) -> Tensor:
        plain, flipped = maps.chunk(2)
        return (plain + flipped.flip(3)) / 2

    told: list[str] = []
    answers = {}
    for engine in ("torch", "openvino"):
        subject = replace(
            small, network=network, upright=upright, compute=Compute(engine=engine, device="cpu"), image_hw=(24, 24)
        )
        squares = Squares(12, 6, (0, 6, 12), (0, 12))
        # Each engine answers for itself: what one has answered is not remembered for the other.
        answers[engine] = occlude(
            subject, small_question().image, squares, progress=lambda what, _done, _total: told.append(what)
        )
    assert set(told) == {"covering the image"}
    torch.testing.assert_close(answers["openvino"].logits, answers["torch"].logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(answers["openvino"].activation, answers["torch"].activation, atol=1e-3, rtol=1e-4)
