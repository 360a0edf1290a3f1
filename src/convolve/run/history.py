"""What happened epoch by epoch: JSON lines for machines, TensorBoard for eyes."""

import json
from pathlib import Path
from typing import Any

from convolve.run.files import write_atomically


class History:
    """The epochs of one training, kept in `history.jsonl` and mirrored to `tensorboard/`.

    Args:
        folder: the run's folder.
        epochs: what had happened up to the checkpoint that training goes on from; later lines are dropped.
    """

    def __init__(self, folder: Path, epochs: list[dict[str, Any]]) -> None:
        # TensorBoard takes a second to import, which commands that train nothing should not pay.
        from torch.utils.tensorboard import SummaryWriter

        self._path = folder / "history.jsonl"
        self.epochs = list(epochs)
        self._write()
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=len(epochs) + 1)

    def add(self, entry: dict[str, Any]) -> None:
        """Keep one epoch: numbers, or tables of numbers one level deep."""
        self.epochs.append(entry)
        self._write()
        for name, value in entry.items():
            figures = {f"{name}/{key}": v for key, v in value.items()} if isinstance(value, dict) else {name: value}
            for tag, number in figures.items():
                self._board.add_scalar(tag, number, entry["epoch"])
        self._board.flush()

    def close(self) -> None:
        """Finish the TensorBoard file."""
        self._board.close()

    def _write(self) -> None:
        write_atomically(self._path, "".join(json.dumps(entry) + "\n" for entry in self.epochs))


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The epochs written so far; none before the first has ended."""
    path = folder / "history.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
