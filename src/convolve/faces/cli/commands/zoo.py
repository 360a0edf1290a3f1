from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import print_json, print_table

if TYPE_CHECKING:
    from convolve.networks.zoo import ZooEntry


@app.command()
def zoo(
    pattern: Annotated[str, typer.Argument(help="names to show, for example 'timm:*lite*'")] = "",
    weights: Annotated[
        bool, typer.Option("--weights", help="where trained weights come from, instead of costs")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON array, with everything")] = False,
) -> None:
    """List networks: parameters, multiply-adds, receptive field, and which weights are at hand.

    Example: convolve zoo 'torchvision:resnet*' --weights
    """
    from convolve.networks.zoo import zoo as entries

    found = entries(pattern)
    if as_json:
        print_json([asdict(entry) for entry in found])
    elif weights:
        _print_weights(found)
    else:
        _print_costs(found)


def _print_costs(entries: "list[ZooEntry]") -> None:
    print_table(
        ["network", "parameters", "multiply-adds", "at pixels", "receptive field", "weights"],
        [
            [
                entry.name,
                f"{entry.parameters:,}",
                f"{entry.multiply_adds / 1e6:,.1f} M",
                entry.side,
                entry.receptive_field or "whole image",
                _where(entry),
            ]
            for entry in entries
        ],
    )


def _print_weights(entries: "list[ZooEntry]") -> None:
    print_table(
        ["network", "weights", "from", "licence", "trained at pixels"],
        [
            [entry.name, _where(entry), found.source, found.licence or "not stated", _sides(found.sides)]
            if (found := entry.weights)
            else [entry.name, _where(entry), "a run of yours: start=RUN", "", ""]
            for entry in entries
        ],
    )


def _where(entry: "ZooEntry") -> str:
    if entry.weights is None:
        return "none"
    if entry.weights.at_hand:
        return "at hand"
    return "to install" if entry.weights.source.startswith("package") else "online"


def _sides(sides: tuple[int, ...]) -> str:
    return ", ".join(map(str, sides))
