import re

import pytest

from readme.pages import accept, arguments_of, command_line

COMMANDS = command_line().commands


def test_the_commands_are_found():
    assert {"look", "new", "train", "test", "predict", "compare", "zoo", "cache"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_in_an_example_that_is_accepted(name):
    example = re.search(r"Example: (convolve .+)", COMMANDS[name].help)
    assert example, f"`convolve {name} --help` shows no example"
    [arguments] = arguments_of(example[1])
    assert accept(arguments) == name


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_something_of_every_parameter(name):
    assert [parameter.name for parameter in COMMANDS[name].params if not parameter.help] == []


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"new"}))
def test_there_is_an_answer_for_machines(name):
    assert "--json" in [option for parameter in COMMANDS[name].params for option in parameter.opts]
