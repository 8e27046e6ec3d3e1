"""What figures are composed of: grids of numbers, windows on them, arrows, notes, pictures of values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from neocog.pictures.maps import coloured
from neocog.pictures.svg import Element, Point, group, line, path, pixels, rect, text, text_width

CELL = 34.0  # side of a square with a number
_SHADES = 60  # from 0 to the limit
_DARK_INK, _LIGHT_INK = "#15181c", "#ffffff"


def cells(
    values: np.ndarray,
    x: float,
    y: float,
    *,
    side: float = CELL,
    limit: float | None = None,
    signed: bool = False,
    digits: int = 0,
    numbers: bool = True,
    hidden: np.ndarray | None = None,
    grey: bool = False,
) -> Element:
    """Values (H, W) as coloured squares from the top left corner (x, y), with their numbers.

    Colours run from 0 (`signed`: from -limit) to `limit`, by default the largest magnitude, or from black to
    white if `grey`. What is `hidden` (H, W) is an empty square.
    """
    limit = float(np.abs(values).max(initial=0)) if limit is None else limit
    colours = coloured(np.asarray(values, float), limit, signed=signed)
    if grey:
        shades = (255 / limit * values.clip(0, limit)).astype(np.uint8)
        colours = np.stack([shades] * 3, axis=-1)
    widest = max(text_width(number(float(value), digits), 1) for value in values.flat)
    size = min(0.42 * side, 15.0, 0.88 * side / widest)
    parts = []
    for (row, column), value in np.ndenumerate(values):
        left, top = x + column * side, y + row * side
        empty = hidden is not None and bool(hidden[row, column])
        shade = tuple(int(one) for one in colours[row, column])
        fill = "var(--surface)" if empty else "#{:02x}{:02x}{:02x}".format(*shade)
        parts.append(rect(left, top, side, side, style=f"fill:{fill};stroke:var(--axis)"))
        if numbers and not empty:
            ink = _DARK_INK if _lightness(shade) > 0.5 else _LIGHT_INK
            middle = left + side / 2, top + side / 2 + 0.36 * size
            look = f"fill:{ink};font-size:{size:.3g}px"
            parts.append(text(*middle, number(float(value), digits), text_anchor="middle", style=look))
    return group(*parts)


def number(value: float, digits: int) -> str:
    """With so many decimals and a true minus sign; never a negative zero."""
    short = f"{value:.{digits}f}"
    return short.removeprefix("-") if float(short) == 0 else short.replace("-", "−")


def window(
    x: float, y: float, rows: int, columns: int, *, side: float = CELL, colour: str = "var(--accent)"
) -> Element:
    """A frame around some cells of a grid, the first of which begins at (x, y)."""
    look = f"fill:none;stroke:{colour}"
    return rect(x, y, columns * side, rows * side, style=look, stroke_width=3, rx=2)


def arrow(start: Point, end: Point, *, colour: str = "var(--muted)", width: float = 1.5) -> Element:
    """A straight line with a head at its end."""
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    head = [
        (end[0] - 9 * math.cos(angle + turn), end[1] - 9 * math.sin(angle + turn)) for turn in (0.4, -0.4)
    ]
    neck = end[0] - 6 * math.cos(angle), end[1] - 6 * math.sin(angle)
    return group(
        line(start, neck, style=f"stroke:{colour}", stroke_width=width),
        path([[end, *head]], closed=True, style=f"fill:{colour}"),
    )


def volume(
    x: float,
    y: float,
    wide: float,
    high: float,
    deep: float,
    *,
    face: np.ndarray | None = None,
    colour: str = "var(--quiet)",
    front: str = "var(--surface)",
) -> Element:
    """A box seen from the front and a little from above, as maps are drawn: (x, y) is the top left of its
    front, which shows the picture `face` (H, W) or (H, W, 3) uint8, and it reaches `deep` pixels back.
    """
    dx, dy = volume_reach(deep)
    corners = [(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)]
    top = [corners[0], (x + dx, y - dy), (x + wide + dx, y - dy), corners[1]]
    side = [corners[1], (x + wide + dx, y - dy), (x + wide + dx, y + high - dy), corners[2]]
    edge = "stroke:var(--axis)"
    parts = [
        path([top], closed=True, style=f"fill:var(--grid);{edge}"),
        path([side], closed=True, style=f"fill:{colour};{edge}"),
        path([corners], closed=True, style=f"fill:{front};{edge}"),
    ]
    if face is not None:
        parts.append(pixels(x, y, wide, high, face, smooth=face.shape[1] > wide))
    return group(*parts)


def volume_reach(deep: float) -> Point:
    """How far a box of this depth reaches to the right of its front, and above it."""
    return 0.8 * deep, 0.5 * deep


def note(
    x: float,
    y: float,
    *lines: str,
    anchor: str | None = None,
    class_: str | None = "muted",
    pitch: float = 18,
) -> Element:
    """Lines of text, the first on the baseline y."""
    return group(
        *(text(x, y + i * pitch, one, text_anchor=anchor, class_=class_) for i, one in enumerate(lines))
    )


def values_picture(
    values: np.ndarray, x: float, y: float, side: float, *, limit: float | None = None, signed: bool = False
) -> Element:
    """Values (H, W) in false colours, `side` pixels wide."""
    height = side * values.shape[0] / values.shape[1]
    smooth = values.shape[1] > side
    return pixels(x, y, side, height, false_colours(values, limit=limit, signed=signed), smooth=smooth)


def false_colours(values: np.ndarray, *, limit: float | None = None, signed: bool = False) -> np.ndarray:
    """Values (H, W) as a picture (H, W, 3) uint8, in the colours of `cells`, but in few shades.

    More shades can hardly be told apart, and make files several times as large.
    """
    limit = float(np.abs(values).max(initial=0)) if limit is None else limit
    if limit > 0:
        values = np.round(values * (_SHADES / limit)) * (limit / _SHADES)
    return coloured(values, limit, signed=signed)


def spaced(texts: Sequence[str], x: float, y: float, pitch: float) -> Element:
    """Texts side by side, each centred on its place."""
    return group(*(text(x + i * pitch, y, one, text_anchor="middle") for i, one in enumerate(texts)))


def _lightness(colour: Sequence[int]) -> float:
    red, green, blue = colour
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255
