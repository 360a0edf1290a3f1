import re

import pytest

from readme.pages import PAGES, ROOT

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
LINKS = [(page, target) for page in PAGES for target in _LINK.findall(page.read_text())]


def anchors(page):
    """GitHub's: small letters, without punctuation, blanks to hyphens."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_pages_are_found():
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md"} <= {page.name for page in PAGES}
    assert len(LINKS) >= 10


@pytest.mark.parametrize(("page", "target"), LINKS, ids=lambda value: getattr(value, "name", value))
def test_a_link_leads_somewhere(page, target):
    if target.startswith("https://"):
        return
    path, _, anchor = target.partition("#")
    linked = (page.parent / path).resolve() if path else page
    assert linked.is_file()
    assert not anchor or anchor in anchors(linked)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_figure_is_left_to_be_filled_in(page):
    assert re.findall(r"@@\w+@@|FIGURE\(", page.read_text()) == []


def test_the_architecture_page_names_what_there_is():
    text = (ROOT / "docs" / "architecture.md").read_text()
    places = re.findall(r"`((?:src|tests)/[\w/.]+)`", text)
    assert len(places) >= 10
    assert [place for place in places if not (ROOT / place).parent.is_dir()] == []
    named = [place for place in places if "NAME" not in place]
    assert [place for place in named if not (ROOT / place).exists()] == []


def test_the_architecture_page_names_every_layer():
    import tomllib

    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [layer.strip() for line in contract["layers"] for layer in line.split("|")]
    rows = re.findall(r"^\| (`.+?) \|", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    assert re.findall(r"`(\w+)`", " ".join(rows)) == layers
