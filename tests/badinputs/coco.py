"""Bad COCO files: part C of the catalogue, items 41 to 52."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.badinputs import SIDE, BadInput, Expected, Ground
from tests.badinputs.edits import (
    coco_entry,
    coco_image,
    document_of,
    edit_coco,
    read_text,
    save_document,
    write_text,
)
from tests.references.datasets import save_picture

DROP, FIX, OK, STOP = Expected.DROP_ANN, Expected.FIX, Expected.OK, Expected.STOP
SKIP = Expected.SKIP_FILE
Document = dict[str, Any]


def train_file(spot: Ground) -> str:
    return spot.place(spot.root / "annotations/instances_train.json")


def whole(spot: Ground, text: str | Callable[[str], str]) -> str:
    """Replace the text of the training file."""
    path = spot.root / train_file(spot)
    write_text(path, text if isinstance(text, str) else text(read_text(path)))
    return train_file(spot)


def without_key(text: str, key: str) -> str:
    document = json.loads(text)
    del document[key]
    return json.dumps(document)


def change_all(spot: Ground, change: Callable[[Document], None]) -> str:
    """Change the training file as a whole."""

    def apply(document: Document) -> None:
        change(document)

    edit_coco(spot, apply)
    return train_file(spot)


def image_twice(document: Document) -> None:
    document["images"].append(dict(document["images"][0]))


def category_twice(document: Document) -> None:
    document["categories"][1]["name"] = document["categories"][0]["name"]


def other_categories(document: Document) -> None:
    for category in document["categories"]:
        category["id"] += 500


def nameless_category(document: Document) -> None:
    document["categories"][0]["name"] = "disc\x1b[31m"


def oblong(spot: Ground) -> str:
    """Every picture becomes oblong, and the file has its sides the wrong way round."""
    for number, picture in enumerate(spot.pictures):
        save_picture(picture, SIDE, 2 * SIDE, number)

    def change(document: Document) -> None:
        for image in document["images"]:
            image.update(width=2 * SIDE, height=SIDE)

    return change_all(spot, change)


def zero_based(document: Document) -> None:
    """Ids of images and annotations from 0."""
    ids = {image["id"]: number for number, image in enumerate(document["images"])}
    for image in document["images"]:
        image["id"] = ids[image["id"]]
    for number, entry in enumerate(document["annotations"]):
        entry.update(id=number, image_id=ids[entry["image_id"]])


def other_case(spot: Ground) -> str:
    """Validation and test spell a class in another way than training."""
    for split in ("val", "test"):
        path = spot.root / f"annotations/instances_{split}.json"
        document = document_of(path)
        document["categories"][0]["name"] = "Disc "
        save_document(path, document)
    return ""


def gaps(spot: Ground) -> str:
    """Category ids with gaps, in every split."""
    for split in ("train", "val", "test"):
        path = spot.root / f"annotations/instances_{split}.json"
        document = document_of(path)
        for entry in (*document["categories"], *document["annotations"]):
            key = "id" if "name" in entry else "category_id"
            entry[key] = 7 * entry[key] + 3
        save_document(path, document)
    return ""


def one_name(spot: Ground) -> str:
    """Two images of one file name. The message names the file."""
    first, second = spot.picture(), spot.picture()
    coco_image(spot, second, file_name=first.name)
    return train_file(spot)


def id_twice(spot: Ground) -> str:
    path = spot.root / train_file(spot)
    return coco_entry(spot, id=document_of(path)["annotations"][0]["id"])


def sized(spot: Ground, **values: Any) -> str:
    return coco_image(spot, spot.picture(), **values)


def elsewhere(spot: Ground, name: object) -> str:
    return coco_image(spot, spot.picture(), file_name=name)


def in_folder(spot: Ground) -> str:
    """A Windows path: backslashes are folders."""
    picture = spot.picture()
    (picture.parent / "deep").mkdir(exist_ok=True)
    picture.rename(picture.parent / "deep" / picture.name)
    return coco_image(spot, picture, file_name=f"deep\\{picture.name}")


def dotted(spot: Ground) -> str:
    """A needless `./`, which must not make the picture look unused."""
    picture = spot.picture()
    return coco_image(spot, picture, file_name=f"./{picture.name}")


def stop(id: str, title: str, text: str | Callable[[str], str], pattern: str) -> BadInput:
    """The whole file is of no use."""
    return BadInput(id, title, partial(whole, text=text), STOP, pattern, "coco")


def drop(id: str, title: str, pattern: str, expected: Expected = DROP, **values: Any) -> BadInput:
    """One more annotation, good but for these values."""
    return BadInput(id, title, partial(coco_entry, **values), expected, pattern, "coco")


def part(id: str, title: str, make: Callable[[Ground], str], expected: Expected, pattern: str) -> BadInput:
    return BadInput(id, title, make, expected, pattern, "coco")


FILES = [
    stop("41-html", "an error page", "<html>404</html>", r"not JSON or cut off \(line 1, column 1, offset 0"),
    stop("41-cut", "cut in the middle", lambda text: text[: len(text) // 2], r"cut off \(.*offset \d+"),
    stop("41-nested", "lists 10,000 deep", "[" * 10_000 + "]" * 10_000, "nested too deeply"),
    stop("41-deep", "objects 10,000 deep", '{"a":' * 10_000 + "1" + "}" * 10_000, "nested too deeply"),
    stop("42-key", "duplicate key", lambda text: '{"images": [], ' + text[1:], "duplicate key 'images'"),
    stop(
        "42-nan",
        "NaN as a number",
        lambda text: text.replace('"bbox": [', '"bbox": [NaN, ', 1),
        "NaN is not a JSON number",
    ),
    stop("42-list", "top level a list", lambda text: f"[{text}]", "top level is a list"),
    *(
        stop(f"42-{key}", f"no {key}", partial(without_key, key=key), f"missing {key}")
        for key in ("annotations", "images", "categories")
    ),
    stop("41-digits", "a number of 5,000 digits", lambda text: text.replace("1", "1" * 5000, 1), "digits"),
]


def changed(id: str, title: str, change: Callable[[Document], None], pattern: str) -> BadInput:
    return part(id, title, partial(change_all, change=change), STOP, pattern)


STOPS = [
    *FILES,
    changed("43-id", "an image id twice", image_twice, r"images\[\d+\]: image id 1 is used twice"),
    changed("46-name", "two categories of one name", category_twice, r"categories\[1\]: .*used twice"),
    changed("46-none", "no category matches", other_categories, "annotations are lost"),
    changed("46-escape", "a terminal's escape in a name", nameless_category, r"categories\[0\]: no usable"),
    part(
        "47-mixed",
        "image ids as text and as numbers",
        lambda spot: coco_entry(spot, image_id="17").partition(":")[0],
        STOP,
        r"mixed types, as '17' and \d+",
    ),
    part(
        "49-swapped",
        "width and height swapped in every image",
        oblong,
        STOP,
        r"swaps width and height of 48 images, .*: ([^,]+, ){4}[^,]+$",
    ),
    BadInput("46-case", "a class spelt otherwise", other_case, STOP, "classes", "coco", ("check", "train")),
]
"""Each in a data set of its own."""

ALONE = [
    part("45-zero", "all ids from 0", partial(change_all, change=zero_based), OK, ""),
    part("46-gaps", "category ids with gaps", gaps, OK, ""),
]

BOXES: dict[str, object] = {"0": [], "3": [1, 2, 3], "5": [1, 2, 3, 4, 5], "text": ["1", "2", "3", "4"]}
BOXES |= {"null": None, "object": {"x": 1}, "word": "1 2 3 4"}

OUTSIDE = {
    "absolute": "/etc/hostname",
    "parent": "../secret.png",
    "inner": "a/../../secret.png",
    "url": "http://127.0.0.1:9/a.png",
    "windows": "C:\\a.png",
    "nul": "a\0.png",
    "number": 17,
}

TOGETHER = [
    part("43-name", "two images of one file name", one_name, OK, "two images have one file name"),
    part("44-id", "annotation id twice", id_twice, FIX, "annotation id used twice"),
    drop("46-unknown", "unknown category", "unknown category_id", category_id=999),
    drop("46-text", "category id as text", "unknown category_id", category_id="1"),
    drop("47-unknown", "unknown image", r"unknown image_id \(annotation left out; 99999", image_id=99_999),
    drop("47-missing", "no image id", "unknown image_id", without="image_id"),
    *(
        drop(f"48-bbox-{key}", f"bbox {value!r}", "bbox is not four", bbox=value)
        for key, value in BOXES.items()
    ),
    drop("48-bbox-missing", "no bbox", "bbox is not four", without="bbox"),
    drop("48-area-0", "area 0", "no valid area", FIX, area=0),
    drop("48-area-minus", "negative area", "no valid area", FIX, area=-5),
    drop("48-area-missing", "no area", "no valid area", FIX, without="area"),
    drop("48-area-endless", "infinite area", "no valid area", FIX, area=float("inf")),
    drop("48-area-tiny", "an area of 1e-320", "no valid area", FIX, area=1e-320),
    part("49-missing", "no width", partial(sized, width=None), OK, "no image size declared"),
    part("49-zero", "size 0", partial(sized, width=0, height=0), OK, "no image size declared"),
    part("49-wrong", "wrong width", partial(sized, width=50), OK, "declared image size is wrong"),
    *(
        part(
            f"50-{key}", f"file_name {name!r}", partial(elsewhere, name=name), SKIP, "outside root, or is no"
        )
        for key, name in OUTSIDE.items()
    ),
    part("50-backslash", "a Windows path", in_folder, OK, ""),
    part("50-dot", "a needless ./", dotted, OK, ""),
    drop("52-2", "iscrowd 2", "iscrowd is neither", iscrowd=2),
    drop("52-text", "iscrowd as text", "iscrowd is neither", iscrowd="0"),
    drop("52-null", "iscrowd null", "iscrowd is neither", iscrowd=None),
    drop("52-missing", "no iscrowd", "", OK, without="iscrowd"),
    drop("52-ignore", "an ignore flag", "", OK, ignore=1),
]
"""What concerns one record: many of them in one data set."""
