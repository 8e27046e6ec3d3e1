"""COCO detection: one JSON file a split.

Layouts: `annotations/instances_<split>.json`, `<split>.json`, `<split>/_annotations.coco.json`, or a single
JSON file, given itself or alone in the folder. Classes are the categories in ascending order of id. Crowds
become `ignore`. An annotation's own `area` is kept, because COCO's size ranges go by it.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from neocog.data.builder import Builder
from neocog.data.coco_files import (
    find_image,
    home_of,
    image_folders,
    json_files,
    spare_folders,
    split_token,
    unused_files,
)
from neocog.data.files import children, divide, images_below, in_order, is_image, is_title, printable
from neocog.data.json_file import read_json
from neocog.data.judge import MOST_COORDINATE
from neocog.data.places import note_uncovered
from neocog.data.records import ImageDataset
from neocog.data.report import Report
from neocog.errors import DataError

LAYOUT = "COCO (annotations/instances_train.json + images, train/_annotations.coco.json, or a JSON file)"

MOST_OBJECTS = 20_000
"""In one image, and of no image: beyond it a file is taken for no data."""

LEAST_AREA = 1e-6
"""Square pixels. What is less is no area, and float32 would make it none at all."""

Entry = tuple[int, dict[str, Any]]
"""An annotation with its position in the file."""


def finds(root: Path) -> bool:
    """Whether a folder or file looks like this format."""
    return bool(json_files(root))


def splits(root: Path) -> tuple[str, ...]:
    """The splits there are; a data set without any is divided into three."""
    files = json_files(root)
    return ("train", "val", "test") if "" in files else in_order(files)


def read(root: Path, split: str) -> ImageDataset:
    """One split.

    Raises DataError for a JSON file that is damaged or not COCO, an image id or category used twice, and ids
    of mixed types. Other faults go to `report`.
    """
    files, home = json_files(root), home_of(root)
    path, divided = files.get(split) or files[""], "" in files
    source = Path(os.path.relpath(path, home)).as_posix()
    images, annotations, categories = _tables(path, read_json(path))
    classes, labels = _classes(path, categories)
    report = Report(f"{printable(root)}, {split}")
    builder = Builder(home, classes, report, "annotations[{}]")

    folders = image_folders(home, path, split)
    names = [find_image(home, folders, image.get("file_name")) for image in images]
    chosen = list(range(len(images)))
    if divided:
        report.note(".", "", "no splits given", "divided 80/10/10 by the content of the images")
        homes = divide(home / (name or "") for name in names)
        chosen = [at for at in chosen if homes[at] == split]

    owned, strays = _by_image(images, annotations)
    if len(strays) > max(MOST_OBJECTS, len(annotations) // 2):
        raise DataError(
            f"{printable(path)}: {len(strays)} of {len(annotations)} annotations name no image in it"
        )
    for at in chosen:
        entries = owned[images[at]["id"]]
        _enter_image(builder, images[at], names[at], source, f"images[{at}]", len(entries))
        for number, annotation in entries:
            _enter(builder, source, number, annotation, labels)
    for number, annotation in strays if split == "train" or not divided else ():
        label = labels.get(_key(annotation.get("category_id")))
        builder.stray(source, number, "unknown image_id", _shown(annotation.get("image_id")), label)

    _note_unlisted(home, folders, set(names), report, "" if len(files) == 1 else split)
    _note_unused(root, home, files, list(filter(None, names)), report)
    _note_repeated(source, [names[at] for at in chosen], annotations, report)
    _stop_if_swapped(builder, source)
    return ImageDataset(home, "coco", split, classes, builder.build(), report)


def _tables(path: Path, document: Any) -> tuple[list[dict[str, Any]], list[Any], list[Any]]:
    """images, annotations, categories; every image has a usable id, each id once, all ids of one type."""
    if not isinstance(document, dict):
        kind = "list" if isinstance(document, list) else "value"
        raise DataError(
            f"{printable(path)}: top level is a {kind}, not an object with images and annotations"
        )
    for key in ("images", "annotations", "categories"):
        if not isinstance(document.get(key), list):
            raise DataError(f"{printable(path)}: missing {key} (a COCO file has a list of that name)")
    images, annotations = document["images"], document["annotations"]
    seen: set[int | str] = set()
    for number, image in enumerate(images):
        image_id = _key(image.get("id")) if isinstance(image, dict) else None
        if image_id is None:
            raise DataError(f"{printable(path)}:images[{number}]: no usable id (a whole number is expected)")
        if image_id in seen:
            raise DataError(f"{printable(path)}:images[{number}]: image id {_shown(image_id)} is used twice")
        seen.add(image_id)
    given = (item.get("image_id") for item in annotations if isinstance(item, dict))
    _check_types(path, "image ids", [*seen, *given])
    return images, annotations, document["categories"]


def _key(value: Any) -> int | str | None:
    """An id as it can be looked up; None for what cannot be one."""
    return value if type(value) in (int, str) else None


def _shown(value: Any) -> str:
    """A value of the file, short enough for one line."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _classes(path: Path, categories: list[Any]) -> tuple[tuple[str, ...], dict[int | str | None, int]]:
    """Names in ascending order of id, and id -> label."""
    names: dict[int | str, str] = {}
    taken: set[str] = set()
    for number, category in enumerate(categories):
        place = f"{printable(path)}:categories[{number}]"
        entry = category if isinstance(category, dict) else {}
        key, name = _key(entry.get("id")), entry.get("name")
        if key is None or not isinstance(name, str) or not is_title(name):
            raise DataError(f"{place}: no usable id and name")
        if key in names or name in taken:
            what = f"id {_shown(key)}" if key in names else f"name {_shown(name)}"
            raise DataError(f"{place}: category {what} is used twice (make each unique)")
        names[key] = name
        taken.add(name)
    _check_types(path, "category ids", names)
    ordered = sorted(names, key=lambda key: (isinstance(key, str), key))
    return tuple(names[key] for key in ordered), {key: label for label, key in enumerate(ordered)}


def _check_types(path: Path, what: str, ids: Iterable[Any]) -> None:
    """Text and numbers never mix: "17" is not 17, and nobody can tell which was meant."""
    examples = {type(value): value for value in ids if type(value) in (int, str)}
    if len(examples) == 2:
        text, number = _shown(examples[str]), _shown(examples[int])
        raise DataError(
            f"{printable(path)}: {what} are of mixed types, as {text} and {number} (use one kind)"
        )


def _by_image(
    images: list[dict[str, Any]], annotations: list[Any]
) -> tuple[dict[Any, list[Entry]], list[Entry]]:
    """Annotations of each image id, and those of no image."""
    owned: dict[Any, list[Entry]] = defaultdict(list)
    strays: list[Entry] = []
    known = {image["id"] for image in images}
    for number, annotation in enumerate(annotations):
        entry = annotation if isinstance(annotation, dict) else {}
        key = _key(entry.get("image_id"))
        (owned[key] if key in known else strays).append((number, entry))
    return owned, strays


def _enter_image(
    builder: Builder, image: dict[str, Any], name: str | None, source: str, record: str, count: int
) -> None:
    if name is not None and count > MOST_OBJECTS:
        builder.skip(name, f"more than {MOST_OBJECTS} annotations of one image", str(count), record)
        return
    if name is None:
        remedy = f"{_shown(image.get('file_name'))} of image id {_shown(image['id'])}"
        builder.skip(source, "file_name leads outside root, or is no name", remedy, record)
        return
    sizes = [_number(image.get(key)) or 0.0 for key in ("width", "height")]
    width, height = (int(size) if 0 < size < MOST_COORDINATE else 0 for size in sizes)
    builder.image(name, source, (width, height), record)


def _enter(
    builder: Builder,
    source: str,
    number: int,
    annotation: dict[str, Any],
    labels: dict[int | str | None, int],
) -> None:
    """One annotation of the last image into the builder."""
    label = labels.get(_key(annotation.get("category_id")))
    if not builder.usable:
        builder.drop(number, "", label=label)  # counted with its image
        return
    box, crowd = _box(annotation.get("bbox")), annotation.get("iscrowd", 0)
    if label is None:
        builder.drop(number, "unknown category_id", _shown(annotation.get("category_id")))
    elif box is None:
        builder.drop(number, "bbox is not four numbers", _shown(annotation.get("bbox")), label)
    elif not isinstance(crowd, int | float) or crowd not in (0, 1):
        builder.drop(number, "iscrowd is neither 0 nor 1", _shown(crowd), label)
    else:
        area = _number(annotation.get("area")) or 0.0
        if not LEAST_AREA <= area <= MOST_COORDINATE**2:
            builder.report.fix(source, f"annotations[{number}]", "no valid area", "computed from the box")
            area = 0.0
        builder.add(number, box, label, bool(crowd), area)


def _number(value: Any) -> float | None:
    """A JSON number as a float, however many digits it has."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(min(max(value, -(10**300)), 10**300)) if isinstance(value, int) else value


def _box(values: Any) -> tuple[float, float, float, float] | None:
    """x y width height as x0 y0 x1 y1; None when it is not four numbers."""
    if not isinstance(values, list) or len(values) != 4:
        return None
    x, y, width, height = map(_number, values)
    if x is None or y is None or width is None or height is None:
        return None
    return x, y, x + width, y + height


def _note_unlisted(
    home: Path, folders: list[str], known: set[str | None], report: Report, split: str
) -> None:
    """Images that the JSON file does not name, in the split's own folders (split "": in all of them)."""
    for folder in folders:
        if not split or split_token(Path(folder).name) == split:
            for name in children(home / folder):
                place = name if folder == "." else f"{folder}/{name}"
                if is_image(name) and place not in known:
                    report.note(place, "", "image without annotation", "not used")


def _note_unused(root: Path, home: Path, files: dict[str, Path], names: list[str], report: Report) -> None:
    """JSON files, and images in folders, that are no split's. Other splits are read only if need be."""
    for name in unused_files(root, files.values()):
        report.note(name, "", "JSON file of no split", "not used")
    spare = spare_folders(home, files) if root.is_dir() and "" not in files else []
    if any(images_below(home / folder) for folder in spare):
        others = [place for split, path in files.items() for place in _image_names(home, path, split)]
        note_uncovered(home, spare, [*names, *others], report)


def _image_names(home: Path, path: Path, split: str) -> list[str]:
    """The images that a split's file names; none where it is damaged, which its own reading tells."""
    try:
        images, _, _ = _tables(path, read_json(path))
    except DataError:
        return []
    folders = image_folders(home, path, split)
    return [name for image in images if (name := find_image(home, folders, image.get("file_name")))]


def _note_repeated(source: str, names: list[str | None], annotations: list[Any], report: Report) -> None:
    """File names and annotation ids that occur twice."""
    seen: set[Any] = set()
    for name in names:
        if name is not None and name in seen:
            report.note(source, "", "two images have one file name", name)
        seen.add(name)
    seen = set()
    for number, annotation in enumerate(annotations):
        key = _key(annotation.get("id")) if isinstance(annotation, dict) else None
        if key is not None and key in seen:
            place = f"annotations[{number}]"
            report.fix(source, place, "annotation id used twice", f"{_shown(key)}; numbered anew")
        seen.add(key)


def _stop_if_swapped(builder: Builder, source: str) -> None:
    """Boxes drawn on a picture whose sides the file swaps cannot be trusted."""
    count, examples = len(builder.swapped), ", ".join(builder.swapped[:5])
    if count:
        builder.report.stops.append(
            f"{source} swaps width and height of {count} images, so their boxes are suspect: {examples}"
        )
