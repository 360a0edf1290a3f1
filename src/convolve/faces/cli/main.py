"""The console script: every error a user can mend is one or two lines on stderr and exit code 2."""

import pkgutil
import sys
from importlib import import_module

from convolve.errors import UserError
from convolve.faces.cli import commands
from convolve.faces.cli.app import Interrupted, app

INTERRUPTED = 130
# Commands that keep what they have done so far.
_GO_ON = ("train", "pretrain", "curve", "ladder")


def main() -> None:
    """Run the command of `sys.argv`; exits 0, 1 (some inputs failed) or 2 (nothing could be done)."""
    for module in pkgutil.iter_modules(commands.__path__):
        import_module(f"{commands.__name__}.{module.name}")
    try:
        app(prog_name="convolve")
    except UserError as error:
        print(f"convolve: {error}", file=sys.stderr)
        sys.exit(2)
    except (Interrupted, KeyboardInterrupt):
        on = "; the same command goes on from where it stood" if sys.argv[1:2] and sys.argv[1] in _GO_ON else ""
        print(f"\nconvolve: stopped{on}", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
