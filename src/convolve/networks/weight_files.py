"""Weight files of our own and of anybody else: tensors by name come out, and nothing in them is ever run."""

import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from convolve.errors import UserError, shown

LARGEST_BYTES = 8 * 2**30
"""No backbone that fits images on one machine is larger; a file that is, is something else."""

SUFFIXES = (".safetensors", ".pth", ".pt")

# torch.hub's convention, for example resnet18-f37072fd.pth: the first hexadecimal digits of the file's SHA-256.
_NAMED_BY_HASH = re.compile(r"-([0-9a-fA-F]{8,64})\.(?:pth|pt)")
# Under which names training scripts keep the tensors beside their optimiser and epoch.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_DATA_PARALLEL = "module."
_WITHIN = re.compile(r"^(backbone\.)+")


@dataclass(frozen=True)
class WeightFile:
    """What a file holds.

    Attributes:
        tensors: on the CPU, by the names of the backbone's layers; those of a head or of a classifier as they were.
        notes: what was unwrapped to get them, for the user, in words.
    """

    tensors: dict[str, Tensor]
    notes: tuple[str, ...]


def read_weight_file(path: Path) -> WeightFile:
    """The tensors of a weight file.

    A `.safetensors` file cannot hold code. A `.pth` or `.pt` file is a pickle, read by PyTorch's restricted reader
    (`weights_only=True`), which refuses whatever is not a tensor or a plain value. Accepted around the tensors: a
    dictionary that has them as "state_dict", "model_state_dict" or "model"; the prefix "module." on every name, left
    by DataParallel; the prefix "backbone.", by which whole networks of ours keep theirs. Each is told in `notes`.

    Args:
        path: the file; a name like NAME-1a2b3c4d.pth states the beginning of its SHA-256, as torch.hub's do, and is
            held to it.

    Raises:
        UserError: there is no such file, it is damaged, too large, not the one its name says, would run code, or
            holds no tensors by name.
    """
    _check_outside(path)
    content = _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)
    notes = []
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            notes.append(f'the tensors were under "{wrapper}"')
            break
    tensors = _tensors_of(content)
    if not tensors:
        raise UserError(
            f"{path}: holds {_described(content)}, not tensors by name",
            "Save the tensors alone: torch.save(model.state_dict(), FILE).",
        )
    if all(name.startswith(_DATA_PARALLEL) for name in tensors):
        tensors = {name.removeprefix(_DATA_PARALLEL): tensor for name, tensor in tensors.items()}
        notes.append('"module." (DataParallel) was taken off every name')
    # Repeatedly: joined features, and means over copies, keep a backbone within the backbone.
    plain = {_WITHIN.sub("", name): tensor for name, tensor in tensors.items()}
    if plain.keys() != tensors.keys():
        notes.append('"backbone." was taken off the names')
    return WeightFile(plain, tuple(notes))


def _check_outside(path: Path) -> None:
    """All that can be said before anything of the content is read."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such file", f"Give a {', '.join(SUFFIXES)} file, or a finished run.")
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: not the name of a weight file", f"Known endings: {', '.join(SUFFIXES)}.")
    size = path.stat().st_size
    if path.suffix != ".safetensors" and zipfile.is_zipfile(path):
        # Compressed archives can be of any size inside.
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
        except zipfile.BadZipFile as error:
            raise _damaged(path, str(error)) from error
    if size > LARGEST_BYTES:
        raise UserError(
            f"{path}: {size / 2**30:.1f} GB, more than the {LARGEST_BYTES / 2**30:.0f} GB that weights may have",
            "Give a file with the tensors of one network alone.",
        )
    stated = _NAMED_BY_HASH.search(path.name)
    if stated:
        with path.open("rb") as stream:
            digest = file_digest(stream, "sha256").hexdigest()
        if not digest.startswith(stated[1].lower()):
            raise UserError(
                f"{path}: its SHA-256 begins with {digest[: len(stated[1])]}, not with {stated[1]} as its name says",
                "Download it again; if the name only looks like a hash (a date does), rename it.",
            )


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _damaged(path, str(error)) from error


def _pickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # About protocols and archives of other kinds: if they matter, reading fails, and that is told below.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    # A damaged or hostile file can make the reader fail in any way.
    except Exception as error:
        words = str(error)
        if asked := re.search(r"GLOBAL (\S{1,100})", words):
            raise UserError(
                f"{path}: it is a pickle that asks for '{asked[1].encode('ascii', 'replace').decode()}', which is no "
                "tensor; refused, for such a file can run anything",
                "If you trust it, take the tensors out where it was made: torch.save(model.state_dict(), FILE).",
            ) from error
        if "TorchScript" in words:
            raise UserError(
                f"{path}: a TorchScript program, which is not run",
                "Save the tensors alone: torch.save(model.state_dict(), FILE).",
            ) from error
        sentences = [line.strip() for line in words.splitlines() if line.strip()]
        if any(line.startswith("Unsupported operand") for line in sentences):
            raise UserError(
                f"{path}: cut short, damaged or no weight file, perhaps a pickle of more than tensors; refused",
                "Restore it from a copy, or save the tensors alone: torch.save(model.state_dict(), FILE).",
            ) from error
        reason = sentences[0].split(". ")[0] if sentences else "it ends too early"
        raise _damaged(path, reason) from error


def _tensors_of(content: Any) -> dict[str, Tensor]:
    """Those entries that are plain arrays of real numbers under a name; a counter or a note beside them is no fault."""
    entries = content.items() if isinstance(content, Mapping) else ()
    return {
        name: value.detach()
        for name, value in entries
        if isinstance(name, str)
        and isinstance(value, Tensor)
        and value.layout is torch.strided
        and not (value.is_complex() or value.is_quantized or value.is_meta)
    }


def _described(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"a dictionary of {shown(map(repr, content)) or 'nothing'}"
    return f"one {type(content).__name__}"


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path}: cut short, damaged or no weight file ({reason})", "Restore it from a copy, or download it again."
    )
