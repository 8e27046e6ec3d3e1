"""How data sets with a class a pixel, or a class a picture, are laid out: masks and class folders."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from neocog.data.folders import JUNK, OTHERS
from neocog.data.mask_files import VOC_IMAGES, VOC_LISTS, VOC_MASKS
from neocog.data.write_formats import Entry, check_names, lines_of, write_text
from neocog.errors import DataError

_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # no files on Windows
_UNSAFE = re.compile(r'[<>:"/\\|?*]')
MOST_BYTES = 200  # of a folder's name


class Masks:
    """`JPEGImages`, palette PNGs in `SegmentationClass`, `ImageSets/Segmentation/<split>.txt`, `classes.txt`.

    `classes.txt` has number, name and the palette's colour of each class: numbers leave nothing to guess.
    """

    def __init__(self, target: Path, classes: Sequence[str]) -> None:
        check_names(classes, "a mask's list")
        for name in classes:
            if name != " ".join(name.split()):
                raise DataError(f"class {name!r}: a list in columns cannot hold its spaces (rename it)")
        self._target, self._classes = target, classes
        self._stems: dict[str, list[str]] = defaultdict(list)

    def folder(self, split: str, label: int | None = None) -> Path:
        return self._target / VOC_IMAGES

    def add(self, entry: Entry) -> int:
        assert entry.mask is not None
        self._stems[entry.split].append(entry.stem)
        image = Image.fromarray(entry.mask)
        image.putpalette(palette().tobytes())  # which makes it one of palette indices
        place = self._target / VOC_MASKS / f"{entry.stem}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        image.save(place, "PNG")
        return 0

    def finish(self, splits: Sequence[str]) -> None:
        for split in splits:
            write_text(self._target / VOC_LISTS / f"{split}.txt", lines_of(self._stems[split]))
        colours = palette()[: len(self._classes)].tolist()
        rows = zip(self._classes, colours, strict=True)
        lines = [" ".join(map(str, (number, name, *colour))) for number, (name, colour) in enumerate(rows)]
        write_text(self._target / "classes.txt", lines_of(lines))


def palette() -> np.ndarray:
    """(256, 3) uint8: VOC's colours. Bits 0, 1, 2 of a number are the highest of red, green and blue."""
    numbers = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for place in range(8):
        for channel in range(3):
            bits = numbers >> (3 * place + channel) & 1
            colours[:, channel] |= (bits << (7 - place)).astype(np.uint8)
    return colours


class Folders:
    """`<split>/<class>/<picture>`, all classes in every split, and `classes.txt` for their order."""

    def __init__(self, target: Path, classes: Sequence[str]) -> None:
        check_names(classes, "a list of classes")
        seen: set[str] = set()
        for name in classes:
            _check_folder(name, seen)
            seen.add(name.casefold())
        self._target, self._classes = target, classes

    def folder(self, split: str, label: int | None = None) -> Path:
        return self._target / split / ("" if label is None else self._classes[label])

    def add(self, entry: Entry) -> int:
        return 0

    def finish(self, splits: Sequence[str]) -> None:
        for split in splits:
            for label in range(len(self._classes)):
                self.folder(split, label).mkdir(parents=True, exist_ok=True)
        write_text(self._target / "classes.txt", lines_of(self._classes))


def _check_folder(name: str, others: set[str]) -> None:
    """Raise DataError for a class whose name cannot be that of its folder, on any system."""
    folded = name.casefold()
    fault = ""
    if _UNSAFE.search(name) or name.startswith(".") or name.endswith(".") or _DEVICES.fullmatch(folded):
        fault = "cannot be a folder's name"
    elif len(name.encode()) > MOST_BYTES:
        fault = "is too long for a folder's name"
    elif folded in (*OTHERS, *JUNK):
        fault = "is a folder's name in other layouts"
    elif folded in others:
        fault = "differs from another class in case alone"
    if fault:
        raise DataError(f"class {name!r}: {fault} (rename it)")
