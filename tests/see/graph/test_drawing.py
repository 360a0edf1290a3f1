"""Drawings: well-formed, everything on them, nothing on anything else, no wider than a telephone."""

import re
from itertools import combinations

import pytest
import torch
import torchvision
from defusedxml import ElementTree
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from convolve.errors import UserError
from convolve.see.graph.computation import computation_graph
from convolve.see.graph.drawing import computation_svg, multigraph_svg, standalone
from convolve.see.graph.expression import expression_graph
from convolve.see.graph.layer_drawing import layer_svg, layer_text, rail_lanes
from convolve.see.graph.layers import layer_graph
from convolve.see.graph.layout import ROW, lay_out
from convolve.see.graph.paths import nine_paths
from convolve.see.graph.text import computation_text, paths_text
from convolve.see.tour.drawing import with_variables

_SVG = "{http://www.w3.org/2000/svg}"


def _texts(svg):
    return [element.text for element in ElementTree.fromstring(str(svg)).iter(f"{_SVG}text")]


def _boxes(svg):
    found = ElementTree.fromstring(str(svg)).iter(f"{_SVG}rect")
    return [tuple(float(rect.get(name)) for name in ("x", "y", "width", "height")) for rect in found]


def _apart(one, two):
    return (
        one[0] + one[2] <= two[0] or two[0] + two[2] <= one[0] or one[1] + one[3] <= two[1] or two[1] + two[3] <= one[1]
    )


@pytest.fixture(scope="module")
def lecture():
    return expression_graph("e=(a+b)*(b+1)", {"a": 2, "b": 1})


def test_the_lectures_graph_shows_values_partials_and_totals(lecture):
    texts = _texts(computation_svg(lecture))
    for wanted in ("c = a + b", "e = c * d", "6", "de/da = 2", "de/db = 5", "∂e/∂c = 2", "∂e/∂d = 3", "∂c/∂b = 1"):
        assert wanted in texts


@pytest.mark.parametrize("draw", ["lecture", "nine"])
def test_the_examples_fit_a_telephone_and_nothing_overlaps(draw, lecture):
    svg = computation_svg(lecture) if draw == "lecture" else multigraph_svg(nine_paths())
    root = ElementTree.fromstring(str(svg))
    left, top, width, height = map(float, root.get("viewBox").split())
    assert width <= 390
    assert all(_apart(one, two) for one, two in combinations(_boxes(svg), 2))
    for x, y, wide, tall in _boxes(svg):
        assert left <= x
        assert top <= y
        assert x + wide <= left + width
        assert y + tall <= top + height
    assert min(int(size) for size in re.findall(r"font-size:(\d+)px", str(svg))) >= 11


def test_the_nine_paths_have_six_arrows_with_names():
    texts = _texts(multigraph_svg(nine_paths()))
    assert texts.count("X") == texts.count("Y") == texts.count("Z") == 1
    assert [text[0] for text in texts if "=" in text] == list("αβγδεζ")


def test_a_file_stands_alone_and_a_page_gives_the_colours(lecture):
    svg = computation_svg(lecture)
    alone = standalone(svg)
    assert alone.startswith("<?xml")
    assert "var(" not in alone
    assert ElementTree.fromstring(alone.split("?>", 1)[1]).tag == f"{_SVG}svg"
    themed = str(with_variables(svg))
    # CSS variables mean nothing in attributes such as fill="...".
    assert re.findall(r'#[0-9A-Fa-f]{6}|(?:fill|stroke)="var', themed) == []


def test_hostile_names_are_escaped():
    graph = computation_graph(lambda **values: values["<script>&'\""] * 2, {"<script>&'\"": 1.0})
    svg = str(computation_svg(graph))
    assert "<script>" not in svg
    assert "<script>&'\"" in _texts(svg)


def test_a_graph_too_large_to_read_is_text_only():
    graph = expression_graph("; ".join(["v1 = a * 2", *(f"v{n} = v{n - 1} * 2" for n in range(2, 60))]), {"a": 1})
    assert "v59 = v58 * 2" in computation_text(graph)
    computation_svg(graph)

    def long(a):
        for _ in range(200):
            a = torch.sin(a)
        return a

    with pytest.raises(UserError, match="201 nodes"):
        computation_svg(computation_graph(long, {"a": 1.0}))


@st.composite
def graphs(draw):
    count = draw(st.integers(2, 14))
    names = [f"n{number}" for number in range(count)]
    widths = {name: draw(st.floats(40, 170)) for name in names}
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda pair: pair[0] < pair[1])
    return widths, [(names[one], names[two]) for one, two in draw(st.lists(pairs, max_size=25))]


@given(graphs())
@settings(deadline=None)
def test_any_graph_has_its_boxes_apart_and_its_links_downwards(graph):
    widths, links = graph
    layout = lay_out(widths, links)
    assert all(layout.centres[source][1] < layout.centres[target][1] for source, target in links)
    for one, two in combinations(widths, 2):
        (x, row), (other, other_row) = layout.centres[one], layout.centres[two]
        assert row != other_row or abs(x - other) >= (widths[one] + widths[two]) / 2
    for row in range(layout.rows):
        assert sum(widths[name] for name in widths if layout.centres[name][1] == row) <= ROW


def test_the_text_adds_up_paths(lecture):
    lines = computation_text(lecture).splitlines()
    assert "de/db = 5: 2 paths" in lines
    assert "  b -> d -> e  1·3  = 3" in lines
    assert "  de/db = ∂c/∂b·de/dc + ∂d/∂b·de/dd = 5" in lines
    nine = paths_text(nine_paths(), "X", "Z")
    assert "9 multiplications, 8 additions" in nine
    assert "(α + β + γ)(δ + ε + ζ)" in nine  # noqa: RUF001
    assert "1 multiplication, 4 additions" in nine


def test_of_tensors_the_text_has_norms_and_no_sum_over_paths():
    text = computation_text(computation_graph(lambda a: (a * a).sum(), {"a": torch.tensor([3.0, 4.0])}))
    assert "2, norm 5" in text
    assert "path" not in text


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_no_rail_runs_through_another_rows_dot(counts, random):
    inputs = [()]
    for count in counts:
        inputs.append(tuple(random.sample(range(len(inputs)), min(count, len(inputs)))))
    lanes = rail_lanes(inputs)
    for number, sources in enumerate(inputs):
        for source in sources:
            assert all(lanes[between] != lanes[source] for between in range(source + 1, number))


def test_a_networks_drawing_names_every_layer_and_fits_a_telephone():
    with torch.device("meta"):
        network = torchvision.models.resnet18(weights=None)
    graph = layer_graph(network, channels=3, image_hw=(224, 224))
    svg = layer_svg(graph)
    root = ElementTree.fromstring(str(svg))
    assert float(root.get("width")) <= 390
    assert len(list(root.iter(f"{_SVG}circle"))) == len(graph.rows)
    texts = " ".join(_texts(svg))
    assert all(row.name in texts for row in graph.rows)
    assert "64x112x112 · 9.41k params · 118M m-adds · sees 7/2" in texts
    # One rail an input.
    assert len(list(root.iter(f"{_SVG}path"))) == sum(len(row.inputs) for row in graph.rows)


def test_many_branches_side_by_side_leave_room_for_words():
    network = torchvision.models.DenseNet(growth_rate=2, block_config=(30,), num_init_features=4, num_classes=2)
    graph = layer_graph(network.eval(), channels=3, image_hw=(32, 32))
    texts = list(ElementTree.fromstring(str(layer_svg(graph))).iter(f"{_SVG}text"))
    # Of DejaVu, among the widest of the usual fonts.
    sizes = [float(re.search(r"font-size:(\d+)px", text.get("style")).group(1)) for text in texts]
    widths = [size * (0.63 if "600" in text.get("style") else 0.55) for text, size in zip(texts, sizes, strict=True)]
    places = [float(text.get("x")) + width * len(text.text) for text, width in zip(texts, widths, strict=True)]
    assert max(places) <= 390
    # The end of a name says which layer it is.
    assert any(text.text.endswith("denselayer30.conv2  Conv2d 3x3") for text in texts)
    assert max(map(len, layer_text(graph).splitlines())) < 180


def test_the_table_of_a_network_has_its_sums():
    lines = layer_text(layer_graph(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), channels=3, image_hw=(6, 6)))
    assert "112 parameters" in lines
    assert f"{3 * 9 * 4 * 16:,} multiply-adds" in lines
    assert re.search(r"1 +0 +Conv2d 3x3 +4x4x4 +112 +1,728 +3 +1 +256 B", lines)
