"""What every optimiser promises, and the steps of each against arithmetic by hand."""

import pytest
import torch
from torch import nn

from convolve.registry import checked_options
from convolve.training.optimisers import OPTIMISERS, ClosureOptimiser, parameter_groups


def descend(optimiser, weight, loss, rates):
    """The weight after each step on a loss, however the optimiser wants to be told of it."""
    trace = []
    for rate in rates:
        optimiser.param_groups[0]["lr"] = rate
        if isinstance(optimiser, ClosureOptimiser):
            before = float(loss(weight.detach()))
            assert optimiser.step(lambda: loss(weight)) == before
        else:
            optimiser.zero_grad()
            loss(weight).backward()
            optimiser.step()
        trace.append(float(weight.detach()))
    return trace


def bowl(weight):
    return (weight**2).sum() / 2


def steps(optimiser, weight, gradient_of, rates):
    trace = []
    for rate in rates:
        optimiser.param_groups[0]["lr"] = rate
        weight.grad = gradient_of(weight.detach())
        optimiser.step()
        trace.append(float(weight.detach()))
    return trace


def one_weight(name, weight_decay=0.0, **options):
    weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    group = {"params": [weight], "weight_decay": weight_decay}
    return weight, OPTIMISERS[name].build([group], 0.1, **options)


@pytest.mark.parametrize("name", list(OPTIMISERS))
class TestEveryOptimiser:
    def test_descends_a_bowl(self, name):
        weight, optimiser = one_weight(name)
        assert abs(descend(optimiser, weight, bowl, [0.05] * 200)[-1]) < 0.05

    def test_goes_nowhere_at_rate_zero(self, name):
        weight, optimiser = one_weight(name, weight_decay=0.5)
        assert descend(optimiser, weight, bowl, [0.0] * 3) == [1.0] * 3

    def test_leaves_what_is_frozen(self, name):
        moved, frozen = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2), requires_grad=False)
        optimiser = OPTIMISERS[name].build([{"params": [moved, frozen], "weight_decay": 0.1}], 0.1)
        if isinstance(optimiser, ClosureOptimiser):
            optimiser.step(lambda: bowl(moved) + frozen.sum())
        else:
            bowl(moved).backward()
            optimiser.step()
        assert frozen.tolist() == [1, 1]
        assert (moved < 1).all()

    def test_its_state_is_tensors_by_parameter(self, name):
        # What a checkpoint keeps; anything else would be lost to a training that goes on.
        weight, optimiser = one_weight(name)
        descend(optimiser, weight, bowl, [0.1] * 2)
        moments = optimiser.state_dict()["state"]
        assert set(moments) == {0}
        assert all(isinstance(value, torch.Tensor) for value in moments[0].values())

    def test_its_options_have_defaults_that_pass_their_own_check(self, name):
        kind = OPTIMISERS[name]
        defaults = kind.build.__kwdefaults__
        assert checked_options(kind.build, defaults, where="optimiser.options") == defaults

    def test_states_rates_that_can_be_used(self, name):
        kind = OPTIMISERS[name]
        assert 0 < kind.tuning_lr < kind.lr
        assert 0 <= kind.weight_decay < 1


def test_momentum_is_pytorchs_and_not_caffes():
    # f = w^2/2 from 1; the two forms agree until the learning rate drops, after three steps.
    weight, optimiser = one_weight("sgd", momentum=0.9, nesterov=False)
    trace = steps(optimiser, weight, lambda w: w, [0.1] * 3 + [0.01] * 3)
    assert trace == pytest.approx([0.9, 0.72, 0.486, 0.46008, 0.432151, 0.402694], abs=1e-6)


def test_nesterov_looks_ahead():
    # v = m v + g; w -= lr (g + m v): 1 - .1 (1 + .9) = .81; v = .9 + .81 = 1.71; .81 - .1 (.81 + 1.539) = .5751
    weight, optimiser = one_weight("sgd", momentum=0.9, nesterov=True)
    assert steps(optimiser, weight, lambda w: w, [0.1, 0.1]) == pytest.approx([0.81, 0.5751], abs=1e-12)


def test_the_penalty_is_half_the_square():
    # lambda/2 w^2 has the gradient lambda w, not 2 lambda w.
    weight, optimiser = one_weight("sgd", weight_decay=0.5, momentum=0.0)
    assert steps(optimiser, weight, torch.zeros_like, [0.1]) == pytest.approx([1 - 0.1 * 0.5], abs=1e-12)


def test_adamws_decay_is_beside_the_gradient():
    # First step: m/(sqrt(v) + eps) is 1 whatever the gradient's size; the decay is not rescaled with it.
    for size in (0.01, 100.0):
        weight, optimiser = one_weight("adamw", weight_decay=0.5)
        trace = steps(optimiser, weight, lambda w, size=size: torch.full_like(w, size), [0.1])
        assert trace == pytest.approx([1 - 0.1 * 0.5 - 0.1], abs=1e-6)


def test_adamw_against_the_papers_loop():
    weight, optimiser = one_weight("adamw", weight_decay=0.1, beta1=0.8, beta2=0.9)
    w, m, v, expected = 1.0, 0.0, 0.0, []
    for t in range(1, 6):
        g = w**3
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        w = w - 0.1 * 0.1 * w - 0.1 * (m / (1 - 0.8**t)) / ((v / (1 - 0.9**t)) ** 0.5 + 1e-8)
        expected.append(w)
    assert steps(optimiser, weight, lambda w: w**3, [0.1] * 5) == pytest.approx(expected, abs=1e-10)


def test_biases_and_norms_are_not_decayed():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    decayed = {names[id(p)]: g["weight_decay"] for g in parameter_groups(network, 0.3) for p in g["params"]}
    assert decayed == {"0.weight": 0.3, "3.weight": 0.3, "0.bias": 0, "1.weight": 0, "1.bias": 0, "3.bias": 0}


def test_frozen_parameters_are_left_out():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[0].requires_grad_(False)
    trained = [parameter for group in parameter_groups(network, 0.1) for parameter in group["params"]]
    assert {id(p) for p in trained} == {id(p) for p in network[1].parameters()}
