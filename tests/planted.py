"""A large clean data set in each format, and 25 kinds of label errors to plant in it at known places.

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


# --- the 25 kinds ------------------------------------------------------------------------------------------

BOXES: dict[str, tuple[Box, str]] = {
    "zero width": ((20, 10, 20, 30), "box has zero area"),
    "zero height": ((20, 10, 30, 10), "box has zero area"),
    "inverted": ((30, 10, 20, 30), "box is inverted"),
    "partly outside": ((50, 5, 70, 45), "box reaches outside the image"),
    "wholly outside": ((-30, 10, -2, 30), "box lies outside the image"),
}


def box_kind(world: World, kind: str, turn: int) -> None:
    box, reason = BOXES[kind]
    world.insert(kind, world.mark(box, turn % len(CLASSES)), reason)


def spelt(world: World, turn: int, texts: tuple[str, ...]) -> Mark:
    """An annotation with one coordinate as given in VOC and YOLO, which are text."""
    text, mark = texts[turn % len(texts)], world.mark((20, 10, 31, 30))
    old = (
        "<xmax>31</xmax>"
        if world.format == "voc"
        else yolo_line(0, (20, 10, 31, 30), WIDTH, HEIGHT).split()[3]
    )
    mark.content = str(mark.content).replace(old, f"<xmax>{text}</xmax>" if world.format == "voc" else text)
    return mark


def not_finite(world: World, kind: str, turn: int) -> None:
    if world.format == "coco":
        mark = world.mark((20, 10, 31, 30), bbox=[20, 10, float("inf") if turn % 2 else -float("inf"), 20])
    else:
        mark = spelt(world, turn, ("nan", "inf", "-Infinity", "1e999"))
    world.insert(kind, mark, "box is not finite")


def out_of_range(world: World, kind: str, turn: int) -> None:
    if world.format == "coco":
        mark = world.mark((20, 10, 31, 30), bbox=[20, 10, (1e308, 10**30)[turn % 2], 20])
    else:
        mark = spelt(world, turn, ("1e308", "9" * 30))
    world.insert(kind, mark, "box coordinate out of range")


def no_number(world: World, kind: str, turn: int) -> None:
    if world.format == "coco":
        mark = world.mark((20, 10, 31, 30), bbox=[20, 10, ("11", None, True)[turn % 3], 20])
        world.insert(kind, mark, "bbox is not four numbers")
    else:
        reason = "not a number" if world.format == "yolo" else "<xmax> is '"
        world.insert(kind, spelt(world, turn, ("wide", "1_0", "0x1f", "12px")), reason)


def value_missing(world: World, kind: str, turn: int) -> None:
    if world.format == "coco":
        world.insert(kind, world.mark((20, 10, 31, 30), bbox=[20, 10, 11]), "bbox is not four numbers")
    elif world.format == "voc":
        text = xml_object("ant", (21, 11, 31, 30)).replace("<xmax>31</xmax>", "")
        world.insert(kind, Mark(text), "no <xmax>")
    else:
        world.insert(kind, Mark("0 0.5 0.5 0.2"), "4 columns")


def unknown_class(world: World, kind: str, turn: int) -> None:
    if world.format == "coco":
        world.insert(kind, world.mark((20, 10, 31, 30), category_id=99), "unknown category_id")
    elif world.format == "voc":
        name = ("emu", "Cat", "dog.")[turn % 3]
        world.insert(kind, Mark(xml_object(name, (21, 11, 31, 30))), f"unknown class '{name}'")
    else:
        text = ("4", "-1", "1.5", "cat")[turn % 4]
        world.insert(kind, Mark(f"{text} 0.5 0.5 0.2 0.2"), "class out of range")


def duplicate(world: World, kind: str, turn: int) -> None:
    shot = world.free()
    label, box = shot.truth[turn % 5]
    world.insert(kind, world.mark(box, label), "duplicate of an earlier annotation", shot, last=True)


def two_classes(world: World, kind: str, turn: int) -> None:
    shot = world.free()
    label, box = shot.truth[turn % 5]
    world.insert(kind, world.mark(box, (label + 1) % 4), "same box under two classes", shot, last=True)


def nearly_twice(world: World, kind: str, turn: int) -> None:
    shot = world.free()
    label, (x0, y0, x1, y1) = shot.truth[turn % 5]
    shot.marks.append(world.mark((x0 + 1, y0, x1 + 1, y1), label))
    folder = "JPEGImages" if world.format == "voc" else f"images/{shot.split}"
    reason = f"boxes of one class nearly equal (noted; boxes {turn % 5 + 1} and 6)"
    world.told(kind, shot, f"{folder}/{shot.stem}.png", reason)


def picture_missing(world: World, kind: str, turn: int) -> None:
    shot = world.free()
    shot.picture = False
    place = f"JPEGImages/{shot.stem}" if world.format == "voc" else f"{shot.stem}.png"
    world.told(kind, shot, place, "no such file or directory (file left out)")


def picture_unlisted(world: World, kind: str, turn: int) -> None:
    shot = world.free()
    shot.listed = False
    if world.format == "voc":
        # Every split is told of it: it could have been meant for any.
        reason = "image in no split or without annotation"
        world.told(kind, shot, f"JPEGImages/{shot.stem}.png", reason)
    else:
        world.told(kind, shot, f"images/{shot.split}/{shot.stem}.png", "image without annotation")


def annotation_alone(world: World, kind: str, turn: int) -> None:
    """An annotation whose picture is unknown."""
    shot = Shot(turn, ("train", "val")[turn % 2], [])
    if world.format == "coco":
        mark = world.mark((20, 10, 31, 30))
        world.strays.append((shot.split, mark))
        world.errors.append(lambda: Error(kind, shot.split, world._places[id(mark)], "unknown image_id"))
    elif world.format == "voc":
        world.files[f"Annotations/ghost{turn}.xml"] = "<annotation/>"
        world.told(kind, shot, f"Annotations/ghost{turn}.xml", "annotation in no split")
    else:
        world.files[f"labels/{shot.split}/ghost{turn}.txt"] = "0 0.5 0.5 0.2 0.2\n"
        world.told(kind, shot, f"labels/{shot.split}/ghost{turn}.txt", "label without image")


def wrong_size(world: World, kind: str, turn: int) -> None:
    shot = world.free()
    shot.size = ((WIDTH + 1, HEIGHT), (WIDTH, 2 * HEIGHT))[turn % 2]
    place = f"Annotations/{shot.stem}.xml" if world.format == "voc" else "{}"
    world.told(kind, shot, place, "declared image size is wrong")


def with_values(reason: str, *values: dict[str, object]) -> Callable[[World, str, int], None]:
    """A COCO annotation, good but for these values."""

    def plant(world: World, kind: str, turn: int) -> None:
        world.insert(kind, world.mark((20, 10, 31, 30), turn % 4, **values[turn % len(values)]), reason)

    return plant


def same_id(world: World, kind: str, turn: int) -> None:
    """The id of the first annotation of the file."""
    world.insert(kind, world.mark((20, 10, 31, 30), id=0), "annotation id used twice", last=True)


def as_text(reason: str, *texts: str) -> Callable[[World, str, int], None]:
    """A line, or an object, as given."""

    def plant(world: World, kind: str, turn: int) -> None:
        world.insert(kind, Mark(texts[turn % len(texts)]), reason)

    return plant


def cut(world: World, kind: str, turn: int) -> None:
    shot = world.free()
    shot.damage = True
    world.told(kind, shot, f"Annotations/{shot.stem}.xml", "damaged XML (line ")


ALL, VOC, COCO, YOLO = ("voc", "coco", "yolo"), ("voc",), ("coco",), ("yolo",)
TWO = xml_object("ant", (21, 11, 31, 30)).replace("</object>", "<bndbox/></object>")
PIXELS = "values above 1: pixels instead of fractions"

KINDS: dict[str, tuple[tuple[str, ...], Callable[[World, str, int], None]]] = {
    **dict.fromkeys(BOXES, (ALL, box_kind)),
    "not finite": (ALL, not_finite),
    "out of range": (("voc", "coco"), out_of_range),
    "no number": (ALL, no_number),
    "value missing": (ALL, value_missing),
    "unknown class": (ALL, unknown_class),
    "duplicate": (ALL, duplicate),
    "two classes": (ALL, two_classes),
    "nearly twice": (ALL, nearly_twice),
    "annotation without picture": (ALL, annotation_alone),
    "picture missing": (("voc", "coco"), picture_missing),
    "picture without annotation": (("voc", "coco"), picture_unlisted),
    "wrong size": (("voc", "coco"), wrong_size),
    "annotation id twice": (COCO, same_id),
    "iscrowd": (COCO, with_values("iscrowd is neither", {"iscrowd": 2}, {"iscrowd": "0"}, {"iscrowd": None})),
    "area": (COCO, with_values("no valid area", {"area": 0}, {"area": -3}, {"area": None})),
    "two boxes in an object": (VOC, as_text("2 <bndbox> instead of 1", TWO)),
    "cut file": (VOC, cut),
    "pixels": (YOLO, as_text(PIXELS, "0 32 24 10 12", "1 0.5 24 0.2 0.2")),
    "commas": (YOLO, as_text("comma found, use spaces", "0,0.5,0.5,0.2,0.2", "0, 0.5, 0.5, 0.2, 0.2")),
    "rounding": (
        YOLO,
        as_text("value above 1 by rounding", "0 0.5 0.5 1.0000001 0.2", "0 0.5 0.5 0.2 1.001"),
    ),
}
"""Kind -> the formats it is planted in, and how."""


def plant(world: World, each: int) -> None:
    """`each` errors of every kind, shared out among the formats of the kind; this world gets its share."""
    for kind, (formats, make) in KINDS.items():
        for turn in range(each):
            if formats[turn % len(formats)] == world.format:
                make(world, kind, turn // len(formats))
