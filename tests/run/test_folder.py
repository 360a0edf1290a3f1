import subprocess
import sys

import pytest

from convolve.errors import UserError
from convolve.run.folder import choose_run, open_run

REQUEST = {"data": {"path": "a"}, "train": {"epochs": 3}, "seed": 0}


def test_the_same_request_goes_on_where_it_stopped(tmp_path):
    first = choose_run("x", REQUEST, tmp_path / "r")
    first.write("plan", 1)
    assert choose_run("x", REQUEST, tmp_path / "r").read("plan") == 1


def test_another_request_is_refused_with_the_key(tmp_path):
    choose_run("x", REQUEST, tmp_path / "r")
    with pytest.raises(UserError, match=r"train\.epochs was 3, now 5"):
        choose_run("x", REQUEST | {"train": {"epochs": 5}}, tmp_path / "r")
    with pytest.raises(UserError, match=r"folds was None, now 5"):
        choose_run("x", REQUEST | {"folds": 5}, tmp_path / "r")


def test_without_a_name_finished_runs_are_passed_by(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = choose_run("classify/x", REQUEST, None)
    assert str(first.folder) == "runs/classify/x"
    assert choose_run("classify/x", REQUEST, None).folder == first.folder
    first.write("results", {})
    second = choose_run("classify/x", REQUEST, None)
    assert str(second.folder) == "runs/classify/x-2"
    assert str(choose_run("classify/x", REQUEST | {"seed": 1}, None).folder) == "runs/classify/x-3"
    assert choose_run("classify/x", REQUEST, None).folder == second.folder


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "photo.jpg").touch()
    for out in (tmp_path, tmp_path / "photo.jpg"):
        with pytest.raises(UserError, match="is not a run"):
            choose_run("x", REQUEST, out)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_process_killed_at_its_first_file_is_gone_on_with(tmp_path):
    (tmp_path / ".request.json.x1y2.part").write_text('{"da')
    run = choose_run("x", REQUEST, tmp_path)
    with run.locked():
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "request.json"]


def test_no_run_is_named(tmp_path):
    with pytest.raises(UserError, match="there is no such folder"):
        open_run(tmp_path / "none")
    with pytest.raises(UserError, match="not a run"):
        open_run(tmp_path)


HOLD = """
import sys
from pathlib import Path
from convolve.run.folder import Run
with Run(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_and_a_killed_one_lets_go(tmp_path):
    run = choose_run("x", REQUEST, tmp_path / "r")
    command = [sys.executable, "-c", HOLD, str(run.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:  # noqa: S603
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(UserError, match="another process is training here"), run.locked():
            pass
        other.kill()
    with run.locked():
        pass


def test_a_damaged_request_is_named(tmp_path):
    (tmp_path / "request.json").write_text('{"data": ')
    with pytest.raises(UserError, match=r"request\.json: damaged"):
        open_run(tmp_path)
