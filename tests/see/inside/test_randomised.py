import copy

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from convolve.errors import UserError
from convolve.see.inside.grad_cam import grad_cam
from convolve.see.inside.randomised import randomised, rank_correlation
from see.inside.subjects import red_and_green_question, small_subject
from see.inside.trained import asked, trained_subject


def gradient_map(subject, question):
    """(24, 24): the largest size over the channels of the wanted logit's gradient."""
    image = question.image[None].clone().requires_grad_()
    subject.logits(image)[0, question.wanted].backward()
    return image.grad[0].abs().amax(dim=0)


def cam(subject, question):
    return grad_cam(subject, question.image[None], torch.tensor([question.wanted]))[0]


def test_weights_keep_their_numbers_and_lose_their_order():
    subject = small_subject()
    before = copy.deepcopy(subject.network.state_dict())
    shuffled = randomised(subject, 0)
    for name, weight in subject.network.state_dict().items():
        assert torch.equal(weight, before[name]), name
    changed = 0
    for name, weight in shuffled.network.named_parameters():
        assert torch.equal(weight.flatten().sort().values, before[name].flatten().sort().values), name
        changed += not torch.equal(weight, before[name])
    assert changed >= 4
    assert shuffled.body is shuffled.network[0]


def test_top_is_the_last_layer_alone():
    subject = small_subject()
    shuffled = randomised(subject, 0, share="top")
    changed = {
        name
        for name, weight in shuffled.network.named_parameters()
        if not torch.equal(weight, subject.network.get_parameter(name))
    }
    assert "1.weight" in changed
    assert changed <= {"1.weight", "1.bias"}


def test_same_seed_same_weights():
    subject = small_subject()
    first, again, other = (randomised(subject, seed).network[0][0].weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_weights_in_channels_last():
    subject = small_subject()
    plain = randomised(subject, 0).network[0][4].weight
    subject.network.to(memory_format=torch.channels_last)
    assert torch.equal(randomised(subject, 0).network[0][4].weight, plain)


@pytest.mark.parametrize("of", [cam, gradient_map])
def test_maps_change_with_the_weights_and_not_without(of):
    subject = trained_subject()
    correlations = []
    for question in asked(3):
        before = of(subject, question)
        assert rank_correlation(before, of(subject, question)) == pytest.approx(1)
        correlations += [rank_correlation(before, of(randomised(subject, seed), question)) for seed in range(5)]
    assert abs(np.median(correlations)) < 0.5


def test_rank_correlation_is_pearsons_of_the_ranks():
    generator = np.random.default_rng(0)
    one, other = generator.integers(0, 5, (2, 6, 7))
    expected = np.corrcoef(rankdata(one), rankdata(other))[0, 1]
    assert rank_correlation(torch.from_numpy(one), torch.from_numpy(other)) == pytest.approx(expected)
    rising = torch.arange(12.0).reshape(3, 4)
    assert rank_correlation(rising, rising.exp()) == pytest.approx(1)
    assert rank_correlation(rising, -rising) == pytest.approx(-1)
    assert rank_correlation(rising, torch.ones(3, 4)) == 0
    with pytest.raises(ValueError, match="maps of"):
        rank_correlation(rising, rising.T)


def test_network_without_weights():
    with pytest.raises(UserError, match="no weights"):
        randomised(red_and_green_question()[0], 0)
