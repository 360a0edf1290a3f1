"""A run: one folder with everything about one training; deleting it deletes everything."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from convolve.errors import UserError
from convolve.run.files import ASIDE, write_atomically

RUNS = Path("runs")


class Run:
    """The files of one run.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipe = folder / "recipe.toml"
        self.model = folder / "model.safetensors"
        self.report = folder / "report.html"
        self.split = folder / "split.csv"
        self.predictions = folder / "predictions.csv"

    def read(self, name: str) -> Any:
        """The JSON kept as `name`.json, or None before it is written.

        Raises:
            UserError: somebody else changed or damaged it.
        """
        path = self.folder / f"{name}.json"
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        except ValueError as error:
            raise UserError(f"{path}: damaged ({error})", "Restore it from a copy, or delete the run.") from error

    def write(self, name: str, value: Any) -> None:
        """Keep plain JSON values as `name`.json."""
        write_atomically(self.folder / f"{name}.json", json.dumps(value, indent=2) + "\n")

    def member(self, name: str) -> Path:
        """The folder of one of several trainings, made on demand."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in this folder.

        Raises:
            UserError: another process does already.
        """
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(
                f"{self.folder}: another process is training here", "Wait for it, or give another --out."
            ) from error
        try:
            # What a killed process was writing; nobody else writes here now.
            for aside in self.folder.rglob(f".*{ASIDE}"):
                aside.unlink(missing_ok=True)
            yield
        finally:
            lock.release()


def open_run(folder: Path) -> Run:
    """The run in a folder.

    Raises:
        UserError: there is no run.
    """
    run = Run(folder)
    if not folder.is_dir() or run.read("request") is None:
        what = "there is no such folder" if not folder.exists() else "not a run: it has no request.json"
        raise UserError(f"{folder}: {what}", f"`convolve train DATA --out {folder}` makes one.")
    return run


def choose_run(name: str, request: dict[str, Any], out: Path | None) -> Run:
    """The folder for a training that was asked for: a new one, or the one where the same training stopped.

    Args:
        name: what to call a new folder below runs/, for example "classify/elpv".
        request: the recipe as asked for, plain JSON values.
        out: the folder that the user named, or None.

    Raises:
        UserError: the named folder has another training, or files that are no run.
    """
    if out is None:
        return _next_folder(RUNS / name, request)
    run = Run(out)
    asked = run.read("request") if out.is_dir() else None
    if asked is None:
        # A process killed at its very first file leaves no more than that file's beginning.
        if out.exists() and (not out.is_dir() or any(not path.name.endswith(ASIDE) for path in out.iterdir())):
            raise UserError(f"{out}: it exists and is not a run", "Give another --out.")
        return _create(out, request)
    if asked != request:
        raise UserError(
            f"{out}: another training is here: {difference(asked, request)}", "Give another --out, or delete it."
        )
    return run


def _next_folder(first: Path, request: dict[str, Any]) -> Run:
    number = 1
    while (folder := first if number == 1 else first.with_name(f"{first.name}-{number}")).exists():
        run = Run(folder)
        if run.read("request") == request and run.read("results") is None:
            return run
        number += 1
    return _create(folder, request)


def _create(folder: Path, request: dict[str, Any]) -> Run:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made: {error.strerror}", "Give another --out.") from error
    run = Run(folder)
    run.write("request", request)
    return run


def difference(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> str:
    """The first setting in which two nested tables differ, in words; empty where none does."""
    for key in [*old, *(key for key in new if key not in old)]:
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            if below := difference(before, after, f"{prefix}{key}."):
                return below
        elif before != after:
            return f"{prefix}{key} was {before!r}, now {after!r}"
    return ""
