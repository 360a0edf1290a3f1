"""What stands in the project's pages: fenced blocks, inline code, and the command lines in both."""

import importlib
import pkgutil
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import typer

from convolve.faces.cli import commands
from convolve.faces.cli.app import app
from convolve.recipe.file import make_recipe
from convolve.recipe.values import override

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OPERATORS = {"|", "||", "&&", ";", ">", ">>", "<", "&"}


class Block(NamedTuple):
    page: Path
    language: str
    text: str


def blocks(language: str) -> list[Block]:
    return [Block(p, *found) for p in PAGES for found in _FENCE.findall(p.read_text()) if found[0] == language]


def inline_code(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", _FENCE.sub("", page.read_text()))


def arguments_of(line: str) -> list[list[str]]:
    """The arguments of every `convolve` in a line of shell, up to the next pipe, redirection or `&&`."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[list[str]] = []
    inside = False
    for token in lexer:
        if token in _OPERATORS:
            inside = False
        elif inside:
            found[-1].append(token)
        elif token.rpartition("/")[2] == "convolve":
            inside = True
            found.append([])
    return found


def command_line() -> typer.core.TyperGroup:
    for module in pkgutil.iter_modules(commands.__path__):
        importlib.import_module(f"{commands.__name__}.{module.name}")
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    return group


def accept(arguments: list[str]) -> str:
    """Parse a command line, its recipe settings included, and name its command; raises what a user would be told."""
    name, *rest = arguments
    group = command_line()
    if name not in group.commands:
        raise LookupError(f"there is no command '{name}'")
    parameters = group.commands[name].make_context(name, rest).params
    if name in ("train", "new"):
        source, settings = parameters["source"], parameters["settings"] or []
        make_recipe(override({"data": {"path": "x"}}, [source, *settings] if "=" in source else settings))
    return name
