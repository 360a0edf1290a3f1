from datetime import datetime
from typing import Annotated

import typer

from convolve.errors import UserError
from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import print_json, print_table


@app.command()
def cache(
    action: Annotated[str, typer.Argument(help="show or clear")] = "show",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> None:
    """Show or clear what is kept to save time: decoded images, features, calibrations.

    Example: convolve cache clear
    """
    from convolve.data.cache import cache_folder, clear, entries, size_limit

    if action not in ("show", "clear"):
        raise UserError(f"convolve cache {action}: unknown", "Known: show, clear.")
    if action == "clear":
        freed = clear()
        print_json({"freed": freed}) if as_json else print(f"{freed / 1e6:,.1f} MB freed")
        return
    kept = sorted(entries(), key=lambda entry: -entry.used)
    if as_json:
        rows = [{"kind": e.kind, "key": e.key, "bytes": e.bytes, "used": e.used} for e in kept]
        print_json({"folder": str(cache_folder()), "limit": size_limit(), "entries": rows})
        return
    print_table(
        ["kind", "key", "MB", "last used"],
        [
            [e.kind, e.key, f"{e.bytes / 1e6:,.1f}", datetime.fromtimestamp(e.used).strftime("%Y-%m-%d %H:%M")]
            for e in kept
        ],
    )
    print(f"{cache_folder()}: {sum(e.bytes for e in kept) / 1e6:,.1f} of at most {size_limit() / 1e6:,.0f} MB")
