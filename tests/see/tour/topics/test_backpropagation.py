"""The two worked examples, and how work grows."""

import pytest

from see.tour.topics.sections import section_of


@pytest.fixture(scope="module")
def section():
    return section_of("backpropagation")


def test_first_example(section):
    numbers = section.numbers
    assert numbers["values"] == {"a": 2, "b": 1, "c": 3, "d": 2, "e": 6}
    assert numbers["derivatives"] == {"a": 2, "b": 5, "c": 2, "d": 3, "e": 1}
    assert numbers["partials"] == {"dc/da": 1, "dc/db": 1, "dd/db": 1, "de/dc": 2, "de/dd": 3}
    assert "de/db" in section.text


def test_nine_paths(section):
    nine = section.numbers["nine_paths"]
    assert sorted(nine["products"]) == sorted(i * j for i in (2, 3, 5) for j in (7, 11, 13))
    assert nine["sum_over_paths"] == nine["factored"] == (2 + 3 + 5) * (7 + 11 + 13)
    assert nine["operations_of_sum"] == {"multiplications": 9, "additions": 8}
    assert nine["operations_of_factored"] == {"multiplications": 1, "additions": 4}


def test_paths_grow_exponentially_and_edges_do_not(section):
    growth = section.numbers["growth"]
    assert growth["paths"] == [3**depth for depth in range(1, 11)]
    assert growth["edge_visits"] == [3 * depth for depth in range(1, 11)]
