"""The command line: its commands are the modules of `convolve.faces.cli.commands`, which add themselves here.

Only what `--help` needs is imported at the top of those modules: PyTorch takes seconds.
"""

from typing import Any

import typer
from typer.core import TyperGroup


class Interrupted(Exception):  # noqa: N818
    """Somebody pressed Ctrl-C; an exception of its own, since typer turns KeyboardInterrupt into a silent exit."""


class Commands(TyperGroup):
    """All commands."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the words name.

        Raises:
            Interrupted: the user stopped it.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted from error


app = typer.Typer(
    name="convolve",
    cls=Commands,
    help="The workbench for convolutional networks on your own images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
