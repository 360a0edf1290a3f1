import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from convolve.errors import UserError
from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import print_json, print_table, progress_bar, say


@app.command()
def explain(
    model: Annotated[Path | None, typer.Argument(help="a run's folder, or a model.safetensors")] = None,
    images: Annotated[
        list[Path] | None, typer.Argument(help="image files; none: the network alone", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="the folder of the page and the pictures")] = Path("explained"),
    only: Annotated[
        str, typer.Option(help="some of the instruments, with commas; default: all", show_default=False)
    ] = "",
    wanted: Annotated[
        str | None, typer.Option("--class", help="the class to explain; default: the answer", show_default=False)
    ] = None,
    truth: Annotated[
        str | None, typer.Option(help="the right class, where the run's data does not tell", show_default=False)
    ] = None,
    layer: Annotated[str | None, typer.Option(help="whose maps to look at", show_default=False)] = None,
    unit: Annotated[list[int] | None, typer.Option(help="which map of --layer; may be given again")] = None,
    pixel: Annotated[str | None, typer.Option(help="masks: the pixel X,Y to ask about", show_default=False)] = None,
    region: Annotated[
        str | None, typer.Option(help="masks: the region LEFT,TOP,RIGHT,BOTTOM to ask about", show_default=False)
    ] = None,
    box: Annotated[
        int | None, typer.Option(min=1, help="boxes: which of those found, the surest is 1", show_default=False)
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="images to compare with, or 'none'; default: the run's training images", show_default=False),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="an option, such as occlusion.side=24; may be given again")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="of what is drawn at random")] = 0,
    as_list: Annotated[bool, typer.Option("--list", help="the instruments, and nothing else")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="numbers and files as one JSON object")] = False,
) -> None:
    """Show why a network answers as it does: where it looks, what its units see, and what it was reminded of.

    Exit code 1 if any image failed; the others are explained.

    Example: convolve explain runs/first new/1.jpg --only grad-cam,occlusion
    """
    from convolve.workflow.explaining.explain import Wanted
    from convolve.workflow.explaining.explain import explain as look_into
    from convolve.workflow.explaining.explainer import Pointed
    from convolve.workflow.explaining.pointing import instrument_options, pixel_of, region_of

    if as_list:
        _print_list(as_json=as_json)
        return
    if model is None:
        raise UserError("no model to explain", "Name a run's folder or a model file; --list tells the instruments.")
    asked = Wanted(
        out=out,
        pointed=Pointed(wanted=wanted, truth=truth, pixel=pixel_of(pixel), region=region_of(region), box=box),
        only=[one.strip() for one in only.split(",") if one.strip()],
        options=instrument_options(settings or []),
        layer=layer,
        units=tuple(unit or ()),
        data=data,
        seed=seed,
        command=shlex.join(["convolve", *sys.argv[1:]]),
    )
    with progress_bar() as progress:
        told = look_into(model, images or [], asked, progress)
    for failed in told["failed"]:
        say(f"{failed['image']}: {failed['error']}")
    if as_json:
        print_json(told)
    else:
        _print(told)
    if told["failed"]:
        raise typer.Exit(1)


def _print(told: dict[str, Any]) -> None:
    for one in told["images"]:
        names = ", ".join(one["panels"]) or "nothing"
        print(f"{one['image']}: {names}")
        _print_left_out(one["left_out"])
    network = told["network"]
    if network["panels"] or network["left_out"]:
        print(f"the network: {', '.join(network['panels']) or 'nothing'}")
    _print_left_out(network["left_out"])
    print(f"page: {told['page']}")


def _print_left_out(left_out: dict[str, str]) -> None:
    for name, reason in left_out.items():
        print(f"  left out: {name}: {reason}")


def _print_list(*, as_json: bool) -> None:
    from convolve.see.inside.instruments import INSTRUMENTS

    found = sorted((INSTRUMENTS[name] for name in INSTRUMENTS), key=lambda one: one.order)
    if as_json:
        print_json([{"name": one.name, "of": one.of, "about": one.about} for one in found])
    else:
        print_table(["instrument", "of", "shows"], [[one.name, one.of, one.about] for one in found])
