"""How VOC, COCO and YOLO lay out a detection data set: where a picture goes, how its objects are written.

All writers offer the same: `folder` of a split's pictures, `add` for each of them, `finish` at the end. Lists
and tables are written last, so that a data set cut short does not look whole.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Protocol
from xml.etree import ElementTree

import numpy as np
import yaml

from neocog.errors import DataError
from neocog.types import Objects


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture as it is written."""

    split: str
    name: str  # file name; its stem is unique in the data set
    size: tuple[int, int]  # (height, width) as shown
    objects: Objects
    areas: np.ndarray  # (N,) square pixels
    mask: np.ndarray | None = None  # (H, W) uint8 class of each pixel, 255 ignored

    @property
    def stem(self) -> str:
        return PurePath(self.name).stem


class Writer(Protocol):
    """What each format offers."""

    def __init__(self, target: Path, classes: Sequence[str]) -> None: ...

    def folder(self, split: str, label: int | None = None) -> Path:
        """Where the pictures of a split go; those of a class, where each has one."""

    def add(self, entry: Entry) -> int:
        """Write the objects of one picture; returns how many were left out."""

    def finish(self, splits: Sequence[str]) -> None:
        """Write what tells of the whole: lists and class names."""


class Voc:
    """`JPEGImages`, `Annotations`, `ImageSets/Main/<split>.txt`, and `classes.txt` for the classes' order.

    Boxes are 1-based and inclusive: xmin = x0 + 1, xmax = x1; with up to three decimals, where the kit has
    whole numbers, because rounding would move them.
    """

    def __init__(self, target: Path, classes: Sequence[str]) -> None:
        check_names(classes, "VOC")
        self._target, self._classes = target, classes
        self._stems: dict[str, list[str]] = defaultdict(list)

    def folder(self, split: str, label: int | None = None) -> Path:
        return self._target / "JPEGImages"

    def add(self, entry: Entry) -> int:
        self._stems[entry.split].append(entry.stem)
        root = ElementTree.Element("annotation")
        _put(root, folder="JPEGImages", filename=entry.name)
        height, width = entry.size
        _put(ElementTree.SubElement(root, "size"), width=width, height=height, depth=3)
        objects = entry.objects
        for box, label, ignore in zip(
            *(t.tolist() for t in (objects.boxes, objects.labels, objects.ignore)), strict=True
        ):
            item = ElementTree.SubElement(root, "object")
            _put(item, name=self._classes[label], pose="Unspecified", truncated=0, difficult=int(ignore))
            x0, y0, x1, y1 = box
            corners = {"xmin": x0 + 1, "ymin": y0 + 1, "xmax": x1, "ymax": y1}
            _put(ElementTree.SubElement(item, "bndbox"), **{key: _decimal(v) for key, v in corners.items()})
        ElementTree.indent(root)
        write_text(
            self._target / "Annotations" / f"{entry.stem}.xml", ElementTree.tostring(root, "unicode") + "\n"
        )
        return 0

    def finish(self, splits: Sequence[str]) -> None:
        for split in splits:
            write_text(self._target / "ImageSets" / "Main" / f"{split}.txt", lines_of(self._stems[split]))
        write_text(self._target / "classes.txt", lines_of(self._classes))


class Coco:
    """`images/<split>`, `annotations/instances_<split>.json`; category ids 1..K in the classes' order."""

    def __init__(self, target: Path, classes: Sequence[str]) -> None:
        self._target, self._classes = target, classes
        self._images: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._annotations: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def folder(self, split: str, label: int | None = None) -> Path:
        return self._target / "images" / split

    def add(self, entry: Entry) -> int:
        images, annotations = self._images[entry.split], self._annotations[entry.split]
        height, width = entry.size
        number = len(images) + 1
        images.append({"id": number, "file_name": entry.name, "width": width, "height": height})
        objects = entry.objects
        columns = (objects.boxes, objects.labels, objects.ignore, entry.areas)
        for (x0, y0, x1, y1), label, ignore, area in zip(*(c.tolist() for c in columns), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": label + 1,
                    "bbox": [round(value, 4) for value in (x0, y0, x1 - x0, y1 - y0)],
                    "area": round(area, 4),
                    "iscrowd": int(ignore),
                    "segmentation": [],
                }
            )
        return 0

    def finish(self, splits: Sequence[str]) -> None:
        categories = [{"id": label + 1, "name": name} for label, name in enumerate(self._classes)]
        for split in splits:
            document = {
                "images": self._images[split],
                "annotations": self._annotations[split],
                "categories": categories,
            }
            text = json.dumps(document, ensure_ascii=False) + "\n"
            write_text(self._target / "annotations" / f"instances_{split}.json", text)


class Yolo:
    """`images/<split>`, `labels/<split>` and `data.yaml`. Ignored objects have no mark and are left out.

    Ten digits of a fraction keep a thousandth of a pixel in any picture.
    """

    def __init__(self, target: Path, classes: Sequence[str]) -> None:
        self._target, self._classes = target, classes

    def folder(self, split: str, label: int | None = None) -> Path:
        return self._target / "images" / split

    def add(self, entry: Entry) -> int:
        height, width = entry.size
        counted = ~entry.objects.ignore
        boxes, labels = entry.objects.boxes[counted].tolist(), entry.objects.labels[counted].tolist()
        lines = []
        for (x0, y0, x1, y1), label in zip(boxes, labels, strict=True):
            values = (x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height
            lines.append(" ".join([str(label), *(f"{value:.10g}" for value in values)]))
        write_text(self._target / "labels" / entry.split / f"{entry.stem}.txt", lines_of(lines))
        return len(entry.objects) - len(boxes)

    def finish(self, splits: Sequence[str]) -> None:
        document: dict[str, Any] = {split: f"images/{split}" for split in splits}
        document["names"] = dict(enumerate(self._classes))
        write_text(self._target / "data.yaml", yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def check_names(classes: Sequence[str], format: str) -> None:
    """Raise DataError for a class that a list of one name a line cannot hold."""
    for name in classes:
        if not name.isprintable() or not name.strip() or name != name.strip():
            raise DataError(
                f"class {name!r}: {format} cannot hold a blank, unprintable or padded name (rename it)"
            )


def _put(parent: ElementTree.Element, **texts: object) -> None:
    """Children that hold a text each."""
    for tag, text in texts.items():
        ElementTree.SubElement(parent, tag).text = str(text)


def _decimal(value: float) -> str:
    """Up to three decimals; a whole number without a point."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def lines_of(texts: Sequence[str]) -> str:
    return "".join(f"{text}\n" for text in texts)


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
