"""The 25 kinds of label errors, planted in the data sets of `planted`."""

from __future__ import annotations

from collections.abc import Callable

from tests.planted import CLASSES, HEIGHT, WIDTH, Box, Error, Mark, Shot, World
from tests.references.datasets import xml_object, yolo_line

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
