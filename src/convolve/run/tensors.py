"""Tensors with a JSON card in one safetensors file: models and checkpoints. No pickle is ever written or read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from convolve.errors import UserError
from convolve.run.files import atomic_path, no_space

VERSION = 1
_ENTRY = "convolve"


def write_tensors(path: Path, kind: str, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write tensors and their card, whole or not at all.

    Args:
        path: the file.
        kind: "model" or "checkpoint", kept in the file and compared on reading.
        tensors: any dtypes; copied to the CPU, contiguous.
        card: plain JSON values.

    Raises:
        UserError: no space is left.
    """
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    # One entry: safetensors writes several in an order that is new each time, and equal models should be equal files.
    metadata = {_ENTRY: json.dumps({"kind": kind, "version": VERSION, "card": card})}
    with atomic_path(path) as aside:
        try:
            save_file(plain, aside, metadata=metadata)
        except SafetensorError as error:
            if "No space left" in str(error):
                raise no_space(path) from error
            raise


def read_card(path: Path, kind: str) -> dict[str, Any]:
    """The card alone.

    Raises:
        UserError: the file is missing, cut short, no file of convolve's, or of another kind or a newer version.
    """
    return _read(path, kind, with_tensors=False)[1]


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name, and the card.

    Raises:
        UserError: the file is missing, cut short, no file of convolve's, or of another kind or a newer version.
    """
    return _read(path, kind, with_tensors=True)


def _read(path: Path, kind: str, *, with_tensors: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not path.is_file():
        raise UserError(f"{path}: there is no such {kind} file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()} if with_tensors else {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: cut short or damaged ({error})",
            "Restore it from a copy; or, if it is a checkpoint, delete it to start that training again.",
        ) from error
    if _ENTRY not in metadata:
        raise UserError(f"{path}: a safetensors file, but not a {kind} of convolve's")
    try:
        label = json.loads(metadata[_ENTRY])
        found, version, card = label["kind"], int(label["version"]), label["card"]
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged: its description cannot be read") from error
    if version > VERSION:
        raise UserError(f"{path}: written by a newer convolve", "Update: pip install --upgrade convolve")
    if found != kind or not isinstance(card, dict):
        raise UserError(f"{path}: a file of convolve's, but not a {kind}")
    return tensors, card
