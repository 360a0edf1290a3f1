"""Pascal VOC's XML: the objects of one image.

Files are somebody else's: a document type is refused, and with it every entity and every reference to other files, and
so are files of more than 16 MiB.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from convolve.data.boxes.checking import Corners
from convolve.errors import UserError

_MOST_BYTES = 16 << 20
_START_BYTES = 4096
_ROOT = re.compile(rb"<annotation[\s>]")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_TRUE = {"1", "true", "yes"}


@dataclass(frozen=True, slots=True)
class VocObject:
    """One object as the file has it.

    Attributes:
        label: its class's name.
        corners: xmin, ymin, xmax, ymax as they are written.
        difficult: whether it need not be found.
        line: where it begins in the file.
    """

    label: str
    corners: Corners
    difficult: bool
    line: int


@dataclass(frozen=True, slots=True)
class VocFile:
    """One annotation.

    Attributes:
        path: the file.
        called: the file, in messages.
        image_name: the image's name without folders as the file tells it; "" where it does not.
        wh: width and height as told, pixels; None where they are not.
        objects: in the file's order.
    """

    path: Path
    called: str
    image_name: str
    wh: tuple[int, int] | None
    objects: tuple[VocObject, ...]


def is_voc_xml(path: Path) -> bool:
    """Whether a file is a VOC annotation, by its first bytes."""
    with path.open("rb") as file:
        return _ROOT.search(file.read(_START_BYTES)) is not None


def read_voc_xml(path: Path, *, called: str) -> VocFile:
    """The annotation in a file, with its numbers as they are written.

    Raises:
        UserError: it is no sound XML, has a document type, is too big, or an object lacks its name or a corner.
    """
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise UserError(
            f"{called}: {size / 2**20:.0f} MiB of XML; at most {_MOST_BYTES >> 20} MiB can be read",
            "It should hold the boxes of one image.",
        )
    root, lines = _parse(path, called)
    if root.tag != "annotation":
        raise UserError(f"{called}, line 1: <{root.tag}> is no VOC annotation", "It must begin with <annotation>.")
    return VocFile(
        path,
        called,
        image_name=re.split(r"[/\\]", _text(root, "filename"))[-1],
        wh=_size(root.find("size"), called, lines),
        objects=tuple(_object(element, called, lines[element]) for element in root.findall("object")),
    )


class _Numbered(TreeBuilder):
    """Builds the tree, and keeps the line each element begins on."""

    def __init__(self) -> None:
        super().__init__()
        self.parser: Any = None
        self.lines: dict[Element, int] = {}

    def start(self, tag: Any, attrs: dict[Any, Any], /) -> Element:
        element = super().start(tag, attrs)
        self.lines[element] = self.parser.parser.CurrentLineNumber
        return element


def _parse(path: Path, called: str) -> tuple[Element, dict[Element, int]]:
    """The root, and the line of each element."""
    builder = _Numbered()
    parser = builder.parser = DefusedXMLParser(target=builder, forbid_dtd=True)
    try:
        parser.feed(path.read_bytes())
        return parser.close(), builder.lines
    except DefusedXmlException as error:
        raise UserError(
            f"{called}, line {parser.parser.CurrentLineNumber}: it has a document type or entities of its own",
            "An annotation needs neither, and they can do harm: delete the <!DOCTYPE ...>.",
        ) from error
    except ParseError as error:
        what, line = str(error).partition(":")[0], error.position[0]
        raise UserError(f"{called}, line {line}: not XML: {what}", "Is the file whole? Export it again.") from error
    except (ValueError, LookupError) as error:  # an encoding that is unknown
        raise UserError(f"{called}, line 1: not XML: {error}", "Save it in UTF-8.") from error


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _size(size: Element | None, called: str, lines: dict[Element, int]) -> tuple[int, int] | None:
    if size is None:
        return None
    where = f"{called}, line {lines[size]}"
    width, height = (_number(_text(size, key) or "0", f"<{key}>", where) for key in ("width", "height"))
    return (int(width), int(height)) if abs(width) < 1e9 and abs(height) < 1e9 else (0, 0)


def _object(element: Element, called: str, line: int) -> VocObject:
    where = f"{called}, line {line}"
    label, box = _text(element, "name"), element.find("bndbox")
    if not label:
        raise UserError(f"{where}: an object without a name", "Write its class into <name>.")
    if box is None:
        raise UserError(f"{where}: the object '{label}' has no <bndbox>", "Give it one, or delete the object.")
    xmin, ymin, xmax, ymax = (_number(_text(box, key), f"<{key}>", where) for key in _CORNERS)
    return VocObject(label, (xmin, ymin, xmax, ymax), _text(element, "difficult").lower() in _TRUE, line)


def _number(text: str, key: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        found = f"'{text[:40]}' in {key} is no number" if text else f"there is no {key}"
        raise UserError(f"{where}: {found}", "Mend the box, or delete the object.") from None
