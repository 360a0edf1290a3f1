import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convolve.errors import UserError
from convolve.recipe.file import json_schema, make_recipe, read_recipe, write_recipe
from convolve.recipe.schema import Recipe, Section

SHARE = st.floats(0.001, 0.999)
POSITIVE = st.floats(1e-9, 1e9)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
OPTIONS = st.dictionaries(
    WORDS,
    st.one_of(
        st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False), WORDS,
        st.lists(st.integers(-9, 9), max_size=3), st.lists(st.floats(-9, 9), min_size=1, max_size=3),
    ),
    max_size=3,
)  # fmt: skip


def auto(strategy):
    return st.one_of(st.just("auto"), strategy)


TABLES = st.fixed_dictionaries(
    {"data": st.fixed_dictionaries({"path": WORDS}, optional={"test": auto(SHARE), "image_size": auto(st.just(9))})},
    optional={
        "network": st.fixed_dictionaries({"name": WORDS}, optional={"options": OPTIONS, "weights": WORDS}),
        "optimiser": st.fixed_dictionaries({}, optional={"lr": auto(POSITIVE), "options": OPTIONS}),
        "schedule": st.fixed_dictionaries({}, optional={"warmup": SHARE, "options": OPTIONS}),
        "train": st.fixed_dictionaries({}, optional={"checkpoint": POSITIVE, "epochs": auto(st.integers(1, 10**9))}),
        "augment": st.dictionaries(WORDS, st.one_of(st.booleans(), st.floats(-9, 9), WORDS, OPTIONS), max_size=3),
        "budget": st.one_of(POSITIVE, st.just("none"), st.just("10m")),
        "folds": auto(st.integers(0, 100)),
        "seed": st.integers(0, 2**31 - 1),
    },
)


@given(TABLES)
def test_a_written_recipe_is_the_recipe(table):
    recipe = make_recipe(table)
    text = write_recipe(recipe)
    assert make_recipe(tomllib.loads(text)) == recipe
    assert Recipe.model_validate(json.loads(recipe.model_dump_json())) == recipe


def test_every_key_is_written_with_a_comment():
    recipe = make_recipe({"data": {"path": "x"}})
    lines = write_recipe(recipe, {"network.name": "because\nof the size"}).splitlines()
    keys = [line for line in lines if " = " in line.split("#")[0]]
    sections = [f for f in Recipe.model_fields if isinstance(getattr(recipe, f), Section)]
    single = len(Recipe.model_fields) - len(sections)  # augment's one entry has no comment of its own
    assert len(keys) == single + sum(len(type(getattr(recipe, name)).model_fields) for name in sections)
    assert [line for line in keys if "#" not in line] == ['preset = "auto"']
    assert 'name = "auto" # because of the size' in lines


def read(tmp_path, text, *settings):
    path = tmp_path / "recipe.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_recipe(path, settings)


def test_settings_lie_over_the_file(tmp_path):
    recipe = read(tmp_path, '[data]\npath = "a"\n[train]\nepochs = 3\n', "epochs=7", "data=b", "augment=photos")
    assert (recipe.train.epochs, recipe.data.path, recipe.augment) == (7, "b", {"preset": "photos"})


@pytest.mark.parametrize(
    ("settings", "problem", "remedy"),
    [
        (["train.epoch=3"], "unknown key 'train.epoch'", "Did you mean 'train.epochs'?"),
        (["epoch=3"], "unknown key 'epoch'", "Did you mean 'epochs'?"),
        (["momentun=0.5"], "unknown key 'momentun'", "Did you mean 'momentum'?"),
        (["optimizr=sgd"], "unknown key 'optimizr'", "Did you mean 'optimizer'?"),
        (["zzz=3"], "unknown key 'zzz'", "convolve new"),
        (["epochs=0"], "train.epochs=0: Input should be 'auto'; or: .* greater than or equal to 1", "passes over"),
        (["epochs=2.5"], "train.epochs=2.5: .*valid integer", "passes over"),
        (["lr=-1"], "optimiser.lr=-1: .*greater than 0", "highest learning rate"),
        (["lr=nan"], "optimiser.lr=nan", "highest learning rate"),
        (["data.fit=squash"], "data.fit='squash': .*'pad', 'crop' or 'stretch'", "becomes square"),
        (["budget=soon"], "budget='soon'", "time for the training"),
        (["task=track"], "task='track': .*'auto', 'classify', 'segment' or 'detect'", "what to predict"),
        (["seed=-1"], "seed=-1: .*greater than or equal to 0", "decides splits"),
        (["train=5"], "train=5", ""),
        (["network.options.depth={a = 1}"], "network.options", "the network's own options"),
    ],
)
def test_mistakes_are_named(tmp_path, settings, problem, remedy):
    with pytest.raises(UserError, match=problem) as told:
        read(tmp_path, '[data]\npath = "a"\n', *settings)
    assert "recipe.toml: " in told.value.problem
    assert remedy in told.value.remedy


def test_unknown_keys_are_told_before_wrong_values():
    with pytest.raises(UserError, match="unknown key 'sed'"):
        make_recipe({"data": "a", "seed": -1, "sed": 3})


@pytest.mark.parametrize("table", [{}, {"data": {}}, {"train": {"epochs": 1}}])
def test_a_recipe_names_its_data(table):
    with pytest.raises(UserError, match="names no data"):
        make_recipe(table)


@pytest.mark.parametrize("content", [b"[data", b"a = 1\na = 2\n", b"\xff\xfe", b"[data]\n[data]\n", b"x" * 5000])
def test_what_is_no_toml_is_named(tmp_path, content):
    with pytest.raises(UserError, match=r"recipe\.toml: not a recipe in TOML"):
        read(tmp_path, content)


def test_a_missing_file_or_a_folder_is_named(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            read_recipe(path)


def test_the_schema_says_what_may_be_written():
    schema = json.loads(json_schema())
    assert set(schema["properties"]) == set(Recipe.model_fields)
    assert schema["required"] == ["data"]
    # Durations are written as text by `write_recipe`, so editors must not underline them.
    assert '"type": "string"' in json.dumps(schema["properties"]["budget"])
    references = {word.split('"')[0] for word in json_schema().split("#/$defs/")[1:]}
    assert references == set(schema["$defs"])
