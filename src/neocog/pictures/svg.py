"""A small SVG writer: plain functions that return elements, and a document around them.

Coordinates are pixels, x to the right and y down. Equal input gives equal bytes. All text is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from PIL import Image

from neocog.pictures.encode import data_url

Value = str | float | None
Point = tuple[float, float]

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NARROW, _THIN, _WIDE = set("ijl.,:;'|!`"), set('fIrt()[]{}/\\-" *'), set("mwMW@%&")


def number(value: float) -> str:
    """At most two decimals, without trailing zeros or a negative zero."""
    short = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if short == "-0" else short


def clean(content: str) -> str:
    """Text fit for XML and HTML: markup escaped, characters that XML forbids replaced."""
    return escape(_FORBIDDEN.sub("�", content))


@dataclass(frozen=True)
class Element:
    """One element; `str()` gives its markup."""

    tag: str
    attributes: dict[str, Value] = field(default_factory=dict)
    children: Sequence[Element | str] = ()  # a string is text

    def __str__(self) -> str:
        written = "".join(
            f' {name}="{_attribute(v)}"' for name, v in self.attributes.items() if v is not None
        )
        if not self.children:
            return f"<{self.tag}{written}/>"
        inner = "".join(str(child) if isinstance(child, Element) else clean(child) for child in self.children)
        return f"<{self.tag}{written}>{inner}</{self.tag}>"


def _attribute(value: str | float) -> str:
    return clean(value) if isinstance(value, str) else number(value)


def _names(attributes: dict[str, Value]) -> dict[str, Value]:
    """Python's names as SVG's: `class_` is class, `text_anchor` is text-anchor."""
    return {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}


def group(*children: Element, **attributes: Value) -> Element:
    return Element("g", _names(attributes), children)


def rect(x: float, y: float, width: float, height: float, **attributes: Value) -> Element:
    return Element("rect", {"x": x, "y": y, "width": width, "height": height, **_names(attributes)})


def line(start: Point, end: Point, **attributes: Value) -> Element:
    (x1, y1), (x2, y2) = start, end
    return Element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, **_names(attributes)})


def circle(centre: Point, radius: float, **attributes: Value) -> Element:
    return Element("circle", {"cx": centre[0], "cy": centre[1], "r": radius, **_names(attributes)})


def path(runs: Iterable[Sequence[Point]], *, closed: bool = False, **attributes: Value) -> Element:
    """Straight lines through the points of each run."""
    end = "Z" if closed else ""
    steps = ["M" + "L".join(f"{number(x)} {number(y)}" for x, y in run) + end for run in runs if run]
    return Element("path", {"d": "".join(steps), **_names(attributes)})


def text(x: float, y: float, content: str, **attributes: Value) -> Element:
    """One line of text; `y` is its baseline."""
    return Element("text", {"x": x, "y": y, **_names(attributes)}, (content,))


def pixels(
    x: float,
    y: float,
    width: float,
    height: float,
    values: np.ndarray,
    *,
    smooth: bool = False,
    jpeg: bool = False,
) -> Element:
    """A picture (H, W) or (H, W, 3) uint8 in a rectangle, its pixels squares unless `smooth`.

    As `jpeg`, which suits photographs, it takes a tenth of the bytes and loses a little.
    """
    return Element(
        "image",
        {
            "x": x,
            "y": y,
            "width": width,
            "height": height,
            "href": data_url(Image.fromarray(values), jpeg=jpeg),
            "preserveAspectRatio": "none",
            "style": None if smooth else "image-rendering:pixelated",
        },
    )


def tip(element: Element, content: str) -> Element:
    """The element with text that a pointer resting on it shows."""
    return Element(element.tag, element.attributes, (*element.children, Element("title", {}, (content,))))


def document(
    width: float, height: float, children: Iterable[Element], *, label: str, style: str = "", class_: str = ""
) -> str:
    """A whole picture of this size. `label` tells a screen reader what it shows; `style` is CSS, as it is."""
    attributes: dict[str, Value] = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": f"0 0 {number(width)} {number(height)}",
        "width": width,
        "height": height,
        "class": class_ or None,
        "role": "img",
        "aria-label": label,
    }
    sheet = [f"<style>{style}</style>"] if style else []
    opening = str(Element("svg", attributes)).removesuffix("/>")
    return "".join([opening, ">", *sheet, *map(str, children), "</svg>"])


def text_width(content: str, size: float) -> float:
    """Pixels that one line of text needs in a wide sans-serif (DejaVu Sans): SVG cannot measure."""
    return size * sum(map(_em, content))


def _em(character: str) -> float:
    if character in _NARROW:
        return 0.32
    if character in _THIN:
        return 0.41
    if character in _WIDE:
        return 0.95
    if ord(character) >= 0x1100:  # Chinese, Japanese, Korean, symbols
        return 1.0
    return 0.72 if character.isupper() else 0.62
