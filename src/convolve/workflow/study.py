"""A study: a folder for several trainings that answer one question together, such as a learning curve."""

from pathlib import Path
from typing import Any

from convolve.errors import UserError
from convolve.run.files import ASIDE
from convolve.run.folder import RUNS, Run, difference

_REQUEST = "study"


def choose_study(kind: str, name: str, request: dict[str, Any], out: Path | None) -> Run:
    """The folder of a study: a new one, or the one where the same was asked for before, finished or not.

    What was asked for is kept in `study.json`, not in a run's `request.json`, so that no command takes it for a run.

    Args:
        kind: "curve" or "ladder".
        name: what to call a new folder below runs/KIND/.
        request: what is asked for, plain JSON values.
        out: the folder that the user named, or None.

    Raises:
        UserError: the named folder has another study, a training, or files that are neither.
    """
    asked = {"kind": kind, **request}
    if out is None:
        return _next_folder(RUNS / kind / name, asked)
    study = Run(out)
    kept = study.read(_REQUEST) if out.is_dir() else None
    if kept is None:
        return _create(out, asked)
    if kept["kind"] != kind:
        raise UserError(f"{out}: a {kept['kind']} is here, not a {kind}", "Give another --out.")
    if kept != asked:
        raise UserError(
            f"{out}: another {kind} is here: {difference(kept, asked).removeprefix('recipe.')}", "Give another --out."
        )
    return study


def _next_folder(first: Path, asked: dict[str, Any]) -> Run:
    number = 1
    while (folder := first if number == 1 else first.with_name(f"{first.name}-{number}")).exists():
        if folder.is_dir() and Run(folder).read(_REQUEST) == asked:
            return Run(folder)
        number += 1
    return _create(folder, asked)


def _create(folder: Path, asked: dict[str, Any]) -> Run:
    # A process killed at its very first file leaves no more than that file's beginning.
    if folder.exists() and (not folder.is_dir() or any(not path.name.endswith(ASIDE) for path in folder.iterdir())):
        what = "a training is here" if (folder / "request.json").exists() else "it exists and is something else"
        raise UserError(f"{folder}: {what}, not a {asked['kind']}", "Give another --out.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made: {error.strerror}", "Give another --out.") from error
    study = Run(folder)
    study.write(_REQUEST, asked)
    return study
