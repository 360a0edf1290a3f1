"""What every topic of convolutional networks keeps to: size, form, colours, and that it repeats."""

import json
import re
from xml.etree import ElementTree as ET

import pytest

from convolve.see.tour.topic import TOPICS
from see.tour.topics.sections import section_of

NAMES = [
    *("convolution", "pooling", "receptive-fields", "small-filters", "architectures", "imagenet-history"),
    *("seeing", "augmentation", "transfer", "segmentation", "detection"),
]


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


def test_figures_are_small_well_formed_and_follow_the_page(name):
    section = section_of(name)
    assert section.figures
    for figure in section.figures:
        root = ET.fromstring(figure.svg)  # noqa: S314 - our own drawing
        assert float(root.get("width").removesuffix("pt")) <= 332
        assert root.get("aria-label")
        assert figure.caption
        colours = set(re.findall(r"#[0-9a-fA-F]{6}\b", re.sub(r"base64,[^\"']*", "", figure.svg)))
        assert colours <= {"#000000", "#ffffff"}
    json.dumps(section.numbers)
    assert all(len(row) == len(table.columns) for table in section.tables for row in table.rows)


def test_a_section_repeats_bit_for_bit_but_for_timings(name):
    first, again = (section_of(name), TOPICS[name].compute(0))
    without = [
        {key: value for key, value in section.numbers.items() if key != "measured"} for section in (first, again)
    ]
    assert without[0] == without[1]
    if name != "small-filters":
        assert first == again
    else:
        assert first.figures[0] == again.figures[0]


def test_what_the_topics_say(name):
    topic = TOPICS[name]
    assert topic.name == name
    assert 120 <= topic.order <= 220
    assert topic.idea.count(".") >= 2
    assert topic.code
    assert topic.source
