"""Results on stdout; progress and remarks on stderr."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from convolve.progress import Progress as Report

# Where nobody watches a bar, a log should stay short.
_SECONDS_BETWEEN_LINES = 10.0


def say(sentence: str) -> None:
    """A remark, on stderr."""
    print(sentence, file=sys.stderr, flush=True)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """A result for machines, on stdout; `indent=None` keeps it to one line."""
    print(json.dumps(value, indent=indent, ensure_ascii=False), flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A result for people, on stdout: the first column to the left, the others to the right."""
    table = Table(box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 160).print(table)


@contextmanager
def progress_bar() -> Iterator[Report]:
    """A bar for the work at hand, with the time to go; where stderr is no terminal, a line for each piece of work."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    console = Console(stderr=True, markup=False, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if total == 0:
                bars.console.print(what)
                return
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total, visible=done < total)

        yield report


def _lines() -> Report:
    last = time.monotonic()

    def report(what: str, done: int, total: int) -> None:
        nonlocal last
        if total == 0 or time.monotonic() - last > _SECONDS_BETWEEN_LINES:
            say(f"{what}: {done} of {total}" if total else what)
            last = time.monotonic()

    return report
