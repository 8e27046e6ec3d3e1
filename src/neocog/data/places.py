"""Where the splits of a data set lie: one place each, and nothing passed over without a line."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from neocog.data.files import children, images_below, is_image, printable
from neocog.data.report import Report
from neocog.errors import DataError

Place = TypeVar("Place")

UNUSED = "image in no split"


def one_place(root: Path, found: Iterable[tuple[str, str, Place]]) -> dict[str, Place]:
    """(split, name, place) as split -> place. Raises DataError for two names of one split: neither is it."""
    places: dict[str, Place] = {}
    names: dict[str, str] = {}
    for split, name, place in found:
        if split in places and places[split] != place:
            both = f"{printable(names[split])} and {printable(name)} (join them, or move one away)"
            raise DataError(f"{printable(root)}: two places for split '{printable(split)}': {both}")
        places[split], names[split] = place, name
    return places


def full(home: Path, place: str) -> str:
    """One spelling of a path, however a list writes it."""
    return os.path.abspath(home / place)  # noqa: PTH100  (Path.absolute keeps "..")


def note_uncovered(home: Path, folders: Iterable[str], used: Iterable[str], report: Report) -> None:
    """Note each picture below these folders that no split uses. `used` and `folders` are relative to home."""
    known = {full(home, place) for place in used}
    found: dict[str, None] = {}
    for folder in dict.fromkeys(folders):
        names = images_below(home / folder) if folder != "." else filter(is_image, children(home))
        found.update(dict.fromkeys(name if folder == "." else f"{folder}/{name}" for name in names))
    for place in sorted(found):
        if full(home, place) not in known:
            report.note(place, "", UNUSED, "not used")
