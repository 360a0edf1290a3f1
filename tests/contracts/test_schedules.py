"""What every schedule promises, and each against its formula and PyTorch's own."""

import json

import pytest
import torch
from torch.optim import lr_scheduler

from convolve.errors import UserError
from convolve.registry import checked_options
from convolve.training.schedules import SCHEDULES, learning_rate_factor

STEPS = 40


def factors(schedule, warmup=0.0, steps=STEPS):
    return [learning_rate_factor(schedule, step=step, steps=steps, warmup=warmup) for step in range(steps)]


def torchs(make, advance=lambda scheduler, step: scheduler.step()):
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    scheduler = make(optimiser)
    found = []
    for step in range(STEPS):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        advance(scheduler, step)
    return found


@pytest.mark.parametrize("name", list(SCHEDULES))
class TestEverySchedule:
    def test_stays_between_nothing_and_the_peak(self, name):
        for warmup in (0.0, 0.05, 0.5, 0.99):
            assert all(0 <= factor <= 1 for factor in factors(SCHEDULES[name](), warmup))

    def test_one_step_is_enough(self, name):
        for warmup in (0.0, 0.6, 0.99):
            assert 0 < learning_rate_factor(SCHEDULES[name](), step=0, steps=1, warmup=warmup) <= 1

    def test_warm_up_rises_evenly_to_where_the_schedule_begins(self, name):
        begin = SCHEDULES[name]().factor(0.0)
        found = factors(SCHEDULES[name](), warmup=0.25)
        assert found[:11] == pytest.approx([begin * (step + 1) / 11 for step in range(11)])

    def test_goes_on_from_its_state(self, name):
        scores = [0.1, 0.5, 0.4, 0.5, 0.3, 0.2, 0.6, 0.1, 0.1, 0.1, 0.1]
        undisturbed, stopped, resumed = (SCHEDULES[name]() for _ in range(3))
        for score in scores[:5]:
            undisturbed.observe(score)
            stopped.observe(score)
        resumed.restore(json.loads(json.dumps(stopped.state())))
        for score in scores[5:]:
            undisturbed.observe(score)
            resumed.observe(score)
            assert resumed.factor(0.7) == undisturbed.factor(0.7)
        assert resumed.state() == undisturbed.state()


def test_constant():
    assert factors(SCHEDULES["constant"]()) == [1.0] * STEPS


def test_cosine_is_torchs():
    expected = torchs(lambda optimiser: lr_scheduler.CosineAnnealingLR(optimiser, STEPS, eta_min=0.1))
    assert factors(SCHEDULES["cosine"](final=0.1)) == pytest.approx(expected, abs=1e-6)


def test_one_cycle_is_torchs():
    # torch has its last value at the last step, convolve would have it one step later; both peak after 30 % of 40 + 1.
    def make(optimiser):
        return lr_scheduler.OneCycleLR(
            optimiser, 1.0, total_steps=STEPS + 1, pct_start=13 / 41, div_factor=25, final_div_factor=1e4
        )

    assert factors(SCHEDULES["one-cycle"](rise=0.3)) == pytest.approx(torchs(make), abs=1e-6)


def test_step_is_torchs():
    expected = torchs(lambda optimiser: lr_scheduler.StepLR(optimiser, STEPS // 4, gamma=0.5))
    assert factors(SCHEDULES["step"](at=[0.25, 0.5, 0.75], gamma=0.5)) == pytest.approx(expected)


def test_step_refuses_epochs():
    with pytest.raises(UserError, match=r"schedule.options.at.*less than 1"):
        checked_options(SCHEDULES["step"], {"at": [30, 60]}, where="schedule.options")


def test_plateau_is_torchs():
    scores = torch.rand(STEPS, generator=torch.Generator().manual_seed(1)).tolist()
    ours, found = SCHEDULES["plateau"](patience=3, gamma=0.5), []
    expected = torchs(
        # torch cuts when MORE than `patience` epochs were no better.
        lambda optimiser: lr_scheduler.ReduceLROnPlateau(
            optimiser, mode="max", factor=0.5, patience=2, threshold=0.0, eps=0.0
        ),
        lambda scheduler, step: scheduler.step(scores[step]),
    )
    for score in scores:
        found.append(ours.factor(0.0))
        ours.observe(score)
    assert found == pytest.approx(expected)
    assert found[-1] < 0.01
