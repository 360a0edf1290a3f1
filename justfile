set shell := ["bash", "-euo", "pipefail", "-c"]

python := ".venv/bin/python"

# list the verbs
default:
    @just --list

# make .venv with everything that development takes
setup:
    python3 -m venv .venv
    {{python}} -m pip install -e '.[dev]'

# style, types, layers
check:
    {{python}} -m ruff check
    {{python}} -m ruff format --check
    {{python}} -m mypy
    .venv/bin/lint-imports --no-logo

# mend what can be mended without thought
fix:
    {{python}} -m ruff check --fix
    {{python}} -m ruff format

# the quick tests, or some of them: just test tests/data
test *paths:
    {{python}} -m pytest -n 2 {{paths}}

# the tests that take minutes
slow *paths:
    {{python}} -m pytest -m slow {{paths}}

# a measurement behind the README's figures: just bench kill_and_resume --kills 20
bench name *arguments:
    {{python}} benchmarks/{{name}}.py {{arguments}}

# write the generated part of docs/recipe.md, then test all documentation
docs:
    {{python}} docs/write_recipe_keys.py
    {{python}} -m pytest tests/readme

# the longest files
size:
    @git ls-files -z '*.py' | xargs -0 wc -l | sort -rn | head -20

# start a recipe for some images: just new photos/
new data:
    .venv/bin/convolve new {{data}}
