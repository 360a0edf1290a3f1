"""A training that was stopped anywhere and gone on with ends with the bits of one that was left alone."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest
import torch

from convolve.errors import UserError
from convolve.training.compute import Compute
from convolve.training.fit import FitSettings
from training.small_trainings import convolutional, loader, make_fit


class Stopped(Exception):  # noqa: N818
    pass


def stop_at(number):
    def progress(what, done, total):
        if what == "training" and done == number:
            raise Stopped

    return progress


SETTINGS = FitSettings(epochs=4, lr=0.05, warmup=0.1, clip_norm=1.0, average=0.9, checkpoint_seconds=0.0, seed=3)
AUGMENT = {"rotate": 10.0, "flip_horizontal": True, "noise": 0.05, "mixup": 0.4}


def fit(folder, *, progress=None, **changes):
    network = convolutional()
    arguments = {
        "settings": SETTINGS,
        "train": loader(range(32), augment=AUGMENT),
        "schedule": "plateau",
        "compute": Compute(channels_last=True),
    } | changes
    if progress:
        arguments["progress"] = progress
    return make_fit(folder, network, **arguments), network


def weights(network):
    return {name: tensor.contiguous().numpy().tobytes() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_stopped_again_and_again(tmp_path, optimiser):
    alone, parted = tmp_path / "alone", tmp_path / "parted"
    alone.mkdir()
    parted.mkdir()
    undisturbed, expected = fit(alone, optimiser=optimiser)
    result = undisturbed.run()
    # 4 steps an epoch: in the first, after the last of an epoch but before its evaluation, in the middle, at the end.
    for step in (1, 3, 4, 5, 8, 10, 16):
        with pytest.raises(Stopped):
            fit(parted, optimiser=optimiser, progress=stop_at(step))[0].run()
    resumed, network = fit(parted, optimiser=optimiser)
    again = resumed.run()
    assert weights(network) == weights(expected)
    assert (parted / "history.jsonl").read_bytes() == (alone / "history.jsonl").read_bytes()
    assert (again.best_epoch, again.best, again.epochs) == (result.best_epoch, result.best, result.epochs)


@pytest.mark.parametrize("step", [1, 7, 12])
def test_without_checkpoints_inside_an_epoch(tmp_path, step):
    settings = FitSettings(epochs=3, lr=0.05, accumulate=3, checkpoint_seconds=1e9)
    undisturbed, expected = fit(tmp_path, settings=settings)
    undisturbed.run()
    parted = tmp_path / "parted"
    parted.mkdir()
    stopping, _ = fit(parted, settings=settings, progress=lambda what, done, total: _stop_after(what, done, step))
    with pytest.raises(Stopped):
        stopping.run()
    resumed, network = fit(parted, settings=settings)
    resumed.run()
    assert weights(network) == weights(expected)


def _stop_after(what, done, step):
    if what == "training" and done >= step:
        raise Stopped


def test_a_finished_training_is_not_trained_again(tmp_path):
    fit(tmp_path)[0].run()
    steps = []
    again, _ = fit(tmp_path, progress=lambda what, done, total: steps.append(what))
    result = again.run()
    assert steps == []
    assert (result.epochs, result.images_per_second) == (4, 0.0)


def test_a_checkpoint_cut_short_is_named(tmp_path):
    fit(tmp_path)[0].run()
    checkpoint = tmp_path / "checkpoint.safetensors"
    whole = checkpoint.read_bytes()
    for length in (0, 5, 100, len(whole) - 1):
        checkpoint.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"checkpoint\.safetensors: cut short"):
            fit(tmp_path)[0].run()
        assert checkpoint.read_bytes() == whole[:length]


def test_a_checkpoint_of_another_network_or_optimiser_is_named(tmp_path):
    fit(tmp_path)[0].run()
    with pytest.raises(UserError, match="written for another network"):
        make_fit(tmp_path, torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3)), settings=SETTINGS).run()


@pytest.fixture
def kill(monkeypatch):
    """benchmarks/kill_and_resume.py, which does the same with more kills."""
    path = Path(__file__).parents[2] / "benchmarks" / "kill_and_resume.py"
    spec = importlib.util.spec_from_file_location("kill_and_resume", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "kill_and_resume", module)  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def test_killed_by_the_system(tmp_path, kill):
    expected, seconds = kill.train_undisturbed(kill.SETTINGS, tmp_path / "alone", tmp_path / "cache")
    # The first training was timed beside other work, perhaps: where all moments lie after the end, nearer ones follow.
    for share in (0.7, 0.2, 0.05, 0.01):
        killed = kill.train_with_kills(
            kill.SETTINGS,
            tmp_path / f"killed-{share}",
            tmp_path / "cache",
            kills=3,
            seconds=share * seconds,
            expected=expected,
            chance=random.Random(),  # noqa: S311
        )
        assert killed.same, killed.moments
        if killed.hits:
            break
    assert killed.hits >= 1
