import pytest
from hypothesis import given
from hypothesis import strategies as st

from convolve.errors import UserError
from convolve.recipe.file import make_recipe
from convolve.recipe.values import ALIASES, override, parse_assignment, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("45 sec", 45),
        ("10m", 600),
        ("10 min", 600),
        ("2 minutes", 120),
        ("1.5h", 5400),
        ("1 hour", 3600),
        ("2hrs", 7200),
        (7, 7),
        (0.5, 0.5),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["1d", "10ms", "2 months", "5q", "-3", "ten", "", "m", "1h30", True])
def test_what_is_no_duration_is_left_for_the_type_to_reject(text):
    assert parse_duration(text) is text
    with pytest.raises(UserError, match="budget="):
        make_recipe({"data": {"path": "x"}, "budget": text})


@given(st.text())
def test_any_text_is_a_setting_or_an_error_in_words(text):
    if text.partition("=")[0].strip() and "=" in text:
        path, _ = parse_assignment(text)
        assert path
    else:
        with pytest.raises(UserError, match="is not key=value"):
            parse_assignment(text)


@pytest.mark.parametrize("text", ["epochs", "=5", " = 5", ""])
def test_settings_need_a_key_and_a_value(text):
    with pytest.raises(UserError, match="is not key=value"):
        parse_assignment(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("k=5", 5),
        ("k=5.5", 5.5),
        ("k=true", True),
        ("k=[1, 2]", [1, 2]),
        ("k=photos/a=b", "photos/a=b"),
        ("k='5'", "5"),
        ("k=none", "none"),
        ("k=", ""),
        ("k={a = 1}", {"a": 1}),
        ("k=2024-05-01", "2024-05-01"),
    ],
)
def test_values(text, value):
    assert parse_assignment(text) == (("k",), value)


def test_every_alias_leads_to_a_key():
    values = {"data.image_size": 32, "train.average": 0.5, "optimiser": "sgd", "network": "mlp", "budget": 5}
    for alias, key in ALIASES.items():
        value = values.get(key, "none" if key.split(".")[-1] in ("class_weights", "weights") else 0.5)
        if key in ("train.batch_size", "train.epochs", "train.patience"):
            value = 3
        if key == "compute.device":
            value = "cpu"
        assert make_recipe(override({"data": "x"}, [f"{alias}={value}"])) == make_recipe(
            override({"data": "x"}, [f"{key}={value}"])
        )


def test_later_settings_win_and_the_table_is_left_alone():
    table = {"train": {"epochs": 3}, "data": "a"}
    assert override(table, ["epochs=4", "train.epochs=5", "data=b"]) == {"train": {"epochs": 5}, "data": "b"}
    assert table == {"train": {"epochs": 3}, "data": "a"}


@pytest.mark.parametrize(
    ("table", "setting", "expected"),
    [
        ({"network": {"name": "mlp", "weights": "none"}}, "network=lenet5", {"name": "lenet5", "weights": "none"}),
        ({"network": "mlp"}, "network.weights=none", {"name": "mlp", "weights": "none"}),
        ({"data": {"path": "a", "test": 0.1}}, "data=b", {"path": "b", "test": 0.1}),
        ({"data": "a"}, "data.test=0.1", {"path": "a", "test": 0.1}),
        ({"augment": {"preset": "photos", "rotate": 5}}, "augment=none", {"preset": "none", "rotate": 5}),
        ({"augment": "photos"}, "augment.rotate=5", {"preset": "photos", "rotate": 5}),
    ],
)
def test_a_table_and_its_short_form_go_together(table, setting, expected):
    assert override(table, [setting]) == {next(iter(table)): expected}
