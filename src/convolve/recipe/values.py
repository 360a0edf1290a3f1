"""Values as people write them: durations, and `key=value` with the names other tools use."""

import math
import re
from collections.abc import Iterable
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from convolve.errors import UserError

# The names of Ultralytics, timm, torchvision and Keras for what is called otherwise here.
ALIASES = {
    "batch": "train.batch_size",
    "batch_size": "train.batch_size",
    "epochs": "train.epochs",
    "patience": "train.patience",
    "ema": "train.average",
    "imgsz": "data.image_size",
    "img_size": "data.image_size",
    "image_size": "data.image_size",
    "lr": "optimiser.lr",
    "lr0": "optimiser.lr",
    "weight_decay": "optimiser.weight_decay",
    "momentum": "optimiser.options.momentum",
    "optimizer": "optimiser",
    "model": "network",
    "device": "compute.device",
    "label_smoothing": "loss.label_smoothing",
    "class_weights": "loss.class_weights",
    "time": "budget",
    "weights": "network.weights",
}

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?) *(?:(h)(?:ours?|rs?)?|(m)(?:in(?:ute)?s?)?|(s)(?:ec(?:ond)?s?)?)?")

# The key that a table written short, as one string, is short for; "name" in all other tables.
_SHORT_FOR = {"data": "path", "augment": "preset"}


def parse_duration(value: Any) -> Any:
    """Seconds from 90, "90s", "10m" or "1.5h"; anything else is returned as it is, for the type to reject.

    >>> [parse_duration(text) for text in (90, "90s", "10m", "1.5h")]
    [90.0, 90.0, 600.0, 5400.0]
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    match = _DURATION.fullmatch(str(value).strip())
    return float(match[1]) * _UNITS[match[2] or match[3] or match[4] or ""] if match else value


def format_duration(seconds: float) -> str:
    """A duration as a person says it.

    >>> [format_duration(s) for s in (0.31, 42, 95, 5400)]
    ['0.3 s', '42 s', '1 min 35 s', '1 h 30 min']
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = math.floor(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def parse_assignment(text: str) -> tuple[tuple[str, ...], Any]:
    """The key's path and the value of `key=value`; a value that is no TOML is a string.

    >>> parse_assignment("train.epochs=5"), parse_assignment("network=lenet5"), parse_assignment("batch=64")
    ((('train', 'epochs'), 5), (('network',), 'lenet5'), (('train', 'batch_size'), 64))

    Raises:
        UserError: there is no "=", or no key before it.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise UserError(f"'{text}' is not key=value", "Settings are given as, for example, train.epochs=5.")
    return tuple(ALIASES.get(key, key).split(".")), _parse_value(value.strip())


def _parse_value(text: str) -> Any:
    try:
        value = tomlkit.parse(f"value = {text}").unwrap()["value"]
    except TOMLKitError:
        return text
    # No key holds a date, but a folder may be called 2024-05-01.
    return value if isinstance(value, bool | int | float | str | list | dict) else text


def override(table: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """A copy of a recipe's table with `key=value` settings laid over it; the last one wins.

    >>> override({"train": {"epochs": 3}, "network": "mlp"}, ["epochs=5", "network.options.depth=14"])
    {'train': {'epochs': 5}, 'network': {'name': 'mlp', 'options': {'depth': 14}}}

    Raises:
        UserError: a setting is not key=value.
    """
    result = _copied(table)
    for text in assignments:
        path, value = parse_assignment(text)
        place = result
        for part in path[:-1]:
            below = place.get(part, {})
            # A table written short, as its name alone.
            place[part] = below if isinstance(below, dict) else {_SHORT_FOR.get(part, "name"): below}
            place = place[part]
        last = path[-1]
        if isinstance(place.get(last), dict) and isinstance(value, str):
            place[last] |= {_SHORT_FOR.get(last, "name"): value}
        else:
            place[last] = value
    return result


def _copied(table: dict[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, dict) else value for key, value in table.items()}
