import shlex
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from convolve.errors import UserError
from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import print_json, print_table, progress_bar


@app.command()
def tour(
    topics: Annotated[
        list[str] | None, typer.Argument(help="some of the topics; default: all", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="the page")] = Path("tour.html"),
    seed: Annotated[int, typer.Option(min=0, help="of what is drawn at random")] = 0,
    as_list: Annotated[bool, typer.Option("--list", help="the topics, and nothing else")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="every number of the page as one JSON object")] = False,
) -> None:
    """Compute every idea of the field, from one neuron to object detection, live on one page.

    Example: convolve tour convolution saddle-points
    """
    from convolve.see.tour.page import all_topics, walk, write_tour
    from convolve.see.tour.topic import TOPICS

    if as_list:
        _print_list(as_json=as_json)
        return
    _check_page(out)
    # In the order of the page, once each, whatever was typed.
    wanted = {TOPICS[name].name for name in topics or TOPICS}
    chosen = [topic for topic in all_topics() if topic.name in wanted]
    with progress_bar() as progress:
        stops = walk(chosen, seed=seed, progress=progress)
    words = ["convolve", "tour", *(topics or []), *(["--seed", str(seed)] if seed else [])]
    write_tour(out, stops, command=shlex.join(words))
    if as_json:
        numbers = {stop.topic.name: {"seconds": stop.seconds, **stop.section.numbers} for stop in stops}
        print_json({"page": str(out), "topics": numbers})
        return
    print_table(["topic", "seconds"], [[stop.topic.name, f"{stop.seconds:.1f}"] for stop in stops])
    print(f"page: {out}")


def _check_page(out: Path) -> None:
    """Before a minute of work, not after it."""
    try:
        if out.is_dir():
            raise UserError(f"--out {out}: that is a folder", f"Name the page, for example {out / 'tour.html'}.")
        if not out.absolute().parent.is_dir():
            raise UserError(f"--out {out}: there is no folder {out.parent}")
        with tempfile.NamedTemporaryFile(dir=out.absolute().parent, prefix=f".{out.name}."):
            pass
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written: {error.strerror}", "Give another place.") from error


def _print_list(*, as_json: bool) -> None:
    from convolve.see.tour.page import all_topics

    found = all_topics()
    if as_json:
        print_json([{"name": topic.name, "title": topic.title, "idea": topic.idea} for topic in found])
    else:
        print_table(["topic", "title"], [[topic.name, topic.title] for topic in found])
