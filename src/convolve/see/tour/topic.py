"""A topic of the tour: one idea, computed live."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from convolve.registry import Registry

# A number with what may follow it (2.2e-16, 14.8 %, 41 s, 32 x 32), but no words.
_NUMBER = re.compile(r"[-\u2212]?\d(?!.*[^\W\d_]{2})")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawing.

    Attributes:
        svg: an <svg> element from `convolve.see.tour.drawing`, readable on light and on dark ground.
        caption: what it shows, and where its numbers are from.
    """

    svg: Markup
    caption: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """Numbers in rows.

    Attributes:
        columns: their names.
        rows: text, the first cell names the row.
        caption: what it shows.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    @property
    def numeric(self) -> list[bool]:
        """Whether a column's cells are numbers, most of them: such columns are flush right.

        The first column is not: it names the rows.
        """
        cells = [[row[place] for row in self.rows if row[place]] for place in range(len(self.columns))]
        return [
            place > 0 and 2 * sum(_NUMBER.match(cell) is not None for cell in column) > len(column)
            for place, column in enumerate(cells)
        ]


@dataclass(frozen=True, kw_only=True)
class Section:
    """What a topic has computed.

    Attributes:
        figures: in reading order.
        tables: likewise.
        numbers: every number that the section states, plain JSON values: what tests compare with hand-worked ones, and
            `convolve tour --json` prints.
        text: a figure in plain letters, such as a graph; empty = none.
    """

    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One idea of the field.

    Attributes:
        name: what the command line calls it, for example "convolution".
        order: its place on the page, ascending.
        title: of its section.
        idea: in two sentences.
        code: the command or the line of code that makes this figure with the same software.
        source: the papers.
        compute: makes the section, in a few seconds on one core, from the seed alone.
    """

    name: str
    order: int
    title: str
    idea: str
    code: str
    source: str
    compute: Callable[[int], Section]


TOPICS: Registry[Topic] = Registry("topic", "convolve.see.tour.topics")
