"""How much main memory work takes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

_SECONDS_BETWEEN_LOOKS = 0.05


@dataclass
class Memory:
    """Resident memory of this process, bytes: when the work began, and the most there was since."""

    before: int
    peak: int


@contextmanager
def watched_memory() -> Iterator[Memory]:
    """Look at the process's memory time and again while the block runs."""
    process = psutil.Process()
    now = process.memory_info().rss
    memory, stopped = Memory(now, now), threading.Event()

    def look() -> None:
        while not stopped.wait(_SECONDS_BETWEEN_LOOKS):
            memory.peak = max(memory.peak, process.memory_info().rss)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield memory
    finally:
        stopped.set()
        watcher.join()
        memory.peak = max(memory.peak, process.memory_info().rss)
