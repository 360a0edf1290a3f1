import importlib.util
import re
import tomllib

import pytest

from convolve.recipe.file import make_recipe
from convolve.recipe.schema import Recipe
from convolve.workflow.build import recipe_augmentation, recipe_schedule
from readme.pages import PAGES, ROOT, blocks, inline_code

PAGE = ROOT / "docs" / "recipe.md"
_DOTTED = re.compile(r"([a-z]+)\.([a-z_]+)(?:[.=].*)?")


def keys_of_the_schema():
    """By the JSON schema that editors use, not by the models that wrote the page."""
    schema = Recipe.model_json_schema()
    found = []
    for name, entry in schema["properties"].items():
        reference = entry.get("$ref") or entry.get("allOf", [{}])[0].get("$ref")
        section = schema["$defs"][reference.rpartition("/")[2]] if reference else None
        found += [f"{name}.{key}" for key in section["properties"]] if section else [name]
    return found


def test_the_page_has_every_key_and_no_other():
    rows = re.findall(r"^\| `([a-z_.]+)` \| .* \| .* \|$", PAGE.read_text().partition("## [augment]")[0], re.MULTILINE)
    assert sorted(rows) == sorted(set(keys_of_the_schema()) - {"augment"})


def test_the_generated_part_is_up_to_date():
    spec = importlib.util.spec_from_file_location("write_recipe_keys", ROOT / "docs" / "write_recipe_keys.py")
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    text = PAGE.read_text()
    assert writer.with_tables(text) == text, "run `just docs`"


MENTIONED = [
    (page.name, match[0])
    for page in PAGES
    for code in inline_code(page)
    if (match := _DOTTED.fullmatch(code)) and match[1] in Recipe.model_fields
]


def test_there_are_keys_to_test():
    assert len(MENTIONED) >= 30


@pytest.mark.parametrize(("page", "mention"), sorted(set(MENTIONED)))
def test_a_key_in_a_sentence_exists(page, mention):
    section, key = _DOTTED.fullmatch(mention).groups()
    known = keys_of_the_schema()
    if section == "augment":
        recipe_augmentation(make_recipe({"data": "x", "augment": {key: True}}), fill=(0,))
    else:
        assert f"{section}.{key}" in known


@pytest.mark.parametrize("block", blocks("toml"), ids=lambda block: block.page.name)
def test_a_recipe_in_a_block_is_valid(block):
    recipe = make_recipe(tomllib.loads(block.text))
    recipe_schedule(recipe)
    recipe_augmentation(recipe, fill=(0, 0, 0))


def test_there_are_recipes_to_test():
    assert {"README.md", "recipe.md"} <= {block.page.name for block in blocks("toml")}
