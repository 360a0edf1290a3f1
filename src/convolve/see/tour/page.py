"""The page of the tour: one file that asks for no other, without scripts."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from convolve.progress import Progress
from convolve.see.report.template import write_page
from convolve.see.tour.topic import TOPICS, Section, Topic


@dataclass(frozen=True)
class Stop:
    """A topic that was computed.

    Attributes:
        topic: the idea.
        section: what came of it.
        seconds: what computing it took.
    """

    topic: Topic
    section: Section
    seconds: float


def all_topics() -> list[Topic]:
    """Every topic, in the order of the page."""
    return sorted((TOPICS[name] for name in TOPICS), key=lambda topic: topic.order)


def walk(topics: Sequence[Topic], *, seed: int, progress: Progress) -> list[Stop]:
    """Compute topics, one after the other.

    Args:
        topics: in the order of the page.
        seed: of all that is drawn.
        progress: told of every topic.
    """
    stops = []
    threads = torch.get_num_threads()
    # The networks are so small that threads wait for one another longer than they work.
    torch.set_num_threads(1)
    try:
        for number, topic in enumerate(topics):
            progress("touring", number, len(topics))
            started = time.perf_counter()
            section = topic.compute(seed)
            stops.append(Stop(topic, section, time.perf_counter() - started))
    finally:
        torch.set_num_threads(threads)
    progress("touring", len(topics), len(topics))
    return stops


def write_tour(path: Path, stops: Sequence[Stop], *, command: str) -> None:
    """Write the page, whole or not at all.

    Args:
        path: of the HTML file.
        stops: what was computed.
        command: what makes the page again.

    Raises:
        UserError: no space is left.
    """
    write_page(path, "tour.html.jinja", stops=stops, seconds=sum(stop.seconds for stop in stops), command=command)
