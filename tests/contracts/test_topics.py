"""What every topic of the tour promises."""

import ast
import inspect
import json
import re

import pytest
from defusedxml import ElementTree

from convolve.see.tour.drawing import WIDTH
from convolve.see.tour.topic import TOPICS
from see.tour.topics.sections import section_of

NAMES = list(TOPICS)
# The others call it _seed: what they compute leaves nothing to chance.
DRAWN_BY_CHANCE = [name for name in NAMES if "seed" in inspect.signature(TOPICS[name].compute).parameters]
# They state how long something took.
TIMED = {"small-filters", "saddle-points"}
_REFERENCE = re.compile(r"""(?:href|src)\s*=\s*["'](?P<target>[^"']*)|url\((?P<link>[^)]*)\)""")


def sentences(text):
    """The parts that end with a full stop before a space and a capital, or at the end."""
    return re.split(r"(?<=[.])\s+(?=[A-Z0-9])", text)


def width_in_inches(svg):
    number, unit = re.match(r"([\d.]+)(pt|px|)$", ElementTree.fromstring(svg).get("width")).groups()
    return float(number) / (72 if unit == "pt" else 96)


def test_there_are_topics_and_their_order_is_unique():
    assert len(NAMES) >= 8
    orders = [TOPICS[name].order for name in NAMES]
    assert len(set(orders)) == len(orders)


def test_clip_paths_are_unique_on_the_page():
    drawings = [str(figure.svg) for name in NAMES for figure in section_of(name).figures]
    found = [identity for svg in drawings for identity in re.findall(r'<clipPath id="([^"]+)"', svg)]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("name", DRAWN_BY_CHANCE)
def test_the_same_seed_gives_the_same_section(name):
    first, again = section_of(name), TOPICS[name].compute(0)
    if name in TIMED:
        first, again = (
            {key: value for key, value in section.numbers.items() if key != "measured"} for section in (first, again)
        )
    assert first == again


@pytest.mark.parametrize("name", NAMES)
class TestEveryTopic:
    def test_is_registered_by_its_own_name(self, name):
        assert TOPICS[name].name == name

    def test_says_its_idea_in_two_sentences(self, name):
        idea = TOPICS[name].idea
        assert idea.endswith(".")
        assert len(sentences(idea)) == 2, sentences(idea)

    def test_has_words_code_and_source(self, name):
        topic = TOPICS[name]
        assert topic.title.strip()
        assert topic.source.strip()
        assert topic.code.startswith("convolve ") or ast.parse(topic.code).body

    def test_shows_something(self, name):
        section = section_of(name)
        assert section.figures
        assert all(figure.caption.strip().endswith(".") for figure in section.figures)

    def test_numbers_are_plain_json(self, name):
        numbers = section_of(name).numbers
        assert numbers
        assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers

    def test_figures_are_well_formed_and_ask_for_nothing_outside(self, name):
        for figure in section_of(name).figures:
            svg = str(figure.svg)
            root = ElementTree.fromstring(svg)
            assert root.tag.endswith("svg")
            assert root.get("aria-label")
            for found in _REFERENCE.finditer(svg):
                target = (found["target"] or found["link"] or "").strip("'\" ")
                assert target.startswith(("#", "data:image/")), target

    def test_figures_have_the_pages_colours(self, name):
        # Others than its variables do not change with the ground; black and white are within clip paths and pictures.
        for figure in section_of(name).figures:
            drawn = re.sub(r"base64,[^\"']*", "", str(figure.svg))
            assert set(re.findall(r"#[0-9a-fA-F]{6}\b", drawn)) <= {"#000000", "#ffffff"}

    def test_figures_are_no_wider_than_a_telephone_can_show(self, name):
        assert all(width_in_inches(str(figure.svg)) <= WIDTH + 0.01 for figure in section_of(name).figures)

    def test_tables_are_rectangles(self, name):
        for table in section_of(name).tables:
            assert all(len(row) == len(table.columns) for row in table.rows)
            assert all(isinstance(cell, str) for row in table.rows for cell in row)
