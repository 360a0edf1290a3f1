from dataclasses import asdict
from typing import Annotated

import typer

from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import print_json, print_table


@app.command()
def zoo(
    pattern: Annotated[str, typer.Argument(help="names to show, for example 'timm:*lite*'")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON array")] = False,
) -> None:
    """List networks: parameters, multiply-adds, receptive field, and which weights are at hand.

    Example: convolve zoo 'torchvision:resnet*'
    """
    from convolve.networks.zoo import zoo as entries

    found = entries(pattern)
    if as_json:
        print_json([asdict(entry) for entry in found])
        return
    print_table(
        ["network", "parameters", "multiply-adds", "at pixels", "receptive field", "weights"],
        [
            [
                entry.name,
                f"{entry.parameters:,}",
                f"{entry.multiply_adds / 1e6:,.1f} M",
                entry.side,
                entry.receptive_field or "whole image",
                f"at hand ({entry.licence})" if entry.weights_at_hand else "",
            ]
            for entry in found
        ],
    )
