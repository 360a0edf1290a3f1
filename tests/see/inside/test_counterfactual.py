from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.networks.heads.neighbours import Neighbours
from convolve.networks.symmetric_features import SymmetricFeatures
from convolve.randomness import torch_randomness
from convolve.see.inside.counterfactual import (
    Contest,
    contest,
    gap_map,
    smallest_change,
    speakers,
    squares_that_flip,
)
from convolve.see.inside.occlusion import choose_squares, occlude
from see.inside.subjects import red_and_green_question, small_body, small_question, small_subject
from see.inside.trained import asked, trained_subject


def linear_subject(classes=2):
    with torch_randomness("linear subject"):
        network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, classes)).eval()
    return replace(
        small_subject(classes=classes), network=network, body=network, normalise=lambda images: images, several=False
    )


def of(subject, question):
    with torch.no_grad():
        logits = subject.logits(question.image[None])
    return logits, contest(subject, question, logits[0])


@pytest.mark.parametrize(
    ("truth", "expected"), [(None, Contest(2, 0)), (2, Contest(2, 0)), (0, Contest(2, 0)), (1, Contest(2, 1))]
)
def test_the_answer_is_compared_with_the_truth_or_the_next_best(truth, expected):
    logits = torch.tensor([3.0, -1.0, 4.0])
    found = contest(small_subject(), replace(small_question(), truth=truth), logits)
    assert found == expected
    assert float(found.gap(logits[None])) == (1 if found.instead == 0 else 5)
    assert not bool(found.flipped(logits[None]))
    assert bool(found.flipped(torch.tensor([[9.0, -1, 4]]))) == (found.instead == 0)


def test_of_several_answers_each_stands_alone():
    subject = replace(small_subject(), several=True)
    logits = torch.tensor([3.0, -1.5, 4.0])
    no = contest(subject, replace(small_question(), wanted=1), logits)
    assert no == Contest(1, None, -1)
    assert float(no.gap(logits[None])) == 1.5
    assert bool(no.flipped(torch.tensor([[9.0, 0.1, 9.0]])))
    assert contest(subject, replace(small_question(), wanted=2), logits) == Contest(2, None, 1)


def test_one_class_has_no_other_answer():
    with pytest.raises(UserError, match="one class"):
        contest(small_subject(classes=1), small_question(wanted=0), torch.tensor([1.0]))


@pytest.mark.parametrize("symmetry", ["none", "mirror"])
def test_what_the_maps_say_adds_up_to_the_gap(symmetry):
    subject, question = small_subject(), small_question()
    if symmetry == "mirror":
        network = nn.Sequential(SymmetricFeatures(subject.body, "mirror"), subject.network[1]).eval()

        def upright(maps):
            plain, flipped = maps.chunk(2)
            return (plain + flipped.flip(3)) / 2

        subject = replace(subject, network=network, upright=upright)
    logits, between = of(subject, question)
    found = speakers(subject, question, between)
    bias = subject.network[1].bias.detach()
    assert found.layer == "5"
    assert found.places.shape == (8, 12, 12)
    total = found.totals.sum() + bias[between.given] - bias[between.instead]
    torch.testing.assert_close(total, between.gap(logits)[0], atol=1e-5, rtol=1e-4)
    assert int((found.totals != 0).sum()) >= 2


def test_red_and_green_speak_for_themselves():
    subject, question = red_and_green_question()
    _, between = of(subject, question)
    found = speakers(subject, question, between)
    torch.testing.assert_close(found.totals, torch.tensor([8.0, -7.6, 0.0]), atol=1e-5, rtol=0)
    rows, columns = np.nonzero(found.places[0].numpy())
    assert (rows.tolist(), columns.tolist()) != ([], [])
    # 4 x 4 pixels a place: the red square is at places 1 and 2.
    assert set(rows) | set(columns) <= {1, 2}


@pytest.mark.parametrize("classes", [2, 4])
def test_change_of_a_linear_network_is_the_nearest_there_is(classes):
    subject = linear_subject(classes)
    question = replace(small_question(), image=0.25 + small_question().image / 2)
    logits, between = of(subject, question)
    found = smallest_change(subject, question, between)
    weights = subject.network[1].weight.detach().double()
    toward = weights[between.instead] - weights[between.given]
    distance = float(between.gap(logits.double())) / float(toward.norm())
    assert found is not None
    # The next best class is the nearest one in question, so no third class stands between.
    assert float(found.change.double().norm()) == pytest.approx(distance, rel=1e-3)
    assert found.rms == pytest.approx(255 * distance / np.sqrt(3 * 24 * 24), rel=1e-3)
    cosine = torch.nn.functional.cosine_similarity(found.change.flatten().double(), toward, dim=0)
    assert float(cosine) == pytest.approx(1, abs=1e-5)
    assert found.steps == 1


def test_change_gives_the_other_answer_and_a_shorter_one_does_not():
    subject = trained_subject()
    for question in asked(4):
        _, between = of(subject, question)
        found = smallest_change(subject, question, between)
        assert found is not None
        assert float(found.image.min()) >= 0
        assert float(found.image.max()) <= 1
        torch.testing.assert_close(found.image, question.image + found.change)
        with torch.no_grad():
            changed = subject.logits(found.image[None])
            nearly = subject.logits((question.image + 0.99 * found.change)[None])
        assert int(changed.argmax()) == between.instead
        assert int(nearly.argmax()) == between.given
        # Far less than the square itself, whose pixels differ by up to 191 grey levels.
        assert 0 < found.rms < 50


def test_image_whose_answer_no_gradient_changes():
    subject = small_subject()
    with torch.no_grad():
        subject.network[1].weight.zero_()
        subject.network[1].bias.copy_(torch.tensor([1.0, 0.0, -1.0]))
    _, between = of(subject, small_question())
    assert smallest_change(subject, small_question(), between) is None


def test_covering_red_gives_green():
    subject, question = red_and_green_question()
    occluded = occlude(subject, question.image, choose_squares((40, 40), side=8, stride=4))
    between = contest(subject, question, occluded.whole)
    flips = squares_that_flip(occluded, between)
    assert flips.nonzero().tolist() == [[1, 1]]
    change = gap_map(occluded, between)
    assert float(change[1, 1]) == pytest.approx(8 * (0.3 - 1.0), abs=1e-5)
    assert float(change[7, 7]) == pytest.approx(8 * (0.95 - 0.3), abs=1e-5)
    assert float(change[1, 7]) == 0


def test_head_without_gradient():
    body = small_body()
    with torch_randomness("neighbours"):
        vectors = torch.rand(9, 8)
    head = Neighbours(
        vectors=vectors, labels=torch.arange(9) % 3, k=torch.tensor(3), classes=torch.arange(3), outputs=3
    )
    network = nn.Sequential(body, head).eval()
    subject = replace(small_subject(), network=network, body=body)
    between = Contest(0, 1)
    for look in (speakers, smallest_change):
        with pytest.raises(UserError, match="gradient"):
            look(subject, small_question(), between)
