"""One line of a YOLO label file: `class cx cy width height` as fractions, or a polygon."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from neocog.data.files import parse_number, printable

SLACK = 0.01  # a fraction may exceed 1 by rounding; beyond this it is a pixel
PIXELS = "values above 1: pixels instead of fractions"


class LineFault(Exception):
    """Why a line cannot be used."""

    def __init__(self, reason: str, remedy: str = "", label: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.remedy, self.label = reason, remedy, label


class Line(NamedTuple):
    label: int
    box: tuple[float, float, float, float]  # fractions: x0 y0 x1 y1
    rounded: bool  # a value a little above 1 was taken as 1
    polygon: bool


def parse_line(line: str, classes: int) -> Line:
    """One line that is not blank. Raises LineFault."""
    if "," in line:
        raise LineFault("comma found, use spaces")
    first, *rest = line.split()
    label = _label(first, classes)
    try:
        values = [parse_number(token) for token in rest]
    except ValueError as error:
        raise LineFault("not a number", printable(line.strip()[:40]), label) from error
    polygon = len(values) >= 6 and len(values) % 2 == 0
    if len(values) != 4 and not polygon:
        raise LineFault(f"{len(values) + 1} columns", "5 are a box; 7, 9, ... a polygon", label)
    if any(1 + SLACK < value < math.inf for value in values):
        raise LineFault(PIXELS, "divide by the image's size", label)
    rounded = any(1 < value < math.inf for value in values)
    values = [1.0 if 1 < value < math.inf else value for value in values]
    return Line(label, _corners(values, polygon), rounded, polygon)


def _label(text: str, classes: int) -> int:
    try:
        number = parse_number(text)
    except ValueError:
        number = math.nan
    if number.is_integer() and 0 <= number < classes:
        return int(number)
    raise LineFault("class out of range", f"'{printable(text)[:20]}'; allowed: 0..{classes - 1}")


def _corners(values: Sequence[float], polygon: bool) -> tuple[float, float, float, float]:
    if polygon:
        if not all(map(math.isfinite, values)):
            return math.nan, math.nan, math.nan, math.nan
        return min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])
    cx, cy, width, height = values
    return cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2
