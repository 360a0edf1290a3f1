"""Processes that are stopped, or in each other's way, and disks that are full."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from convolve.faces.cli import main
from convolve.faces.cli.app import Interrupted
from faces.cli.terminal import convolve, refused, start, succeeds
from workflow.pictures import QUICK


def test_two_at_once_then_ctrl_c_then_on_to_the_end(animals, elsewhere):
    command = ["train", animals, *QUICK, "folds=0", "epochs=400", "budget=none", "--out", "out"]
    process = start(*command)
    try:
        _wait_for(Path("out/checkpoint.safetensors"), process)
        assert "another process is training here" in refused(*command)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "convolve: stopped; the same command goes on from where it stood"
    assert "Traceback" not in err
    begun = len(Path("out/history.jsonl").read_text().splitlines())
    assert 1 <= begun < 400
    answer = succeeds(*command, "--json")
    assert answer.json["epochs"] == 400
    # It went on: what was planned and forecast before is not done again.
    assert "forecast" not in answer.err
    assert len(Path("out/history.jsonl").read_text().splitlines()) == 400


@pytest.mark.parametrize(
    ("command", "goes_on"), [("pretrain", True), ("ladder", True), ("look", False), ("test", False)]
)
def test_only_commands_that_keep_their_work_say_that_they_go_on(monkeypatch, command, goes_on):
    def stopped(**_):
        raise Interrupted

    monkeypatch.setattr(main, "app", stopped)
    answer = convolve(command, "anything")
    assert answer.code == 130
    assert answer.err.startswith("\nconvolve: stopped")
    assert ("goes on" in answer.err) == goes_on


def _wait_for(path, process):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_full_disk_is_said_and_the_same_command_goes_on_when_there_is_space(animals, elsewhere):
    disk = elsewhere / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False)  # noqa: S603, S607
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        command = ["train", animals, *QUICK, "network.options.hidden=[512,512]", "folds=0", "--out", disk / "out"]
        assert "no space left" in refused(*command)
        assert not list(disk.rglob(".*safetensors*"))
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)  # noqa: S603, S607
        succeeds(*command)
        assert (disk / "out" / "results.json").exists()
    finally:
        subprocess.run(["umount", disk], check=True)  # noqa: S603, S607
