"""The page of the tour, read as a file and opened in a real browser."""

import re

import numpy as np
import pytest
from bs4 import BeautifulSoup

from convolve.progress import silent
from convolve.see.tour.page import Stop, all_topics, walk, write_tour
from convolve.see.tour.topic import TOPICS, Section, Table, Topic
from see.tour.browser import CHROMIUM, headless_browser

QUICK = ("neuron", "forward-pass", "softmax", "backpropagation", "augmentation", "imagenet-history", "transfer")
"""With charts, hand-drawn graphs, pictures, plain text and wide tables."""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of the quick topics; to be read only."""
    path = tmp_path_factory.mktemp("tour") / "tour.html"
    write_tour(path, walk([TOPICS[name] for name in QUICK], seed=0, progress=silent), command="convolve tour")
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with headless_browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


def test_the_page_asks_for_no_other_file_and_has_no_scripts(page):
    found = BeautifulSoup(page.read_text(), "html.parser")
    assert not found.find_all(["script", "link", "iframe", "object", "embed"])
    for element in found.find_all(True):
        assert not [name for name in element.attrs if name.startswith("on")], element.name
        for name in ("src", "href", "xlink:href", "data", "poster", "srcset"):
            value = element.get(name, "#")
            assert value.startswith(("#", "data:image/png;base64,")), value
    assert not [at for at in re.findall(r"url\(([^)]*)\)", page.read_text()) if not at.strip("\"'").startswith("#")]
    assert "@import" not in page.read_text()


def test_every_link_of_the_page_leads_to_a_place_on_it(page):
    found = BeautifulSoup(page.read_text(), "html.parser")
    ids = [element["id"] for element in found.find_all(id=True)]
    assert len(ids) == len(set(ids))
    assert [link["href"] for link in found.nav.find_all("a")] == [f"#{name}" for name in QUICK]
    used = {a.get("href") or a.get("xlink:href") for a in found.find_all(["a", "use"])}
    used |= {f"#{name}" for name in re.findall(r"url\(#([^)]*)\)", page.read_text())}
    assert used <= {f"#{name}" for name in ids}


def test_every_section_has_its_idea_its_figures_in_words_and_its_code(page):
    sections = BeautifulSoup(page.read_text(), "html.parser").find_all("section")
    for name, section in zip(QUICK, sections, strict=True):
        topic = TOPICS[name]
        assert section.find(class_="idea").text == topic.idea
        assert section.find_all("code")[-1].text == topic.code
        assert topic.source in section.find(class_="source").text
        for figure in section.find(class_="charts").find_all("figure"):
            assert figure.svg["role"] == "img"
            assert len(figure.svg["aria-label"]) > 10
            assert len(figure.figcaption.text) > 10


def test_the_same_seed_gives_the_same_page_but_for_the_seconds(page, tmp_path):
    again = tmp_path / "again.html"
    write_tour(again, walk([TOPICS[name] for name in QUICK], seed=0, progress=silent), command="convolve tour")
    seconds = re.compile(rb"Computed in [\d.]+ s\.|\nin? ?[\d.]+ (?:ms|s|min)[^;]*;|\n[\d.]+ m?s;")
    assert seconds.sub(b"", again.read_bytes()) == seconds.sub(b"", page.read_bytes())


def test_text_of_a_topic_stays_text(tmp_path):
    bad = "<script>alert(1)</script>"
    table = Table(columns=(bad, bad), rows=((bad, bad),), caption=bad)
    section = Section(tables=(table,), text=bad)
    topic = Topic(name="t", order=1, title=bad, idea=bad, code=bad, source=bad, compute=lambda _seed: section)
    write_tour(tmp_path / "tour.html", walk([topic], seed=0, progress=silent), command=bad)
    found = BeautifulSoup((tmp_path / "tour.html").read_text(), "html.parser")
    assert not found.find_all("script")
    assert found.get_text().count(bad) == 12


def test_topics_stand_in_their_order_and_ideas_are_short():
    topics = all_topics()
    assert [topic.order for topic in topics] == sorted({topic.order for topic in topics})
    assert topics[0].name == "neuron"
    for topic in topics:
        sentences = re.findall(r"[.!?](?= [A-Z]|$)", topic.idea)
        assert len(sentences) == 2, topic.name
        assert len(topic.idea) < 320, topic.name


@pytest.mark.parametrize("name", [topic.name for topic in all_topics() if not topic.code.startswith("convolve ")])
def test_the_code_of_a_topic_runs_as_it_stands(name, capsys):
    exec(compile(TOPICS[name].code, name, "exec"), {})  # noqa: S102 - our own code
    assert re.search(r"\d", capsys.readouterr().out)


def test_columns_of_numbers_are_told_from_columns_of_words():
    table = Table(
        columns=("name", "number", "share", "size", "words", "formula", "gaps"),
        rows=(
            ("1", "2.2e-16", "14.8 %", "32 x 32", "7 networks", "1 / (1 + e^-a)", ""),
            ("2", "-1", "3.57 %", "224 x 224", "5 networks, 144 crops", "max(a, 0)", "12"),
            ("3", "not reached", "7 %", "4 x 4", "ensemble", "base · 0.5^it", ""),
        ),
    )
    assert table.numeric == [False, True, True, True, False, False, True]


def test_the_walk_tells_its_progress_and_gives_the_threads_back():
    told = []
    section = Section()
    topic = Topic(name="t", order=1, title="t", idea="", code="", source="", compute=lambda _seed: section)
    [stop] = walk([topic], seed=0, progress=lambda *what: told.append(what))
    assert stop == Stop(topic, section, stop.seconds)
    assert told == [("touring", 0, 1), ("touring", 1, 1)]


def _luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)": WCAG 2.2, definition of relative luminance."""
    shares = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


# Of what is neither wider than the page nor in a box that scrolls, nothing may stand out on the right.
_OUTSIDE = """[...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, pre") &&
    e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
_CUT = """[...document.querySelectorAll("svg text")].filter(e => {
    const text = e.getBoundingClientRect(), svg = e.closest("svg").getBoundingClientRect();
    return text.left < svg.left - 2 || text.right > svg.right + 2 || text.top < svg.top - 2 ||
        text.bottom > svg.bottom + 2; }).map(e => e.textContent)"""
# A letter's size on the screen: the drawing is scaled to the page.
_SMALLEST = """Math.min(...[...document.querySelectorAll("svg text")].map(e => {
    const scale = e.getScreenCTM();
    return parseFloat(getComputedStyle(e).fontSize) * Math.hypot(scale.a, scale.b); }))"""
# What letters are drawn in, on the page and in the figures.
_COLOURS = """[...new Set([...document.querySelectorAll("p, td, th, figcaption, code, h1, h2, a, li, svg text")].map(
    e => e.closest("svg") ? getComputedStyle(e).fill : getComputedStyle(e).color))]"""


@pytest.mark.parametrize("colour_scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1440])
def test_a_browser_shows_the_page_whole_and_readable(browser, page, width, colour_scheme):
    browser.open(page, width=width, colour_scheme=colour_scheme)
    assert browser.complaints() == []
    asked = [url for url in browser.requested() if not url.startswith("data:image/png")]
    assert asked == [page.as_uri()]
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(_OUTSIDE) == []
    assert browser.value(_CUT) == []
    assert browser.value(_SMALLEST) >= 8.5
    ground = browser.value("getComputedStyle(document.body).backgroundColor")
    assert (_luminance(ground) > 0.5) == (colour_scheme == "light")
    contrasts = {colour: _contrast(colour, ground) for colour in browser.value(_COLOURS)}
    assert min(contrasts.values()) >= 4.5, contrasts


def test_black_on_white_has_the_contrast_of_the_guideline():
    assert _contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21)
    assert _contrast("rgb(118, 118, 118)", "rgb(255, 255, 255)") == pytest.approx(4.54, abs=0.01)
