"""The XML file of one image, as Pascal VOC writes it. No DTD is ever parsed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from neocog.data.files import is_title, parse_number, printable, read_bytes
from neocog.errors import DataError

CORNERS = ("xmin", "ymin", "xmax", "ymax")
MOST_XML = 16 << 20
"""Bytes of one image's file. A parsed file takes many times its size."""

MOST_OBJECTS = 20_000  # in one image
MOST_TAGS = 40 * MOST_OBJECTS  # an object has twelve or so, each opened and closed


@dataclass(frozen=True, slots=True)
class Object:
    """One <object>; either its corners or a fault."""

    name: str  # empty: none that can be used
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
    strays: int  # boxes that belong to no object


def load(path: Path) -> Annotation | DataError:
    """One XML file, or what is wrong with it."""
    try:
        return _parse(read_bytes(path, MOST_XML))
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
    if plain.count(b"<OBJECT") > MOST_OBJECTS or plain.count(b"<") > MOST_TAGS:
        raise ValueError(f"more than {MOST_OBJECTS} objects in one image")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        line, column = error.position
        raise ValueError(f"damaged XML (line {line}, column {column})") from error
    except (LookupError, ValueError) as error:
        raise ValueError("damaged XML (encoding)") from error
    if root.tag != "annotation":  # any other XML would look like a picture without objects
        raise ValueError(f"not VOC: the root is <{printable(root.tag[:40])}>, not <annotation>")
    size = (_integer(root.findtext("size/width")), _integer(root.findtext("size/height")))
    objects = root.findall("object")
    owned = len(root.findall("object/bndbox")) + len(root.findall("object/part/bndbox"))
    strays = sum(1 for _ in root.iter("bndbox")) - owned
    return Annotation(_text(root.findtext("filename")), size, tuple(map(_object, objects)), strays)


def _text(value: str | None) -> str:
    return (value or "").strip()


def _integer(value: str | None) -> int:
    try:
        return int(parse_number(_text(value)))
    except (ValueError, OverflowError):
        return 0


def _object(element: ElementTree.Element) -> Object:
    name, difficult = _text(element.findtext("name")), _text(element.findtext("difficult"))
    name = name if is_title(name) else ""
    odd = (
        "" if difficult in ("", "0", "1", "Unspecified") else f"<difficult> is '{difficult[:40]}', read as 0"
    )
    fault = _miscount(element)
    values = []
    for corner in () if fault else CORNERS:
        text = _text(element.findtext(f"bndbox/{corner}"))
        try:
            values.append(parse_number(text))
        except ValueError:
            fault = f"<{corner}> is '{text[:40]}', not a number" if text else f"no <{corner}>"
            break
    if fault:
        return Object(name, None, fault, False, "")
    xmin, ymin, xmax, ymax = values
    if not odd and (xmin == xmax or ymin == ymax):
        odd = "box one pixel wide or high"
    return Object(name, (xmin, ymin, xmax, ymax), "", difficult == "1", odd)


def _miscount(element: ElementTree.Element) -> str:
    """What an object says twice, or not at all where it is the box (no name: seen later); else empty."""
    boxes = element.findall("bndbox")
    if len(boxes) != 1:
        return f"{len(boxes)} <bndbox> instead of 1"
    counts = [("name", len(element.findall("name"))), *((tag, len(boxes[0].findall(tag))) for tag in CORNERS)]
    return next((f"{count} <{tag}> instead of 1" for tag, count in counts if count > 1), "")
