from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convolve.errors import UserError
from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import print_json, say

if TYPE_CHECKING:
    from markupsafe import Markup

    from convolve.see.graph.computation import ComputationGraph
    from convolve.see.graph.layers import LayerGraph

_LIBRARY_SIDE, _OWN_SIDE, _MODEL_SIDE = 224, 32, 256
_LIBRARY_OUTPUTS, _OWN_OUTPUTS = 1000, 10


@app.command()
def graph(
    what: Annotated[str, typer.Argument(help='an expression, "e=(a+b)*(b+1)"; a network\'s name; a run or model file')],
    values: Annotated[list[str] | None, typer.Argument(help="of an expression's names: a=2 b=1")] = None,
    out: Annotated[Path | None, typer.Option(help="draw it, in this .svg file")] = None,
    size: Annotated[
        int | None, typer.Option(min=1, max=4096, help="side of a network's image; default: its own")
    ] = None,
    channels: Annotated[int | None, typer.Option(min=1, max=64, help="of a network's image; default: its own")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> None:
    """Show what is computed from what: an expression with its values and derivatives, or the layers of a network.

    Of an expression: the value of every node, the partial derivative on every edge, the sum over paths and the
    factored form. Of a network: shapes, parameters, multiply-adds, receptive fields and memory, layer by layer.

    Example: convolve graph "e=(a+b)*(b+1)" a=2 b=1 --out graph.svg
    """
    if out is not None:
        _check_file(out)
    if _is_expression(what, values or []):
        if size is not None or channels is not None:
            raise UserError("--size and --channels are for networks", f"'{what}' is an expression.")
        _show_expression(what, values or [], out, as_json=as_json)
        return
    if values:
        raise UserError(
            f"{values[0]}: a network takes no values", "They are for expressions; name its image with --size."
        )
    _show_layers(_layers(what, size, channels), out, as_json=as_json)


def _check_file(out: Path) -> None:
    """Before the work, not after it."""
    try:
        if out.is_dir():
            raise UserError(f"--out {out}: that is a folder", f"Name a file, for example {out / 'graph.svg'}.")
        if out.suffix.lower() != ".svg":
            raise UserError(f"--out {out}: the drawing is an SVG file", f"Name it {out.with_suffix('.svg')}.")
        if not out.absolute().parent.is_dir():
            raise UserError(f"--out {out}: there is no folder {out.parent}")
    except OSError as error:
        raise _unwritable(out, error) from error


def _unwritable(out: Path, error: OSError) -> UserError:
    return UserError(f"--out {out}: cannot be written: {error.strerror}", "Give another place.")


def _is_expression(what: str, values: list[str]) -> bool:
    """Names of networks have hyphens, and paths slashes: those alone make an expression only where values follow."""
    from convolve.networks.network import ARCHITECTURES

    if what in ARCHITECTURES or _exists(what):
        return False
    return any(sign in what for sign in "=+*();\n^") or (bool(values) and ":" not in what) or not what.strip()


def _exists(what: str) -> bool:
    try:
        return bool(what.strip()) and Path(what).exists()
    except (OSError, ValueError):  # too long, or with a null: no path
        return False


def _show_expression(text: str, values: list[str], out: Path | None, *, as_json: bool) -> None:
    from convolve.see.graph.drawing import computation_svg
    from convolve.see.graph.expression import expression_graph
    from convolve.see.graph.text import computation_text

    found: ComputationGraph = expression_graph(text, _numbers(values))
    if out is not None:
        _write(out, computation_svg(found))
    if as_json:
        print_json(found.as_json())
    else:
        print(computation_text(found))


def _numbers(values: list[str]) -> dict[str, float]:
    from convolve.see.graph.expression import plain_name

    numbers: dict[str, float] = {}
    for word in values:
        name, equals, number = word.partition("=")
        name = plain_name(name)
        try:
            value = float(number)
        except ValueError:
            equals = ""
        if not equals or not name:
            raise UserError(f"'{word[:60]}' is not of the form name=number", "For example: a=2")
        if name in numbers:
            raise UserError(f"'{name}' has two values", "Give it once.")
        numbers[name] = value
    return numbers


def _show_layers(found: "LayerGraph", out: Path | None, *, as_json: bool) -> None:
    from convolve.see.graph.layer_drawing import layer_svg, layer_text

    if out is not None:
        _write(out, layer_svg(found))
    if as_json:
        print_json(found.as_json())
    else:
        print(layer_text(found))


def _write(out: Path, svg: "Markup") -> None:
    from convolve.run.files import write_atomically
    from convolve.see.graph.drawing import standalone

    try:
        write_atomically(out, standalone(svg))
    except OSError as error:
        raise _unwritable(out, error) from error
    say(f"drawing: {out}")


def _layers(what: str, size: int | None, channels: int | None) -> "LayerGraph":
    return _layers_of_model(Path(what), size, channels) if _exists(what) else _layers_of_name(what, size, channels)


def _layers_of_name(name: str, size: int | None, channels: int | None) -> "LayerGraph":
    import torch

    from convolve.networks.catalogue import find_architecture
    from convolve.randomness import torch_randomness
    from convolve.see.graph.layers import layer_graph

    if "/" in name:
        raise UserError(f"{name}: there is no such run or model file")
    architecture = find_architecture(name)
    library = ":" in name
    side = size or (architecture.sides[0] if architecture.sides else 0)
    side = side or (_LIBRARY_SIDE if library else max(_OWN_SIDE, architecture.smallest_side))
    channels = channels or (3 if 3 in architecture.channels else architecture.channels[0])
    outputs = _LIBRARY_OUTPUTS if library else _OWN_OUTPUTS
    try:
        with torch.device("meta"):
            network = architecture.create(outputs, channels=channels, image_hw=(side, side))
    except NotImplementedError:  # its builder computes with the weights, as RegNet's does
        with torch_randomness("graph"):
            network = architecture.create(outputs, channels=channels, image_hw=(side, side))
    return layer_graph(network, channels=channels, image_hw=(side, side))


def _layers_of_model(path: Path, size: int | None, channels: int | None) -> "LayerGraph":
    from convolve.networks.detection.detector import Detector
    from convolve.see.graph.layers import layer_graph
    from convolve.workflow.testing import find_model

    model = find_model(path)
    own_hw = getattr(model.preprocessing, "image_hw", (_MODEL_SIDE, _MODEL_SIDE))
    image_hw = (size, size) if size else own_hw
    channels = channels or model.preprocessing.channels
    if not isinstance(model.network, Detector):
        return layer_graph(model.network, channels=channels, image_hw=image_hw)
    # Which boxes a detector finds depends on values; what it computes of every place, or of every region, does not.
    layers = layer_graph(model.network.dense, channels=channels, image_hw=image_hw)
    if len(layers.rows) > 1 or model.network.region_head is None:
        return layers
    side = size or _LIBRARY_SIDE
    return layer_graph(model.network.region_head, channels=channels, image_hw=(side, side))
