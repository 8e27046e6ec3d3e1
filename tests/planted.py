"""A large clean data set in each format, in which label errors (`planted_kinds`) stand at known places.

Pictures are tiny and each of another colour; five boxes lie in cells of their own. Errors are planted in the
data set before it is written, each in a picture that no other error touches.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tests.references.datasets import xml_object, yolo_line

WIDTH, HEIGHT = 64, 48
CLASSES = ("ant", "bee", "cat", "dog")
CORNERS = ("xmin", "ymin", "xmax", "ymax")
Box = tuple[float, float, float, float]


class Mark:
    """One annotation as its file has it: XML, a line, or an object of JSON. Told apart by identity."""

    def __init__(self, content: str | dict[str, object]) -> None:
        self.content = content


@dataclass
class Shot:
    """One picture."""

    number: int
    split: str
    truth: list[tuple[int, Box]]
    marks: list[Mark] = field(default_factory=list)
    size: tuple[int, int] = (WIDTH, HEIGHT)
    picture: bool = True  # whether its file is there
    listed: bool = True  # whether the data set names it
    damage: bool = False  # whether its annotation file is cut

    @property
    def stem(self) -> str:
        return f"p{self.number:05d}"


class Error(NamedTuple):
    """What must be reported: the start of one line."""

    kind: str
    split: str
    place: str
    reason: str


def shots(count: int, seed: int) -> list[Shot]:
    """`count` pictures with five boxes each; every fifth is for validation."""
    random = np.random.default_rng([seed, count])
    found = []
    for number in range(count):
        cells = random.permutation(12)[:5]
        corners = np.stack([cells % 4, cells // 4], 1) * 16 + random.integers(1, 5, (5, 2))
        sides = random.integers(8, 12, (5, 2))
        boxes = np.concatenate([corners, corners + sides], 1).tolist()
        labels = random.integers(0, len(CLASSES), 5).tolist()
        truth = [(label, tuple(box)) for label, box in zip(labels, boxes, strict=True)]
        found.append(Shot(number, "train" if number % 5 else "val", truth))
    return found


@cache
def png(number: int) -> bytes:
    buffer = io.BytesIO()
    colour = (number // 256, number % 256, 77)
    Image.new("RGB", (WIDTH, HEIGHT), colour).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def corners_of(box: Box) -> list[object]:
    """1-based and inclusive, as VOC writes them."""
    x0, y0, x1, y1 = box
    return [x0 + 1, y0 + 1, x1, y1]


class World:
    """The data set in one format. `shots` may be changed until `write`."""

    def __init__(self, format: str, count: int, seed: int) -> None:
        self.format, self.shots = format, shots(count, seed)
        self.random = np.random.default_rng([seed, 7])
        self.errors: list[Callable[[], Error]] = []
        self.strays: list[tuple[str, Mark]] = []  # annotations of no picture, with their split
        self.files: dict[str, str] = {}  # files of no picture
        for shot in self.shots:
            shot.marks = [self.mark(box, label) for label, box in shot.truth]
        order = self.random.permutation(count).tolist()
        self._free: Iterator[Shot] = iter([self.shots[at] for at in order])
        self._places: dict[int, str] = {}

    def free(self) -> Shot:
        """A picture without error."""
        return next(self._free)

    def mark(self, box: Box, label: int = 0, **more: object) -> Mark:
        """A good annotation, but for what is given."""
        if self.format == "voc":
            return Mark(xml_object(CLASSES[label], corners_of(box)))
        if self.format == "yolo":
            return Mark(yolo_line(label, box, WIDTH, HEIGHT))
        x0, y0, x1, y1 = box
        entry = {"category_id": label + 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "iscrowd": 0}
        return Mark(entry | {"area": max(1.0, (x1 - x0) * (y1 - y0))} | more)

    def insert(
        self, kind: str, mark: Mark, reason: str, shot: Shot | None = None, last: bool = False
    ) -> None:
        """Plant a faulty annotation, anywhere among those of a picture or behind them."""
        shot = shot or self.free()
        at = len(shot.marks) if last else int(self.random.integers(len(shot.marks) + 1))
        shot.marks.insert(at, mark)
        self.errors.append(lambda: Error(kind, shot.split, self._places[id(mark)], reason))

    def told(self, kind: str, shot: Shot, place: str, reason: str) -> None:
        """A fault of the whole file or entry of a picture; `place` may name its entry in the JSON as {}."""
        self.errors.append(lambda: Error(kind, shot.split, place.format(self._places.get(id(shot))), reason))

    def write(self, root: Path) -> list[Error]:
        """Write the data set; what must be reported of it."""
        {"voc": self._write_voc, "coco": self._write_coco, "yolo": self._write_yolo}[self.format](root)
        for place, text in self.files.items():
            (root / place).write_text(text)
        return [error() for error in self.errors]

    def _pictures(self, root: Path, folder: str) -> None:
        for shot in self.shots:
            path = root / folder.format(split=shot.split) / f"{shot.stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if shot.picture:
                path.write_bytes(png(shot.number))

    def _write_voc(self, root: Path) -> None:
        self._pictures(root, "JPEGImages")
        for folder in ("Annotations", "ImageSets/Main"):
            (root / folder).mkdir(parents=True)
        for shot in self.shots:
            place = f"Annotations/{shot.stem}.xml"
            size = "<size><width>{}</width><height>{}</height></size>".format(*shot.size)
            objects = "\n".join(str(mark.content) for mark in shot.marks)
            text = f"<annotation><filename>{shot.stem}.png</filename>{size}\n{objects}\n</annotation>"
            if shot.listed or shot.damage:
                (root / place).write_text(text[: len(text) // 2] if shot.damage else text)
            self._number(shot.marks, f"{place}:object {{}}", 1)
        for split in ("train", "val"):
            stems = [shot.stem for shot in self.shots if shot.split == split and shot.listed]
            (root / f"ImageSets/Main/{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))
        (root / "classes.txt").write_text("\n".join(CLASSES))

    def _write_yolo(self, root: Path) -> None:
        self._pictures(root, "images/{split}")
        for split in ("train", "val"):
            (root / "labels" / split).mkdir(parents=True)
        for shot in self.shots:
            place = f"labels/{shot.split}/{shot.stem}.txt"
            (root / place).write_text("".join(f"{mark.content}\n" for mark in shot.marks))
            self._number(shot.marks, f"{place}:line {{}}", 1)
        names = ", ".join(CLASSES)
        (root / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: [{names}]\n")

    def _write_coco(self, root: Path) -> None:
        self._pictures(root, "images/{split}")
        (root / "annotations").mkdir()
        for split in ("train", "val"):
            place = f"annotations/instances_{split}.json"
            found = [shot for shot in self.shots if shot.split == split and shot.listed]
            self._places |= {id(shot): f"{place}:images[{at}]" for at, shot in enumerate(found)}
            owned = [(mark, shot.number) for shot in found for mark in shot.marks]
            owned += [(mark, 10**6) for other, mark in self.strays if other == split]
            self._number([mark for mark, _ in owned], f"{place}:annotations[{{}}]", 0)
            document = {
                "images": [
                    {"id": s.number, "file_name": f"{s.stem}.png", "width": s.size[0], "height": s.size[1]}
                    for s in found
                ],
                "annotations": [
                    {"id": at, "image_id": number} | dict(mark.content)  # type: ignore[call-overload]
                    for at, (mark, number) in enumerate(owned)
                ],
                "categories": [{"id": label + 1, "name": name} for label, name in enumerate(CLASSES)],
            }
            (root / place).write_text(json.dumps(document).replace("Infinity", "1e999"))

    def _number(self, marks: list[Mark], place: str, start: int) -> None:
        self._places |= {id(mark): place.format(at) for at, mark in enumerate(marks, start)}
