import pytest
from defusedxml import ElementTree

from faces.cli.terminal import refused, succeeds


def test_an_expression_is_shown_as_text_json_and_a_drawing(elsewhere):
    words = ("graph", "e=(a+b)*(b+1)", "a=2", "b=1")
    assert "de/db = 5: 2 paths" in succeeds(*words, "--out", "graph.svg").out
    assert ElementTree.parse("graph.svg").getroot().tag.endswith("svg")
    found = succeeds(*words, "--json").json
    nodes = {node["name"]: node for node in found["nodes"]}
    assert (nodes["e"]["value"], nodes["a"]["total"], nodes["b"]["total"]) == (6, 2, 5)
    assert {(edge["from"], edge["to"]): edge["partial"] for edge in found["edges"]}["d", "e"] == 3


def test_the_micro_sign_of_a_keyboard_is_the_letter_that_the_expression_has(elsewhere):
    found = succeeds("graph", "e=\u00b5*2", "\u00b5=3", "--json").json
    assert {node["name"]: node["value"] for node in found["nodes"]} == {"\u03bc": 3, "e": 6}


def test_a_network_is_shown_layer_by_layer(elsewhere):
    assert "61,932 parameters" in succeeds("graph", "lenet5", "--channels", "1", "--size", "32", "--out", "n.svg").out
    assert ElementTree.parse("n.svg").getroot().tag.endswith("svg")
    # torchvision's documentation: 11,689,512 parameters.
    found = succeeds("graph", "torchvision:resnet18", "--json").json
    assert found["parameters"] == sum(row["parameters"] for row in found["rows"]) == 11_689_512


def test_a_run_is_shown_with_the_images_it_takes(run):
    found = succeeds("graph", str(run), "--json").json
    assert found["rows"][-1]["shape"] in ([1], [2])
    assert succeeds("graph", str(run / "model.safetensors"), "--json").json == found


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("e=a*b", "a=1"), "no value is given for b"),
        (("e=a*b", "a=1", "b=x"), "not of the form name=number"),
        (("e=a*b", "a=1", "b=2", "a=3"), "'a' has two values"),
        (("e=a/b", "a=1", "b=0"), "division by zero"),
        (("e=__import__('os')", "a=1"), "unknown function"),
        (("e=a", "a=1", "--size", "3"), "for networks"),
        (("e=a*2", "a=1", "--out", "x.png"), "SVG"),
        (("e=a*2", "a=1", "--out", "nowhere/x.svg"), "no folder"),
        (("e=a*2", "a=1", "--out", "."), "is a folder"),
        (("e=a*2", "a=1", "--out", ""), "is a folder"),
        (("e=a*2", "a=1", "--out", "folder.svg"), "is a folder"),
        (("e=a*2", "a=1", "--out", "x" * 300 + ".svg"), "cannot be written"),
        (("",), "empty"),
        (("residual", "a=1"), "takes no values"),
        (("patch-nt",), "Did you mean 'patch-net'"),
        (("resnet18",), "torchvision:resnet18"),
        (("runs/nothing",), "no such run or model file"),
        (("lenet5", "--size", "40"), "28 x 28 or 32 x 32"),
    ],
)
def test_what_cannot_be_shown_is_told(words, told, elsewhere):
    (elsewhere / "folder.svg").mkdir()
    assert told in refused("graph", *words)
    assert [path.name for path in elsewhere.iterdir()] == ["folder.svg"]
