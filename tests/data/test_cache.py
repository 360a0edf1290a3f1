import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convolve.data import cache
from convolve.errors import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "kept"))
    monkeypatch.delenv("CONVOLVE_CACHE_LIMIT", raising=False)
    return tmp_path / "kept"


def writing(size: int):
    def write(folder: Path) -> None:
        (folder / "data").write_bytes(b"x" * size)

    return write


def refuse(folder: Path) -> None:
    raise AssertionError("written twice")


def age(entry: Path, *, hours: float) -> None:
    then = time.time() - 3600 * hours
    os.utime(entry, (then, then))


def test_the_folder_is_made_where_the_environment_says(folder: Path) -> None:
    assert not folder.exists()
    assert cache.cache_folder() == folder
    assert folder.is_dir()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(UserError, match=r"below cannot be made[\s\S]*CONVOLVE_CACHE"):
        cache.cache_folder()


def test_an_entry_is_written_once_and_used_twice(folder: Path) -> None:
    entry = cache.store("packs", "a1", writing(10))
    age(entry, hours=5)
    assert cache.store("packs", "a1", refuse) == entry == folder / "packs" / "a1"
    [found] = cache.entries()
    assert (found.kind, found.key, found.bytes) == ("packs", "a1", 10)
    assert time.time() - found.used < 60


def test_the_least_recently_used_go_first_and_the_last_hour_is_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, hours in [("old", 9), ("older", 20), ("recent", 0.5)]:
        age(cache.store("packs", key, writing(1000)), hours=hours)
    monkeypatch.setenv("CONVOLVE_CACHE_LIMIT", "3.2K")
    cache.store("features", "new", writing(1000))
    assert {entry.key for entry in cache.entries()} == {"old", "recent", "new"}
    monkeypatch.setenv("CONVOLVE_CACHE_LIMIT", "10")
    cache.store("features", "newer", writing(1000))
    assert {entry.key for entry in cache.entries()} == {"recent", "new", "newer"}


@pytest.mark.parametrize(("text", "limit"), [("20G", 20 * 2**30), ("1.5k", 1536), ("7", 7), ("2 MiB", 2**21)])
def test_limits_are_read(text: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOLVE_CACHE_LIMIT", text)
    assert cache.size_limit() == limit


def test_a_limit_that_is_no_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOLVE_CACHE_LIMIT", "plenty")
    with pytest.raises(UserError, match="'plenty' is not a size"):
        cache.size_limit()


def test_clear_frees_one_kind_or_all() -> None:
    for kind, size in [("packs", 100), ("features", 10)]:
        cache.store(kind, "a", writing(size))
    assert cache.clear("packs") == 100
    assert [entry.kind for entry in cache.entries()] == ["features"]
    assert cache.clear() == 10
    assert cache.entries() == []
    assert cache.discard("packs", "a") == 0


def test_a_failing_writer_leaves_nothing(folder: Path) -> None:
    def fail(aside: Path) -> None:
        (aside / "half").write_bytes(b"half")
        raise ValueError("its own fault")

    with pytest.raises(ValueError, match="its own fault"):
        cache.store("packs", "a", fail)
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_no_space_names_folder_and_bytes(folder: Path) -> None:
    def fill(aside: Path) -> None:
        (aside / "half").write_bytes(b"x" * 50)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match=r"kept: 50 bytes or more are needed, [\d,]+ are free"):
        cache.store("packs", "a", fill)
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_no_space_is_said_before_the_work_where_the_size_is_known() -> None:
    with pytest.raises(UserError, match="1,125,899,906,842,624,000 bytes or more"):
        cache.store("packs", "a", refuse, needed=1000 * 2**50)


def test_a_missing_input_of_the_writer_is_not_blamed_on_the_cache(tmp_path: Path) -> None:
    def read(aside: Path) -> None:
        (tmp_path / "absent.png").read_bytes()

    with pytest.raises(FileNotFoundError, match=r"absent\.png"):
        cache.store("packs", "a", read)


@pytest.mark.parametrize("name", ["", "..", ".aside", "a/b", "a b"])
def test_names_stay_below_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        cache.store("packs", name, refuse)
    with pytest.raises(ValueError, match="not a name"):
        cache.store(name, "a", refuse)


def test_leftovers_of_killed_writers_are_removed_and_living_ones_kept(folder: Path) -> None:
    dead, alive = folder / ".aside" / "packs.x.1", folder / ".aside" / "packs.y.2"
    for leftover in (dead, alive):
        leftover.mkdir(parents=True)
        (leftover / "part").write_bytes(b"x")
        age(leftover, hours=3)
    age(dead / "part", hours=2)
    cache.store("packs", "a", writing(1))
    assert not dead.exists()
    assert alive.exists()


def test_two_processes_at_once_get_one_whole_entry(folder: Path) -> None:
    program = (
        "import os, sys, time\n"
        "from convolve.data import cache\n"
        "def write(folder):\n"
        "    (folder / 'first').write_text(str(os.getpid()))\n"
        "    time.sleep(0.3)\n"
        "    (folder / 'second').write_text(str(os.getpid()))\n"
        "entry = cache.store('packs', 'same', write)\n"
        "print((entry / 'first').read_text(), (entry / 'second').read_text())\n"
    )
    command = [sys.executable, "-c", program]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]  # noqa: S603 our own
    answers = {process.communicate(timeout=60)[0] for process in running}
    assert [process.returncode for process in running] == [0, 0]
    [answer] = answers
    first, second = answer.split()
    assert first == second
    assert list((folder / ".aside").iterdir()) == []
