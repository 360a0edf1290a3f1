"""What an expression may say, and what is answered to everything else."""

import math
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convolve.errors import UserError
from convolve.see.graph.expression import expression_graph, parse


def test_the_lectures_example():
    graph = expression_graph("e=(a+b)*(b+1)", {"a": 2, "b": 1})
    assert (graph["e"].value, graph["a"].total, graph["b"].total) == (6, 2, 5)
    assert (graph["c"].value, graph["d"].value) == (3, 2)


@pytest.mark.parametrize("separator", [";", "\n", " ; "])
def test_assignments_name_the_nodes(separator):
    graph = expression_graph(separator.join(["p=a+b", "q=b+1", "e=p*q"]), {"a": 2, "b": 1})
    assert [node.name for node in graph.nodes] == ["a", "b", "p", "q", "e"]
    assert graph["b"].total == 5


def test_numbers_in_the_text_are_inputs():
    graph = expression_graph("a = 2; b = -1; a ** 2 * b", {})
    assert [(node.name, node.value, node.total) for node in graph.inputs] == [("a", 2, -4), ("b", -1, 4)]


def test_a_new_name_for_an_old_value_is_a_node():
    graph = expression_graph("c = a; c * c", {"a": 3})
    assert graph["c"].text == "copy(a)"
    assert graph["a"].total == 6
    assert expression_graph("c = +a", {"a": 3}).output == "c"


@pytest.mark.parametrize("name", ["self", "function", "inputs", "values"])
def test_names_that_python_uses_are_names_like_others(name):
    assert expression_graph(f"e = {name} * {name}", {name: 3})[name].total == 6


@pytest.mark.parametrize(
    ("text", "value", "slope"),
    [
        ("exp(x)", math.exp(0.3), math.exp(0.3)),
        ("log(x)", math.log(0.3), 1 / 0.3),
        ("sin(x)", math.sin(0.3), math.cos(0.3)),
        ("cos(x)", math.cos(0.3), -math.sin(0.3)),
        ("tanh(x)", math.tanh(0.3), 1 - math.tanh(0.3) ** 2),
        ("sigmoid(x)", 1 / (1 + math.exp(-0.3)), math.exp(-0.3) / (1 + math.exp(-0.3)) ** 2),
        ("relu(x)", 0.3, 1),
        ("relu(-x)", 0, 0),
        ("sqrt(x)", math.sqrt(0.3), 0.5 / math.sqrt(0.3)),
        ("max(x, 1)", 1, 0),
        ("min(x, 1)", 0.3, 1),
        ("x ** 3", 0.3**3, 3 * 0.3**2),
        ("2 ** x", 2**0.3, 2**0.3 * math.log(2)),
        ("-x / +2", -0.15, -0.5),
        ("1 - 2 - x", -1.3, -1),
    ],
)
def test_every_operation_has_its_value_and_derivative(text, value, slope):
    graph = expression_graph(text, {"x": 0.3})
    assert graph[graph.output].value == pytest.approx(value, abs=1e-15)
    assert graph["x"].total == pytest.approx(slope, abs=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "a.__class__",
        "(lambda: a)()",
        "a[0]",
        "[a for a in a]",
        "a if a else b",
        "a == 1",
        "'a' * a",
        "True + a",
        "1j * a",
        "a @ a",
        "a // 2",
        "a % 2",
        "~a",
        "not a",
        "exp(x=a)",
        "exp(*a)",
        "f'{a}'",
        "(b := a)",
        "await a",
        "a, a",
    ],
)
def test_nothing_else_is_allowed(text):
    with pytest.raises(UserError, match=r"not allowed|is no expression|unknown function"):
        parse(text)


@pytest.mark.parametrize(
    "text", ["import os", "del a", "a += 1", "a = b = 1", "a: int = 1", "a; a", "a.b = 1", "def f(): 1"]
)
def test_statements_other_than_assignments_are_refused(text):
    with pytest.raises(UserError, match=r"not of the form|is no expression"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        (" ; ", "empty"),
        ("1 + 2", "no names"),
        ("a" * 2000, "2,000 letters"),
        ("-" * 900 + "a", "within one another|too deep"),
        ("(" * 400 + "a" + ")" * 400, "is no expression"),
        ("a" * 100, "too long"),
        ("a\0", "is no expression"),
        ("a ^ 2", r"written a \*\* 2"),
        ("lgo(a)", "Did you mean 'log'"),
        ("max(a)", "max takes 2 values, not 1"),
        ("exp = a", "'exp' is a function"),
        ("a * exp", "'exp' is a function"),
        ("a = a + 1", "used before it is set"),
        ("b = a; b = a", "set twice"),
        ("1if a else 2", "is no expression"),
    ],
)
def test_what_is_wrong_is_said(text, words):
    with pytest.raises(UserError, match=words) as caught:
        expression_graph(text, {"a": 1.0})
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 / (a - 1)", r"division by zero: 1 / \(a - 1\) at a = 1"),
        ("log(a - 2)", r"logarithm of a negative number: log\(a - 2\) at a = 1"),
        ("log(a - 1)", "logarithm of zero"),
        ("sqrt(-a)", "square root of a negative number"),
        ("sqrt(a - 1)", "derivative of .* is infinite"),
        ("(a - 2) ** 0.5", "a negative number to a fractional power"),
        ("(a - 1) ** -1", "zero to a negative power"),
        ("exp(1000 * a)", "too large a number"),
        ("9 ** 9 ** 9 * a", "too large a number"),
        ("1e999 * a", "too large a number"),
        (f"1{'0' * 400} * a", "too large a number"),
    ],
)
def test_what_cannot_be_computed_is_told_with_its_place(text, words):
    with pytest.raises(UserError, match=words):
        expression_graph(text, {"a": 1.0})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "no value is given for alpha"),
        ({"alhpa": 1.0}, "Did you mean 'alpha'"),
        ({"alpha": math.nan}, "not a finite number"),
        ({"alpha": math.inf}, "not a finite number"),
        ({"alpha": 1.0, "beta": 1.0}, "'beta' has two values"),
    ],
)
def test_values_are_checked(values, words):
    with pytest.raises(UserError, match=words):
        expression_graph("beta = 2; alpha * beta", values)


@given(st.text(alphabet=string.printable + "∂é\u202e\ud7ff", max_size=60))
def test_any_text_is_answered_in_words_or_with_numbers(text):
    try:
        graph = expression_graph(text, dict.fromkeys(parse(text).names, 0.5))
    except UserError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert all(math.isfinite(number) for node in graph.nodes for number in (node.value, node.total))
    assert len(refusal.splitlines()) <= 2
