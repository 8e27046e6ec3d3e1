"""How annotations are spoiled: one place that knows how each format is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.badinputs import SIDE, Ground
from tests.references.datasets import xml_object, yolo_line

Box = Sequence[float]
"""x0 y0 x1 y1 in pixels."""

CLASS = "disc"
"""A class that the good data set has."""


def read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")


def document_of(path: Path) -> dict[str, Any]:
    """A COCO file."""
    document: dict[str, Any] = json.loads(read_text(path))
    return document


def save_document(path: Path, document: object) -> None:
    """Write a COCO file; what is infinite becomes a number too large to be one, which strict JSON allows."""
    write_text(path, json.dumps(document).replace("Infinity", "1e999"))


def edit_coco(spot: Ground, change: Callable[[dict[str, Any]], str | None], split: str = "train") -> str:
    """Change the COCO file of a split; the place of the record that `change` returns."""
    path = spot.root / "annotations" / f"instances_{split}.json"
    document = document_of(path)
    record = change(document)
    save_document(path, document)
    return spot.place(path) + (f":{record}" if record else "")


def coco_image(spot: Ground, picture: Path, **values: Any) -> str:
    """Change the entry of a picture; a value of None removes the key. Returns its place."""

    def change(document: dict[str, Any]) -> str:
        names = [image["file_name"] for image in document["images"]]
        at = names.index(picture.name)
        kept = {key: value for key, value in (document["images"][at] | values).items() if value is not None}
        document["images"][at] = kept
        return f"images[{at}]"

    return edit_coco(spot, change)


def coco_entry(spot: Ground, without: str = "", **values: Any) -> str:
    """Add an annotation, good but for these values, to the next picture. Returns its place."""
    name = spot.picture().name

    def change(document: dict[str, Any]) -> str:
        image = next(image["id"] for image in document["images"] if image["file_name"] == name)
        label = next(entry["id"] for entry in document["categories"] if entry["name"] == CLASS)
        at = len(document["annotations"])
        entry = {"id": 10_000 + at, "image_id": image, "category_id": label, "bbox": [9.5, 11.5, 20, 15]}
        entry |= {"area": 300, "iscrowd": 0} | values
        entry.pop(without, None)
        document["annotations"].append(entry)
        return f"annotations[{at}]"

    return edit_coco(spot, change)


def voc_object(spot: Ground, text: str, picture: Path | None = None) -> str:
    """Add an <object>, as given, to the file of a picture (default: the next). Returns its place."""
    path = spot.annotation(picture or spot.picture())
    old = read_text(path)
    write_text(path, old.replace("</annotation>", f"{text}</annotation>"))
    return f"{spot.place(path)}:object {old.count('<object>') + 1}"


def voc_corners(spot: Ground, *corners: object) -> str:
    """Add an object with these corners, 1-based and inclusive, to the next picture."""
    return voc_object(spot, xml_object(CLASS, corners))


def yolo_text(spot: Ground, line: str) -> str:
    """Add a line, as given, to the labels of the next picture. Returns its place."""
    path = spot.annotation(spot.picture())
    old = read_text(path)
    write_text(path, f"{old}{line}\n")
    return f"{spot.place(path)}:line {old.count(chr(10)) + 1}"


def add_box(spot: Ground, box: Box, label: int = 0) -> str:
    """Add an object of the ground's format with this box to the next picture. Returns its place."""
    x0, y0, x1, y1 = box
    if spot.format == "coco":
        return coco_entry(spot, bbox=[x0, y0, x1 - x0, y1 - y0])
    if spot.format == "yolo":
        return yolo_text(spot, yolo_line(label, box, SIDE, SIDE))
    return voc_corners(spot, *(f"{value:.9g}" for value in (x0 + 1, y0 + 1, x1, y1)))


def append(path: Path, text: str) -> None:
    write_text(path, read_text(path) + text)
