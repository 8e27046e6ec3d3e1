"""Which class each number of a mask stands for, and what the classes are called.

`classes.txt` is a list of names, one a line and counted from 0, or has columns: `number name`, or CamVid's
`number name red green blue`, whose colours are read in RGB masks. Without it the classes are `background`,
`class 1`, ... up to the largest number found. 255 is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from neocog.data.files import is_title, printable, read_lines
from neocog.data.report import Report
from neocog.errors import DataError
from neocog.types import IGNORED_PIXEL

BACKGROUND = "background"
OUTSIDE = -1
"""In a table: a number that is no class."""

MOST_UNNAMED = 64
"""Classes that are believed without a list of their names: blurred edges have any number up to 254."""


@dataclass(frozen=True, slots=True)
class ClassList:
    """What `classes.txt` says."""

    names: dict[int, str]  # number -> name
    colours: dict[int, int] = field(default_factory=dict)  # 0xRRGGBB -> number
    counted: bool = False  # a plain list: numbers are the places in it

    def needs_all(self) -> bool:
        """Whether only all masks of the data set tell what the list means."""
        return len(self.names) <= 2 or self.names.get(0, "").lower() != BACKGROUND


@dataclass(frozen=True, slots=True)
class Table:
    """Number in a mask -> class."""

    classes: tuple[str, ...]
    labels: np.ndarray  # (256,) int16: class, 255 ignored, or OUTSIDE

    @property
    def background(self) -> int | None:
        """The class that no object is of."""
        return next((at for at, name in enumerate(self.classes) if name.lower() == BACKGROUND), None)


def read_class_list(path: Path) -> ClassList:
    """Raises DataError for a name or number that cannot be, or that is listed twice."""
    rows = [line.split() for line in read_lines(path)]
    numbered = bool(rows) and all(len(row) > 1 and _is_byte(row[0]) for row in rows)
    coloured = numbered and all(len(row) > 4 and all(map(_is_byte, row[-3:])) for row in rows)
    names: dict[int, str] = {}
    colours: dict[int, int] = {}
    for place, row in enumerate(rows):
        number = int(row[0]) if numbered else place
        name = " ".join(row[numbered : -3 if coloured else None])
        fault = "cannot be a class's name" if not is_title(name) else ""
        fault = "is listed twice" if number in names or name in names.values() else fault
        fault = "is one class too many: masks have room for 255" if number > 255 else fault
        if coloured:
            code = int.from_bytes(bytes(map(int, row[-3:])))
            fault = f"has the colour of '{printable(names[colours[code]])}'" if code in colours else fault
            colours[code] = number
        if fault:
            raise DataError(f"{printable(path)}: '{printable(' '.join(row)[:40])}' {fault} (correct it)")
        names[number] = name
    if not names:
        raise DataError(f"{printable(path)}: no class in it (remove it, or name them one a line)")
    return ClassList(names, colours, not numbered)


def _is_byte(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255


def make_table(
    listed: ClassList | None, shown: Sequence[np.ndarray], grey: bool, ignored: int | None, report: Report
) -> Table:
    """The table for masks in which these numbers (256,) bool occur: of the whole data set where the list
    `needs_all`. `grey`: all are plain 8-bit grey, so that 0 and 255 may mean black and white.

    What is decided by looking is noted; what cannot be decided stops reading.
    """
    seen = np.array(shown, bool).reshape(-1, 256)
    names = _unlisted(seen, ignored, report) if listed is None else dict(listed.names)
    binary = grey and _is_binary(seen, names, listed is None, report)
    if listed is not None and _lacks_background(listed, seen, binary, ignored):
        if listed.counted:
            names = {number + 1: name for number, name in names.items()}
        names[0] = BACKGROUND
        report.note("classes.txt", "", "no background listed", f"0 is '{BACKGROUND}'")
    elif listed is not None and listed.counted and listed.needs_all() and BACKGROUND not in _lower(names):
        report.note("classes.txt", "", "no background listed, and none found", f"0 is '{names[0][:40]}'")
    if binary:
        names = {0: names.get(0, BACKGROUND), 255: names.get(1, "class 1")}
        report.note(
            ".", "", "masks of 0 and 255 alone", f"0 is '{names[0][:40]}', 255 is '{names[255][:40]}'"
        )
    if ignored is not None:
        names.pop(ignored, None)
    labels = np.full(256, OUTSIDE, np.int16)
    labels[IGNORED_PIXEL] = IGNORED_PIXEL
    numbers = sorted(names)
    labels[numbers] = np.arange(len(numbers))
    if ignored is not None:
        labels[ignored] = IGNORED_PIXEL
    if len(numbers) > IGNORED_PIXEL:
        report.stops.append("256 classes: masks have room for 255 (leave one out by ignore_label)")
    return Table(tuple(names[number] for number in numbers), labels)


def _lower(names: dict[int, str]) -> list[str]:
    return [name.lower() for name in names.values()]


def _unlisted(seen: np.ndarray, ignored: int | None, report: Report) -> dict[int, str]:
    """Names up to the largest number, other than those that are ignored."""
    numbers = set(np.flatnonzero(seen.any(axis=0)).tolist()) - {IGNORED_PIXEL, ignored}
    largest = max(numbers, default=-1)
    if largest >= MOST_UNNAMED:
        report.stops.append(
            f"masks with numbers up to {largest} and no list of classes: blurred edges, or a photograph? "
            "(name the classes in classes.txt)"
        )
    return {number: f"class {number}" if number else BACKGROUND for number in range(largest + 1)}


def _is_binary(seen: np.ndarray, names: dict[int, str], unlisted: bool, report: Report) -> bool:
    """Whether 255 is the object: at most two classes, and 0 and 255 are all that there is.

    Masks with other numbers are in error where the classes are known; where they are not, and most masks are
    black and white, there is no telling, which stops reading.
    """
    if len(names) > 2 and not unlisted:
        return False
    if not set(names) <= {0, 1} and not unlisted:
        return False
    others = seen.copy()
    others[:, [0, IGNORED_PIXEL]] = False
    plain = ~others.any(axis=1)  # masks of 0 and 255 alone
    both = bool(seen[plain, 0].any() and seen[plain, IGNORED_PIXEL].any())
    if unlisted:
        if both and not plain.all() and (plain & seen[:, IGNORED_PIXEL]).sum() > len(seen) / 2:
            report.stops.append(
                "most masks hold 0 and 255 alone, and some do not (name the classes in classes.txt)"
            )
        return both and bool(plain.all())
    others[:, 1] = False
    clean = ~others.any(axis=1)  # masks of 0, 1 and 255 alone
    return both and not seen[clean, 1].any()


def _lacks_background(listed: ClassList, seen: np.ndarray, binary: bool, ignored: int | None) -> bool:
    """Whether the list leaves out the background that the masks count as 0."""
    if BACKGROUND in _lower(listed.names) or not listed.needs_all():
        return False
    if not listed.counted:
        return 0 not in listed.names and ignored != 0 and bool(seen[:, 0].any())
    count = len(listed.names)
    if binary:
        return count == 1
    others = seen.copy()
    others[:, : count + 1] = False
    others[:, [IGNORED_PIXEL, *([] if ignored is None else [ignored])]] = False
    clean = ~others.any(axis=1)  # not those with numbers that are wrong in any case
    return count < IGNORED_PIXEL and ignored != count and bool(seen[clean, count].any())
