"""Files that are whole or absent."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from convolve.errors import UserError

ASIDE = ".part"
"""How the names end that files have while they are written; a killed process leaves them behind."""


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` when the block ends without an error.

    What is written reaches the disk before the name does, so a power cut leaves the old file or the new one.

    Raises:
        UserError: no space is left, or the folder is not the user's to write in; the old file is untouched.
    """
    aside: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=ASIDE)
        os.close(handle)
        aside = Path(name)
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        # mkstemp makes private files; a result is as readable as the user's other files.
        aside.chmod(0o666 & ~_umask())
        aside.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_space(path) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UserError(f"{path}: cannot be written: {error.strerror}", "Give a folder that is yours.") from error
        raise
    finally:
        if aside is not None:
            aside.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that readers see the old content or the new, never a part.

    Raises:
        UserError: no space is left; the old file is untouched.
    """
    with atomic_path(path) as aside:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)


def make_folder(path: Path) -> None:
    """Make a folder with those above it, where they are not there already.

    Raises:
        UserError: the place is not the user's to write in, or a file is in the way.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be made: {error.strerror}", "Give another folder.") from error


def no_space(path: Path) -> UserError:
    """The error for a full disk."""
    return UserError(
        f"{path}: no space left on the device",
        "Free some (`convolve cache clear` empties convolve's cache); what was finished is kept, and the same command "
        "goes on from there.",
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
