import pytest

from see.tour.topics.sections import section_of


def test_one_step_beside_a_saddle():
    steps = section_of("saddle-points").numbers["one_step"]
    assert steps["newton"] == [0, 0]
    assert steps["saddle_free_newton"] == [0, 1]
    # (1, .5) - .1 (2, -1)
    assert steps["gradient_descent"] == pytest.approx([0.8, 0.6])


def test_on_the_network():
    numbers = section_of("saddle-points").numbers
    steps = numbers["steps_to_arrive"]
    assert steps["newton"] is None
    assert 4 * steps["saddle_free_newton"] < steps["momentum"]
    assert numbers["newton_slopes"][-1] < 1e-15
    assert numbers["newton_losses"][-1] > numbers["saddle_loss"] > numbers["lowest_loss"]


def test_is_told_in_three_figures_and_a_table():
    section = section_of("saddle-points")
    assert len(section.figures) == 3
    (table,) = section.tables
    assert list(table.rows[-2][:2]) == ["Newton", "not reached"]
    assert table.rows[-1][:2] == ["saddle-free Newton", str(section.numbers["steps_to_arrive"]["saddle_free_newton"])]
