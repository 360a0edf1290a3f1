"""A training on masks that was stopped anywhere ends with the bytes of one that was left alone."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest

from convolve.progress import silent
from convolve.workflow.recipes import recipe_from
from convolve.workflow.train import train
from workflow.segment.scenes import UNET

SETTINGS = (*UNET, "epochs=3", "train.checkpoint=0.0001", "train.average=0.9")


class Stopped(Exception):  # noqa: N818
    pass


def run(scenes, out, progress=silent):
    return train(recipe_from(str(scenes), SETTINGS), out=out, progress=progress, say=lambda _: None)


def test_stopped_in_every_phase(scenes, tmp_path):
    expected = run(scenes, tmp_path / "alone")
    for phase, number in (("training", 1), ("training", 2), ("training", 5), ("calibrating", 1), ("testing", 2)):

        def progress(what, done, total, phase=phase, number=number):
            if (what, done) == (phase, number):
                raise Stopped

        with pytest.raises(Stopped):
            run(scenes, tmp_path / "parted", progress)
    resumed = run(scenes, tmp_path / "parted")
    assert resumed.model.read_bytes() == expected.model.read_bytes()
    assert resumed.predictions.read_bytes() == expected.predictions.read_bytes()
    assert resumed.read("results")["test"] == expected.read("results")["test"]
    assert not (resumed.folder / "checkpoint.safetensors").exists()


def test_a_finished_run_is_left_as_it_is(scenes, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.iterdir() if path.name != ".lock"}
    said = []
    recipe = recipe_from(str(scenes), [*UNET, "epochs=25", "lr=0.01"])
    train(recipe, out=finished, progress=silent, say=said.append)
    assert said == [f"{finished}: this training is finished already"]
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.fixture
def kill(monkeypatch):
    """benchmarks/kill_and_resume.py, which kills trainings of images the same way."""
    path = Path(__file__).parents[3] / "benchmarks" / "kill_and_resume.py"
    spec = importlib.util.spec_from_file_location("kill_and_resume", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "kill_and_resume", module)  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_killed_by_the_system(scenes, tmp_path, kill):
    settings = (str(scenes), *SETTINGS, "epochs=12")
    expected, seconds = kill.train_undisturbed(settings, tmp_path / "alone", tmp_path / "cache")
    killed = kill.train_with_kills(
        settings,
        tmp_path / "killed",
        tmp_path / "cache",
        kills=3,
        seconds=0.7 * seconds,
        expected=expected,
        chance=random.Random(),  # noqa: S311
    )
    assert killed.hits >= 1
    assert killed.same, killed.moments
