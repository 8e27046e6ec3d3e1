"""The `data.yaml` of YOLO data sets: class names, and where the images of each split lie."""

from __future__ import annotations

import os
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from neocog.data.files import children, is_title, printable, read_text, split_name
from neocog.data.places import one_place
from neocog.errors import DataError

NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
MOST_TEXT = 1 << 17
"""Bytes: 5,000 names and more. PyYAML takes 2.5 seconds for so many brackets or commas."""
MOST_COUNT = 10**9
MOST_CLASSES = 10_000
SPLIT_KEYS = ("train", "val", "valid", "validation", "trainval", "test")


@dataclass(frozen=True, slots=True)
class Config:
    """What a data.yaml says."""

    path: Path
    names: tuple[str, ...] | None  # None: not given
    count: int | None  # of classes, where no names are given
    sources: dict[str, list[str]]  # split -> folders or lists of images, relative to the file's folder
    missing: dict[str, str]  # split -> why it has no place, where the file names one that is not there


def find_config(root: Path) -> Path | None:
    """The YAML file of a folder (or the file itself when that is given)."""
    if root.is_file():
        return root if root.suffix.lower() in (".yaml", ".yml") else None
    names = children(root)
    known = [name for name in NAMES if name in names]
    others = [name for name in names if name.lower().endswith((".yaml", ".yml"))]
    chosen = known or [name for name in others if "names:" in _text(root / name)]
    return root / chosen[0] if chosen else None


def _text(path: Path) -> str:
    try:
        return read_text(path, MOST_TEXT)
    except DataError:
        return ""


_LOADER_FAULTS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What PyYAML lets out for a tag that its text does not suit, as `!!int ''`."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without keys given twice and without merge keys, which grow without bound."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(problem="merge key '<<' not allowed", problem_mark=key.start_mark)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"duplicate key '{key.value}'", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_config(path: Path) -> Config:
    """Raises DataError `path:line: reason` for YAML that is damaged, unsafe or describes no data set."""
    text = read_text(path, MOST_TEXT)
    try:
        document = yaml.load(text, _Loader)  # noqa: S506  (a subclass of the safe loader)
    except yaml.MarkedYAMLError as error:
        line = f":line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DataError(f"{printable(path)}{line}: {printable(str(error.problem)[:200])}") from error
    except (yaml.YAMLError, RecursionError, *_LOADER_FAULTS) as error:
        raise DataError(f"{printable(path)}: not YAML ({type(error).__name__})") from error
    if not isinstance(document, dict):
        raise DataError(f"{printable(path)}: no names (a data.yaml has 'names', and 'train' and 'val' paths)")
    names = _names(path, document.get("names"))
    count = document.get("nc")
    if names is None and count is not None and not (type(count) is int and 0 < count <= MOST_CLASSES):
        raise DataError(f"{printable(path)}: nc is no number of 1 to {MOST_CLASSES} classes (correct it)")
    if names is not None and type(count) is int and count != len(names):
        count = max(-MOST_COUNT, min(count, MOST_COUNT))  # Python shows no number of 5,000 digits
        raise DataError(f"{printable(path)}: nc is {count}, but there are {len(names)} names (correct one)")
    return Config(path, names, None if names else count, *_sources(path, document))


def _names(path: Path, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, dict):
        if set(value) != set(range(len(value))):
            raise DataError(
                f"{printable(path)}: the keys of names are not 0..{len(value) - 1} (number them so)"
            )
        value = [value[label] for label in range(len(value))]
    if not isinstance(value, list) or not value:
        raise DataError(f"{printable(path)}: names is neither a list nor numbered names")
    names: list[str] = []
    seen: set[str] = set()
    for label, name in enumerate(value):
        if type(name) is int and abs(name) < MOST_COUNT:
            name = str(name)
        if not isinstance(name, str) or not is_title(name):
            raise DataError(f"{printable(path)}: names[{label}] is no text (put it in quotes)")
        if name in seen:
            raise DataError(
                f"{printable(path)}: names[{label}] repeats '{printable(name[:40])}' (make each unique)"
            )
        names.append(name)
        seen.add(name)
    return tuple(names)


def _sources(path: Path, document: dict[Any, Any]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Split -> where its images are, relative to the file's folder; and the entries that lead nowhere."""
    found: list[tuple[str, str, list[str]]] = []
    missing: dict[str, str] = {}
    for key in SPLIT_KEYS:
        places = _places(path, key, document)
        lost = [entry for entry, place in places if place is None]
        if lost:
            missing[split_name(key)] = _nowhere(path, key, lost[0])
        if lost and len(lost) < len(places):
            raise DataError(missing[split_name(key)])
        if places and not lost:
            kept = [place for _, place in places if place is not None]
            found.append((split_name(key), f"{key}: {', '.join(kept)}", kept))
    return one_place(path, found), missing


def _nowhere(path: Path, key: str, entry: str) -> str:
    return (
        f"{printable(path)}: {key}: no such folder or list: {printable(entry[:200])} (correct or remove it)"
    )


def _places(path: Path, key: str, document: dict[Any, Any]) -> list[tuple[str, str | None]]:
    """What a key of the file says, and where that is."""
    start, value = document.get("path"), document.get(key)
    places = []
    for entry in value if isinstance(value, list) else [value] if value else []:
        if not isinstance(entry, str) or "\0" in entry:
            raise DataError(f"{printable(path)}: {key} is no path")
        place = _resolve(path.parent, start if isinstance(start, str) else "", entry)
        if place is not None:
            _refuse_whole(path, key, place)
        places.append((entry, place))
    return places


def _refuse_whole(path: Path, key: str, place: str) -> None:
    """Refuse a folder that the data set lies in, as `/` and `../..` are: reading would walk all of it."""
    real, home = Path(os.path.realpath(path.parent / place)), Path(os.path.realpath(path.parent))
    if real == real.parent:
        raise DataError(f"{printable(path)}: {key} is the whole file system (name the images' folder)")
    if real in home.parents:
        raise DataError(f"{printable(path)}: {key} is a folder around the data set (name the images' folder)")


def _resolve(base: Path, start: str, entry: str) -> str | None:
    """A path of the file, as people mean it: below `path`, below the file, or with a needless `../`."""
    entry = entry.replace("\\", "/")
    inner = entry
    while inner.startswith("../"):
        inner = inner[3:]
    first = [base / inner] if inner != entry else []
    for place in (*first, base / start / entry, base / entry):
        if os.path.exists(place):  # noqa: PTH110  (unlike Path.exists it raises for no name at all)
            return Path(os.path.relpath(place, base)).as_posix()
    return None
