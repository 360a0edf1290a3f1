import os
import subprocess

import pytest

from readme.pages import PAGES, ROOT, accept, arguments_of, blocks, command_line, inline_code

SHELL = [block for language in ("sh", "bash", "console") for block in blocks(language)]
WHOLE = [(b.page.name, args) for b in SHELL for line in b.text.splitlines() for args in arguments_of(line)]
INLINE = [(p.name, args) for p in PAGES for code in inline_code(p) for args in arguments_of(code) if args]
TABLE = [code for code in inline_code(ROOT / "README.md") if code.startswith("convolve ")]


@pytest.mark.parametrize(("page", "arguments"), WHOLE)
def test_a_command_line_in_a_block_is_accepted(page, arguments):
    accept(arguments)


@pytest.mark.parametrize(("page", "arguments"), INLINE)
def test_a_command_named_in_a_sentence_exists_with_its_options(page, arguments):
    try:
        accept(arguments)
    except Exception as error:
        # "`convolve zoo` lists" is a name, not a line to type; an unknown option is an error in both.
        if type(error).__name__ != "MissingParameter":
            raise


def test_there_are_command_lines_to_test():
    assert len(WHOLE) >= 9
    assert len(INLINE) >= 20


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (["trian", "photos/"], "there is no command 'trian'"),
        (["train", "photos/", "--oot", "x"], "No such option: --oot"),
        (["train", "photos/", "epocks=5"], "Did you mean"),
        (["train", "photos/", "epochs=-5"], "greater than or equal to 1"),
        (["predict", "runs/first"], "[Mm]issing parameter: images"),
    ],
)
def test_a_wrong_line_would_be_noticed(wrong, complaint):
    with pytest.raises(Exception, match=complaint):
        accept(wrong)


def test_the_readme_shows_an_example_of_every_command():
    shown = {accept(args) for code in TABLE for args in arguments_of(code) if len(args) > 1}
    assert shown == set(command_line().commands)


def test_the_readme_begins_with_its_two_lines():
    lines = [line for block in SHELL if block.page.name == "README.md" for line in block.text.splitlines()]
    first, second = lines[:2]
    assert first.startswith("python3 -m venv .venv && ")
    assert first.endswith(" && .venv/bin/convolve train elpv")
    assert second.startswith("python3 -m venv .venv && ")
    assert second.endswith(" && .venv/bin/python -m pytest -n 2")


def test_ci_takes_the_test_command_from_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    [search] = [line for line in script.splitlines() if "grep" in line]
    command = ["/bin/bash", "-euo", "pipefail", "-c", f'{search}; echo "$line"']
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    assert (ROOT / "README.md").read_text().splitlines().count(found) == 1
    assert "pip install" in found.rpartition(" && ")[0]


def test_ci_is_a_program_that_bash_can_read():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["/bin/bash", "-n", str(script)], check=True)  # noqa: S603
