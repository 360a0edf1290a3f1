"""The command line: its commands are the modules of `convolve.faces.cli.commands`, which add themselves here.

Only what `--help` needs is imported at the top of those modules: PyTorch takes seconds.
"""

import typer

app = typer.Typer(
    name="convolve",
    help="The workbench for convolutional networks on your own images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
