"""Where a YOLO data set keeps its images and their label files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neocog.data.files import (
    ORDER,
    children,
    holds_pictures,
    images_below,
    is_image,
    printable,
    read_lines,
    split_name,
)
from neocog.data.places import one_place
from neocog.data.yolo_config import Config, find_config, read_config
from neocog.errors import DataError

CLASS_FILES = (
    "classes.txt",
    "labels/classes.txt",
    "obj.names",
    "train/classes.txt",
    "train/labels/classes.txt",
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the images are. The key "" stands for a data set without splits."""

    home: Path  # the data set's folder
    config: Config | None
    sources: dict[str, list[str]]  # split -> folders, or lists of images, relative to the home
    missing: dict[str, str]  # split -> why it cannot be opened, though data.yaml names a place for it

    def images(self, split: str) -> list[str]:
        """Images of a split relative to the home, each once: folders sorted, lists in their own order."""
        found: dict[str, None] = {}
        for place in self.sources.get(split) or self.sources[""]:
            path = self.home / place
            if path.is_file():
                folder, entries = Path(place).parent, [line.replace("\\", "/") for line in read_lines(path)]
            else:
                folder, entries = Path(place), images_below(path)
            found.update(dict.fromkeys((folder / entry).as_posix() for entry in entries))
        return list(found)


def find_layout(root: Path) -> Layout:
    """Raises DataError when data.yaml cannot be used, or no images are found."""
    file = find_config(root)
    home = root if root.is_dir() else root.parent
    config = read_config(file) if file else None
    sources = config.sources if config and config.sources else find_places(home)
    if not sources:
        raise DataError(f"{printable(file or root)}: no images found ('train' and 'val' should name folders)")
    named = config.missing if config and "" not in sources else {}
    missing = {split: why for split, why in named.items() if split not in sources}
    return Layout(home, config, sources, missing)


def find_places(root: Path) -> dict[str, list[str]]:
    """Split -> folders or lists, by looking; empty when nothing looks like this format.

    Raises DataError for two places of one split, as `val` and `valid`.
    """
    names = children(root)
    if {"images", "labels"} <= set(names) and not holds_pictures(root / "labels"):
        inner = [(_split(name), f"images/{name}") for name in children(root / "images")]
        inner = [(split, place) for split, place in inner if split and (root / place).is_dir()]
        lists = [(split, f"{split}.txt") for split in ORDER if f"{split}.txt" in names]
        return _placed(root, inner or lists) or {"": ["images"]}
    inner = []
    for name in names:
        split = _split(name)
        both = {"images", "labels"} <= set(children(root / name))
        if split and both and not holds_pictures(root / name / "labels"):
            inner.append((split, f"{name}/images"))
        elif split and _labelled(root / name):
            inner.append((split, name))
    return _placed(root, inner) or ({"": ["."]} if _labelled(root) else {})


def _placed(root: Path, found: list[tuple[str, str]]) -> dict[str, list[str]]:
    return one_place(root, ((split, place, [place]) for split, place in found))


def picture_folders(layout: Layout, images: Sequence[str]) -> list[str]:
    """Where pictures of the data set may lie, relative to its folder: below it, and so that they look meant.

    `images` are those of its splits: where a list names them, its own place says nothing.
    """
    entries = [*images, *(place for places in layout.sources.values() for place in places)]
    tops = dict.fromkeys(place.partition("/")[0] for place in entries)
    folders = [top for top in tops if top not in ("", ".", "..") and os.path.isdir(layout.home / top)]  # noqa: PTH112
    like = [f"{name}/images" for name in children(layout.home)]
    return [*folders, *(place for place in like if os.path.isdir(layout.home / place)), "."]  # noqa: PTH112


def _split(name: str) -> str:
    """The split a folder's name stands for, as `train2017`; empty for none."""
    plain = split_name(re.sub(r"[-_]?\d{4}$", "", name))
    return plain if plain in ORDER else ""


def _labelled(folder: Path) -> bool:
    """Whether some image has a text file of its name beside it."""
    names = set(children(folder))
    return any(is_image(name) and f"{name.rpartition('.')[0]}.txt" in names for name in names)


def label_path(image: str) -> str:
    """Where the labels of an image are, relative to the same folder."""
    parts = list(Path(image).parts)
    if not Path(image).name:  # ".", which a list may hold
        return f"{image}.txt"
    for at in range(len(parts) - 2, -1, -1):
        if parts[at] == "images":
            parts[at] = "labels"
            break
    return Path(*parts).with_suffix(".txt").as_posix()
