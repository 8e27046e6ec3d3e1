"""The XML file of one image, as Pascal VOC writes it. No DTD is ever parsed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from neocog.data.files import parse_number, printable, read_bytes
from neocog.errors import DataError

CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class Object:
    """One <object>; either its corners or a fault."""

    name: str
    corners: tuple[float, float, float, float] | None
    fault: str  # why it cannot be used
    difficult: bool
    odd: str  # something to note


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one file says."""

    filename: str
    size: tuple[int, int]  # width, height as declared; 0 where absent
    objects: tuple[Object, ...]


def load(path: Path) -> Annotation | DataError:
    """One XML file, or what is wrong with it."""
    try:
        return _parse(read_bytes(path))
    except DataError as error:
        return error
    except ValueError as error:
        return DataError(f"{printable(path)}: {error}")


def _parse(data: bytes) -> Annotation:
    """Raises ValueError with a reason. No DTD is ever parsed: entities can grow without bound."""
    # NUL bytes are dropped so that UTF-16 hides nothing; expat knows no other encoding that could.
    plain = data.replace(b"\0", b"").upper()
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        raise ValueError("DTD not allowed")
    if not plain.strip():
        raise ValueError("empty file")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        line, column = error.position
        raise ValueError(f"damaged XML (line {line}, column {column})") from error
    except (LookupError, ValueError) as error:
        raise ValueError("damaged XML (encoding)") from error
    size = (_integer(root.findtext("size/width")), _integer(root.findtext("size/height")))
    return Annotation(_text(root.findtext("filename")), size, tuple(map(_object, root.findall("object"))))


def _text(value: str | None) -> str:
    return (value or "").strip()


def _integer(value: str | None) -> int:
    try:
        return int(parse_number(_text(value)))
    except (ValueError, OverflowError):
        return 0


def _object(element: ElementTree.Element) -> Object:
    name, difficult = _text(element.findtext("name")), _text(element.findtext("difficult"))
    odd = "" if difficult in ("", "0", "1", "Unspecified") else f"<difficult> is '{difficult}', read as 0"
    boxes = element.findall("bndbox")
    if len(boxes) != 1:
        return Object(name, None, f"{len(boxes)} <bndbox> instead of 1", False, "")
    values = []
    for corner in CORNERS:
        text = _text(boxes[0].findtext(corner))
        try:
            values.append(parse_number(text))
        except ValueError:
            fault = f"<{corner}> is '{text}', not a number" if text else f"no <{corner}>"
            return Object(name, None, fault, False, "")
    xmin, ymin, xmax, ymax = values
    if not odd and (xmin == xmax or ymin == ymax):
        odd = "box one pixel wide or high"
    return Object(name, (xmin, ymin, xmax, ymax), "", difficult == "1", odd)
