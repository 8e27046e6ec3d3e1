"""Small data sets written out in each format, by other code than the readers use."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Thing:
    """One object: a class and a box, x0 y0 x1 y1."""

    name: str
    box: tuple[float, float, float, float]
    ignore: bool = False


@dataclass(frozen=True)
class Picture:
    """One image: file stem, size, and what is on it."""

    stem: str
    width: int
    height: int
    things: tuple[Thing, ...] = ()


World = Mapping[str, Sequence[Picture]]
"""Split -> pictures."""


def save_picture(path: Path, width: int = 20, height: int = 10, seed: int = 0) -> Path:
    """A small picture that no other seed gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([seed, width, height]).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def xml_object(name: str, corners: Sequence[object], extra: str = "<difficult>0</difficult>") -> str:
    """An <object> with 1-based inclusive corners as given."""
    tags = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    box = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags)
    return f"<object><name>{name}</name>{extra}<bndbox>{box}</bndbox></object>"


def write_voc(root: Path, world: World, suffix: str = ".png") -> Path:
    """`JPEGImages`, `Annotations`, `ImageSets/Main`; boxes must lie on whole pixels."""
    lists = root / "ImageSets" / "Main"
    for folder in (lists, root / "Annotations", root / "JPEGImages"):
        folder.mkdir(parents=True)
    seed = 0
    for split, pictures in world.items():
        (lists / f"{split}.txt").write_text("".join(f"{p.stem}\n" for p in pictures), encoding="utf-8")
        for p in pictures:
            seed += 1
            save_picture(root / "JPEGImages" / f"{p.stem}{suffix}", p.width, p.height, seed)
            objects = "".join(
                xml_object(
                    t.name,
                    (int(t.box[0]) + 1, int(t.box[1]) + 1, int(t.box[2]), int(t.box[3])),
                    f"<difficult>{int(t.ignore)}</difficult>",
                )
                for t in p.things
            )
            size = f"<size><width>{p.width}</width><height>{p.height}</height><depth>3</depth></size>"
            text = f"<annotation><filename>{p.stem}{suffix}</filename>{size}{objects}</annotation>"
            (root / "Annotations" / f"{p.stem}.xml").write_text(text, encoding="utf-8")
    return root


def coco_document(pictures: Sequence[Picture], classes: Sequence[str]) -> dict[str, Any]:
    """Non-contiguous category ids, image and annotation ids from 0."""
    annotations = [
        {
            "image_id": image,
            "category_id": 10 + 7 * classes.index(t.name),
            "bbox": [t.box[0], t.box[1], t.box[2] - t.box[0], t.box[3] - t.box[1]],
            "area": (t.box[2] - t.box[0]) * (t.box[3] - t.box[1]) / 2,
            "iscrowd": int(t.ignore),
        }
        for image, p in enumerate(pictures)
        for t in p.things
    ]
    return {
        "images": [
            {"id": image, "file_name": f"{p.stem}.png", "width": p.width, "height": p.height}
            for image, p in enumerate(pictures)
        ],
        "annotations": [{"id": number, **entry} for number, entry in enumerate(annotations)],
        "categories": [{"id": 10 + 7 * label, "name": name} for label, name in enumerate(classes)],
    }


def write_coco(root: Path, world: World, classes: Sequence[str]) -> Path:
    """`annotations/instances_<split>.json` and `images/<split>`."""
    (root / "annotations").mkdir(parents=True)
    seed = 0
    for split, pictures in world.items():
        for p in pictures:
            seed += 1
            save_picture(root / "images" / split / f"{p.stem}.png", p.width, p.height, seed)
        text = json.dumps(coco_document(pictures, classes))
        (root / "annotations" / f"instances_{split}.json").write_text(text, encoding="utf-8")
    return root


def yolo_line(label: int, box: Sequence[float], width: int, height: int) -> str:
    x0, y0, x1, y1 = box
    values = ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height)
    return " ".join([str(label), *(f"{value:.9f}" for value in values)])


def write_yolo(root: Path, world: World, classes: Sequence[str]) -> Path:
    """`images/<split>`, `labels/<split>` and data.yaml; ignored things do not exist in this format."""
    seed = 0
    for split, pictures in world.items():
        (root / "labels" / split).mkdir(parents=True)
        for p in pictures:
            seed += 1
            save_picture(root / "images" / split / f"{p.stem}.png", p.width, p.height, seed)
            lines = [yolo_line(classes.index(t.name), t.box, p.width, p.height) for t in p.things]
            (root / "labels" / split / f"{p.stem}.txt").write_text("\n".join(lines), encoding="utf-8")
    names = ", ".join(f'"{name}"' for name in classes)
    paths = "".join(f"{split}: images/{split}\n" for split in world)
    (root / "data.yaml").write_text(f"{paths}nc: {len(classes)}\nnames: [{names}]\n", encoding="utf-8")
    return root


def many(count: int, start: int = 0, split: str = "p", name: str = "cat") -> list[Picture]:
    """Plain pictures with one clean box each."""
    return [
        Picture(f"{split}{number}", 20, 10, (Thing(name, (2, 3, 12, 9)),))
        for number in range(start, start + count)
    ]
