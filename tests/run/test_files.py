import errno
import os
import subprocess

import pytest
import torch

from convolve.errors import UserError
from convolve.run.files import atomic_path, write_atomically
from convolve.run.tensors import write_tensors


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "kept.txt"
    write_atomically(path, "old")

    def fail():
        with atomic_path(path) as aside:
            aside.write_text("half of the ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]


def test_the_new_file_is_as_readable_as_others(tmp_path):
    (tmp_path / "usual").touch()
    write_atomically(tmp_path / "ours", b"x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_readers_see_the_old_content_until_all_is_written(tmp_path):
    path = tmp_path / "kept.txt"
    path.write_text("old")
    with atomic_path(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:  # noqa: S603
        pytest.skip("a small disk can be mounted by root alone")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607


def test_a_full_disk_is_told_and_leaves_the_old_files(small_disk):
    write_atomically(small_disk / "a.txt", "old")
    with pytest.raises(UserError, match="no space left"):
        write_atomically(small_disk / "a.txt", "x" * 200_000)
    write_tensors(small_disk / "t", "model", {"w": torch.ones(10)}, {})
    before = (small_disk / "t").read_bytes()
    with pytest.raises(UserError, match="no space left"):
        write_tensors(small_disk / "t", "model", {"w": torch.ones(100_000)}, {})
    assert (small_disk / "a.txt").read_text() == "old"
    assert (small_disk / "t").read_bytes() == before
    assert sorted(path.name for path in small_disk.iterdir()) == ["a.txt", "t"]


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "no space left"), (errno.EDQUOT, "no space left"), (errno.EROFS, "cannot be wr")]
)
@pytest.mark.parametrize("call", ["mkstemp", "fsync"])
def test_the_systems_refusals_are_told(tmp_path, monkeypatch, code, words, call):
    def refuse(*_args, **_kwargs):
        raise OSError(code, os.strerror(code))

    write_atomically(tmp_path / "a", "old")
    monkeypatch.setattr(f"tempfile.{call}" if call == "mkstemp" else f"os.{call}", refuse)
    with pytest.raises(UserError, match=words):
        write_atomically(tmp_path / "a", "new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a", "old")]
