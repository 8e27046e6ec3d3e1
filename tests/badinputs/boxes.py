"""Bad boxes, classes and YOLO labels: part B of the catalogue, items 26 to 40."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.badinputs import SIDE, BadInput, Expected, Ground
from tests.badinputs.edits import (
    CLASS,
    add_box,
    coco_entry,
    edit_coco,
    read_text,
    voc_corners,
    voc_object,
    write_text,
    yolo_text,
)
from tests.references.datasets import save_picture, xml_object, yolo_line

FORMATS = ("voc", "coco", "yolo")
DROP, FIX, OK, STOP = Expected.DROP_ANN, Expected.FIX, Expected.OK, Expected.STOP
LINE = yolo_line(0, (9.5, 11.5, 29.5, 26.5), SIDE, SIDE)
"""A good line."""

BOXES = {
    "26-width": ("zero width", (20, 10, 20, 30), DROP, "zero area"),
    "26-height": ("zero height", (20, 10, 30, 10), DROP, "zero area"),
    "27-inverted-x": ("right edge left of the left one", (30, 10, 20, 30), DROP, "inverted"),
    "27-inverted-y": ("bottom above the top", (20, 30, 30, 10), DROP, "inverted"),
    "28-partly": ("partly outside", (50, 10, 70, 30), FIX, r"outside the image \(fixed; clipped\)"),
    "28-corner": ("beyond the upper left corner", (-9, -5, 30, 30), FIX, r"\(fixed; clipped\)"),
    "28-right": ("wholly outside, right", (64, 10, 70, 30), DROP, "outside the image|instead of fractions"),
    "28-above": ("wholly outside, above", (10, -30, 20, -2), DROP, "outside the image"),
    "30-far": ("a coordinate of -1e9", (-1e9, 10, 20, 30), DROP, "out of range|instead of fractions"),
    "40-tiny": ("box smaller than a pixel", (20.2, 10.2, 20.6, 10.5), OK, ""),
}


def box_items(format: str) -> list[BadInput]:
    """The boxes that every format can hold."""
    return [
        BadInput(f"{id}-{format}", title, partial(add_box, box=box), expected, pattern, format=format)
        for id, (title, box, expected, pattern) in BOXES.items()
    ]


NUMBERS = {
    "29-nan": "nan",
    "29-infinity": "Infinity",
    "29-minus": "-Infinity",
    "29-1e999": "1e999",
    "30-1e308": "1e308",
    "30-integer": "99999999999999999999999",
}
"""What is no coordinate, as text."""


def number_items() -> list[BadInput]:
    """Numbers that are none, too large, or infinite, in each format."""
    found = []
    for id, text in NUMBERS.items():
        finite = id.startswith("30")
        reason = "coordinate out of range" if finite else "not finite"
        make = partial(_voc_number, text=text)
        found.append(BadInput(f"{id}-voc", f"xmax {text}", make, DROP, reason))
        reason = "pixels instead of fractions" if finite else "not finite"
        make = partial(yolo_text, line=f"0 0.5 0.5 {text} 0.1")
        found.append(BadInput(f"{id}-yolo", f"width {text}", make, DROP, reason, "yolo"))
        if id != "29-nan":  # the bare word stops: item 42
            value = int(text) if id == "30-integer" else float(text)
            reason = "coordinate out of range" if finite else "not finite"
            make = partial(coco_entry, bbox=[9, 11, value, 15])
            found.append(BadInput(f"{id}-coco", f"width {text}", make, DROP, reason, "coco"))
    make = partial(coco_entry, bbox=[9, 11, "nan", 15])
    found.append(BadInput("29-nan-coco", "width as the text nan", make, DROP, "not four numbers", "coco"))
    return found


def _voc_number(spot: Ground, text: str) -> str:
    return voc_corners(spot, 10, 12, text, 26)


def one_pixel(spot: Ground) -> str:
    return voc_corners(spot, 10, 12, 10, 26)


# --- YOLO --------------------------------------------------------------------------------------------------


def yolo_line_item(id: str, title: str, line: str, pattern: str, expected: Expected = DROP) -> BadInput:
    """One more line in a label file."""
    return BadInput(id, title, partial(yolo_text, line=line), expected, pattern, "yolo")


def rewritten(spot: Ground, change: str, encoding: str = "utf-8") -> str:
    """A label file as another editor leaves it."""
    path = spot.annotation(spot.picture())
    text = read_text(path) or f"{LINE}\n"
    spelt = {
        "tabs": text.replace(" ", "\t"),
        "crlf": text.replace("\n", "\r\n"),
        "bom": "\ufeff" + text,
        "spaces": text.replace("\n", "   \n"),
        "blank": "\n\n" + text.replace("\n", "\n\n"),
        "empty": "",
        "white": " \n\t\n",
        "utf16": text,
    }[change]
    path.write_bytes(spelt.encode(encoding))
    return spot.place(path)


def pixels_everywhere(spot: Ground) -> str:
    for picture in spot.pictures:
        write_text(spot.annotation(picture), "0 32 24 10 12\n0 10 20 8 9\n")
    return ""


def missing_label(spot: Ground, share: float = 0.0) -> str:
    """One picture, or this share of them, without label file."""
    for picture in [spot.picture()] if share == 0 else spot.pictures[: int(share * len(spot.pictures))]:
        spot.annotation(picture).unlink()
    return "." if share <= 0.5 else ""


def moved_labels(spot: Ground) -> str:
    (spot.root / "labels").rename(spot.root / "Labels_")
    return ""


def orphan(spot: Ground) -> str:
    path = spot.root / "labels/train/ghost.txt"
    write_text(path, f"{LINE}\n")
    return spot.place(path)


def unlisted_voc(spot: Ground) -> str:
    return spot.place(save_picture(spot.root / "JPEGImages/unlisted.png", SIDE, SIDE, 1))


def unlisted_coco(spot: Ground) -> str:
    return spot.place(save_picture(spot.root / "images/train/unlisted.png", SIDE, SIDE, 1))


def unlisted_yolo(spot: Ground) -> str:
    """The training split by a list that leaves one picture out."""
    left, *listed = (spot.place(path) for path in reversed(spot.pictures))
    list_pictures(spot, list(reversed(listed)))
    return left


def list_pictures(spot: Ground, places: list[str]) -> None:
    """Give the training split as a list."""
    write_text(spot.root / "train.txt", "".join(f"./{place}\n" for place in places))
    config = spot.root / "data.yaml"
    write_text(config, read_text(config).replace("train: images/train", "train: train.txt"))


def twin(spot: Ground) -> str:
    """Two pictures of one stem: their labels would be one file."""
    picture = spot.picture()
    save_picture(picture.with_suffix(".bmp"), SIDE, SIDE, 2)
    return spot.place(picture)


def duplicate(spot: Ground, other: bool = False) -> str:
    """One annotation twice, or its box under two classes."""
    if spot.format == "coco":

        def change(document: dict[str, list[dict[str, object]]]) -> str:
            annotations = document["annotations"]
            labels = [entry["id"] for entry in document["categories"]]
            entry = annotations[-1] | {"id": 50_000 + len(annotations)}
            entry["category_id"] = labels[1] if other else entry["category_id"]
            annotations.append(entry)
            return f"annotations[{len(annotations) - 1}]"

        coco_entry(spot)
        return edit_coco(spot, change)
    if spot.format == "yolo":
        place = yolo_text(spot, f"{LINE}\n{'1' if other else '0'}{LINE[1:]}")
        file, _, line = place.rpartition(" ")
        return f"{file} {int(line) + 1}"
    names = (CLASS, "square" if other else CLASS)
    place = voc_object(spot, "".join(xml_object(name, (10, 12, 30, 26)) for name in names))
    file, _, number = place.rpartition(" ")
    return f"{file} {int(number) + 1}"


def duplicate_items() -> list[BadInput]:
    """Item 38 in each format."""
    found = []
    for format in FORMATS:
        make: Callable[[Ground], str] = duplicate
        found.append(
            BadInput(f"38-rows-{format}", "the same annotation twice", make, FIX, "duplicate", format)
        )
        make = partial(duplicate, other=True)
        found.append(
            BadInput(f"38-classes-{format}", "one box, two classes", make, OK, "same box under two", format)
        )
    return found


def crowded(spot: Ground) -> str:
    """The one training picture holds 5,000 boxes, each smaller than a pixel and apart from the others."""
    picture = spot.picture()
    path = spot.annotation(picture)
    cells = ((x * 0.9, y * 0.9) for y in range(71) for x in range(71))
    boxes = [(x, y, x + 0.8, y + 0.8) for x, y in cells][:5000]
    write_text(path, "".join(f"{yolo_line(0, box, SIDE, SIDE)}\n" for box in boxes))
    list_pictures(spot, [spot.place(picture)])
    return ""


def only_backgrounds(spot: Ground) -> str:
    for picture in spot.pictures:
        write_text(spot.annotation(picture), "")
    return ""


LINES = [
    yolo_line_item("31-pixels", "pixels instead of fractions", "0 32 24 10 12", "instead of fractions"),
    yolo_line_item("31-rounding", "1.0000001", "0 0.5 0.5 1.0000001 0.4", "clipped to 1", FIX),
    yolo_line_item("32-fraction", "class 1.5", "1.5 0.5 0.5 0.1 0.1", r"'1\.5'; allowed: 0\.\.\d+\)"),
    yolo_line_item("32-negative", "class -1", "-1 0.5 0.5 0.1 0.1", r"'-1'; allowed: 0\.\.\d+\)"),
    yolo_line_item("32-high", "class 80", "80 0.5 0.5 0.1 0.1", r"'80'; allowed: 0\.\.\d+\)"),
    yolo_line_item("32-word", "a class's name", "person 0.5 0.5 0.1 0.1", r"'person'; allowed: 0\.\.\d+\)"),
    yolo_line_item("33-commas", "commas", "0,0.5,0.5,0.1,0.1", "comma found, use spaces"),
    yolo_line_item("34-four", "4 columns", "0 0.5 0.5 0.1", "4 columns"),
    yolo_line_item("34-six", "6 columns, as predictions have", "0 0.5 0.5 0.1 0.1 0.9", "6 columns"),
    yolo_line_item("34-wide", "a word as width", "0 0.5 0.5 wide 0.1", "not a number"),
]

YOLO = [
    *LINES,
    *(
        BadInput(f"33-{change}", f"labels with {change}", partial(rewritten, change=change), OK, "", "yolo")
        for change in ("tabs", "crlf", "bom", "spaces", "blank")
    ),
    BadInput(
        "33-utf16",
        "labels in UTF-16",
        partial(rewritten, change="utf16", encoding="utf-16"),
        Expected.SKIP_FILE,
        "not UTF-8 text",
        "yolo",
    ),
    BadInput(
        "34-mixed",
        "a polygon among boxes",
        partial(yolo_text, line="0 0.1 0.2 0.5 0.2 0.3 0.8"),
        OK,
        "",
        "yolo",
    ),
    BadInput("35-empty", "empty label file", partial(rewritten, change="empty"), OK, "", "yolo"),
    BadInput("35-white", "label file of blanks", partial(rewritten, change="white"), OK, "", "yolo"),
    BadInput("36-one", "one label file missing", missing_label, OK, "images without label file", "yolo"),
    BadInput("37-orphan", "label without image", orphan, OK, "label without image", "yolo"),
    BadInput("37-twin", "two images, one label file", twin, OK, "label file shared", "yolo"),
]

ALONE = [
    BadInput("40-backgrounds", "no box in any training picture", only_backgrounds, OK, "", "yolo"),
    BadInput("40-crowd", "5,000 boxes in one picture", crowded, OK, "", "yolo", ("load", "check", "train")),
    BadInput("36-half", "half of the label files missing", partial(missing_label, share=0.5), OK, "", "yolo"),
    BadInput("37-list", "image in no list", unlisted_yolo, OK, "image in no split", "yolo"),
    BadInput("31-everywhere", "pixels everywhere", pixels_everywhere, STOP, "not normalised\\?", "yolo"),
    BadInput(
        "36-most",
        "most label files missing",
        partial(missing_label, share=0.6),
        STOP,
        r"labels folder not found\?",
        "yolo",
    ),
    BadInput("36-moved", "labels folder renamed", moved_labels, STOP, "no known layout|not found", "yolo"),
]
"""What concerns the whole data set, each in one of its own."""

TOGETHER = [
    *(item for format in FORMATS for item in box_items(format)),
    *number_items(),
    *duplicate_items(),
    *YOLO,
    BadInput("26-pixel", "box one pixel wide (legal in VOC)", one_pixel, OK, "one pixel wide or high"),
    BadInput("37-unlisted-voc", "image in no split", unlisted_voc, OK, "in no split or without annotation"),
    BadInput("37-unlisted-coco", "image not in the JSON", unlisted_coco, OK, "without annotation", "coco"),
]
"""What concerns one file or record: many of them in one data set."""
