import json

import pytest
from bs4 import BeautifulSoup

from faces.cli.terminal import convolve, refused, succeeds


def test_some_topics_make_a_page_in_the_order_of_the_tour(elsewhere):
    answer = succeeds("tour", "backpropagation", "neuron", "neuron")
    page = BeautifulSoup((elsewhere / "tour.html").read_text(), "html.parser")
    assert [heading["id"] for heading in page.find_all("h2")] == ["neuron", "backpropagation"]
    assert "convolve tour backpropagation neuron" in page.find("code").text
    assert answer.out.splitlines()[-1] == "page: tour.html"
    assert [path.name for path in elsewhere.iterdir()] == ["tour.html"]


def test_one_topic_is_the_headline_and_needs_no_contents(elsewhere):
    succeeds("tour", "forward-pass", "--out", "one.html")
    page = BeautifulSoup((elsewhere / "one.html").read_text(), "html.parser")
    assert page.find(class_="headline").text == "The forward pass"
    assert page.nav is None


def test_json_has_every_number_and_nothing_that_is_not_json(elsewhere):
    answer = succeeds("tour", "backpropagation", "softmax", "--json", "--out", "t.html")

    def refuse(name: str) -> None:
        raise AssertionError(name)

    told = json.loads(answer.out, parse_constant=refuse)
    assert told["page"] == "t.html"
    assert set(told["topics"]) == {"backpropagation", "softmax"}
    assert all(0 <= numbers["seconds"] < 60 for numbers in told["topics"].values())


def test_the_list_names_all_topics_and_computes_none(elsewhere):
    told = succeeds("tour", "--list", "--json").json
    lines = succeeds("tour", "--list").out.splitlines()
    names = [topic["name"] for topic in told]
    assert (names[0], names[-1], len(names)) == ("neuron", "detection", len(set(names)))
    assert {"convolution", "saddle-points", "dropout", "batch-norm", "transfer", "segmentation"} <= set(names)
    assert all(set(topic) == {"name", "title", "idea"} for topic in told)
    assert [line.split()[0] for line in lines[-len(names) :]] == names
    assert list(elsewhere.iterdir()) == []


def test_another_seed_draws_other_numbers_and_the_page_says_which(elsewhere):
    drawn = [succeeds("tour", "softmax", "--seed", seed, "--json").json["topics"]["softmax"] for seed in (0, 1, 1)]
    for numbers in drawn:
        del numbers["seconds"]
    assert drawn[0] != drawn[1] == drawn[2]
    assert "convolve tour softmax --seed 1" in (elsewhere / "tour.html").read_text()


def test_a_mistyped_topic_is_refused_with_the_nearest(elsewhere):
    assert "Did you mean 'convolution'?" in refused("tour", "neuron", "convolutoin")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("out", "words"),
    [
        (".", "that is a folder"),
        ("missing/tour.html", "there is no folder missing"),
        ("file.txt/tour.html", "there is no folder file.txt"),
        ("x" * 300, "cannot be written: File name too long"),
        # Nobody may make a file there, not even root.
        ("/proc/tour.html", "cannot be written"),
    ],
)
def test_a_page_that_cannot_be_written_is_refused_before_work_starts(elsewhere, out, words):
    (elsewhere / "file.txt").write_text("kept")
    refusal = refused("tour", "neuron", "--out", out)
    assert words in refusal
    assert "--out" in refusal
    assert [path.name for path in elsewhere.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("seed", ["-1", "much"])
def test_a_seed_that_is_none_is_refused(elsewhere, seed):
    answer = convolve("tour", "neuron", "--seed", seed)
    assert answer.code == 2
    assert "--seed" in answer.err
    assert list(elsewhere.iterdir()) == []
