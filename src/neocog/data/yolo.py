"""YOLO text labels: a line an object, `class cx cy width height` as fractions of the image, or a polygon.

Layouts: `images/<split>` + `labels/<split>`, `<split>/images` + `<split>/labels`, both without splits, or
text files beside the images; a `data.yaml` may name the classes and the places. Without one the classes are
those of `classes.txt`, else numbers. A label file's place is its image's, with the last folder called
`images` replaced by `labels`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from neocog.data.builder import Builder
from neocog.data.files import (
    children,
    divide,
    in_order,
    is_image,
    printable,
    read_classes,
    reason_of,
    text_lines,
)
from neocog.data.images import ImageInfo
from neocog.data.places import full, note_uncovered
from neocog.data.records import ImageDataset
from neocog.data.report import Report
from neocog.data.yolo_config import find_config
from neocog.data.yolo_files import (
    CLASS_FILES,
    Layout,
    find_layout,
    find_places,
    label_path,
    picture_folders,
)
from neocog.data.yolo_lines import PIXELS, LineFault, parse_line
from neocog.errors import DataError

LAYOUT = "YOLO (images/train + labels/train, train/images + train/labels, or *.txt by the images; data.yaml)"
MOST_LABELS = 16 << 20
"""Bytes of one image's file."""
MOST_LINES = 20_000
"""Of one image's file: so many objects has none."""

NOT_LABELS = ("classes.txt", "notes.txt", "readme")


def finds(root: Path) -> bool:
    """Whether a folder or file looks like this format."""
    return find_config(root) is not None or (root.is_dir() and bool(find_places(root)))


def splits(root: Path) -> tuple[str, ...]:
    """The splits there are; a data set without any is divided into three.

    A split that training needs and data.yaml looks for in vain counts: opening it tells why.
    """
    layout = find_layout(root)
    if "" in layout.sources:
        return ("train", "val", "test")
    return in_order([*layout.sources, *(split for split in layout.missing if split != "test")])


def read(root: Path, split: str) -> ImageDataset:
    """One split. Raises DataError for a data.yaml that cannot be used; other faults go to `report`."""
    layout = find_layout(root)
    if split in layout.missing:
        raise DataError(layout.missing[split])
    report = Report(f"{printable(root)}, {split}")
    for other, reason in layout.missing.items():
        report.note(".", "", reason, f"there is no split '{other}'")
    classes = _classes(layout, report)
    names = chosen = layout.images(split)
    if "" in layout.sources:
        report.note(".", "", "no splits given", "divided 80/10/10 by the content of the images")
        homes = divide(layout.home / name for name in names)
        chosen = [name for name, home in zip(names, homes, strict=True) if home == split]
    builder = Builder(layout.home, classes, report, "line {}")
    polygons = sum(_enter(builder, name) for name in chosen)
    if polygons:
        report.note(".", "", "polygons instead of boxes", f"boxes derived from {polygons}")
    outside = sum(name.startswith(("../", "/")) for name in chosen)
    if outside:
        report.note(".", "", "images outside the data set's folder", f"{outside} of {len(chosen)}")
    _note_unused(layout, split, report)
    _note_shared(chosen, report)
    _judge_labels(report, len(chosen))
    return ImageDataset(layout.home, "yolo", split, classes, builder.build(), report)


def _classes(layout: Layout, report: Report) -> tuple[str, ...]:
    """From data.yaml, `classes.txt` (or `obj.names`), else numbers: those of `nc`, or of the labels."""
    if layout.config and layout.config.names:
        return layout.config.names
    count = layout.config.count if layout.config else None
    for name in CLASS_FILES:
        if (layout.home / name).is_file():
            names = read_classes(layout.home / name)
            if count not in (None, len(names)):
                file = printable(layout.home / name)
                raise DataError(f"{file}: {len(names)} names, but nc in data.yaml is {count} (correct one)")
            return names
    source = "nc in data.yaml" if count else "the labels"
    report.note(".", "", "no class names given", f"numbers from {source} are used")
    if not count:
        images = [name for split in layout.sources for name in layout.images(split)]
        count = 1 + max((_highest(layout.home / label_path(name)) for name in images), default=-1)
    return tuple(str(label) for label in range(count))


def _highest(path: Path) -> int:
    """The highest class number of up to four digits in a label file; -1 for none."""
    try:
        tokens = [line.split()[0] for line in _lines(path) if line.strip()]
    except (DataError, FileNotFoundError):
        return -1
    return max((int(token) for token in tokens if token.isdecimal() and len(token) <= 4), default=-1)


def _lines(path: Path) -> list[str]:
    """Raises FileNotFoundError when there is no such file, DataError when it is not text."""
    if not os.path.lexists(path):
        raise FileNotFoundError(path)
    lines = text_lines(path, MOST_LABELS)
    if len(lines) > MOST_LINES:
        raise DataError(f"{printable(path)}: more than {MOST_LINES} lines for one image")
    return lines


def _enter(builder: Builder, name: str) -> int:
    """One image and its lines into the builder; returns how many polygons there were."""
    source = label_path(name)
    try:
        lines = _lines(builder.root / source)
    except FileNotFoundError:
        if builder.image(name, source) is not None:
            builder.report.backgrounds["no label file"] += 1
        return 0
    except DataError as error:
        builder.skip(source, reason_of(error, builder.root / source))
        return 0
    info = builder.image(name, source)
    entries = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if info is not None and not entries:
        builder.report.backgrounds["empty label file"] += 1
    return sum(_enter_line(builder, source, number, line, info) for number, line in entries)


def _enter_line(builder: Builder, source: str, number: int, line: str, info: ImageInfo | None) -> bool:
    """One line into the builder; returns whether it was a polygon."""
    try:
        entry = parse_line(line, len(builder.classes))
    except LineFault as fault:
        builder.drop(number, fault.reason, fault.remedy, fault.label)
        return False
    width, height = (info.width, info.height) if info is not None else (1, 1)
    if entry.rounded and info is not None:
        builder.report.fix(source, f"line {number}", "value above 1 by rounding", "clipped to 1")
    x0, y0, x1, y1 = entry.box
    builder.add(number, (x0 * width, y0 * height, x1 * width, y1 * height), entry.label)
    return entry.polygon


def _judge_labels(report: Report, images: int) -> None:
    """What the labels of a split say together: that they are missing, or not what they should be."""
    missing, pixels = report.backgrounds["no label file"], report.lost_annotations[PIXELS]
    if missing:
        report.note(".", "", "images without label file", f"{missing} of {images}, taken as background")
    if missing > 0.5 * images:
        report.stops.append(f"{missing} of {images} images have no label file (labels folder not found?)")
    if pixels > 0.5 * report.annotations_seen:
        lines = f"{pixels} of {report.annotations_seen} label lines"
        report.stops.append(
            f"not normalised? {lines} hold pixels, not fractions (divide by the image's size)"
        )


def _note_unused(layout: Layout, split: str, report: Report) -> None:
    """Pictures of the data set that no split uses, and label files whose image is nowhere."""
    home, images = layout.home, layout.images(split)
    every = (
        images
        if "" in layout.sources
        else [name for other in layout.sources for name in layout.images(other)]
    )
    note_uncovered(home, picture_folders(layout, every), every, report)
    beside = _beside(home, [label_path(image) for image in images])
    pictures = [*every, *filter(is_image, _beside(home, images))]
    labels = {full(home, label_path(image)) for image in pictures}
    for place in beside:
        named = place.lower().endswith(".txt") and not Path(place).name.lower().startswith(NOT_LABELS)
        if named and full(home, place) not in labels:
            report.note(place, "", "label without image", _why(home, place, labels))


def _why(home: Path, place: str, labels: set[str]) -> str:
    """What is done about a label file that no image has."""
    lower = f"{place[:-4]}.txt"
    return "not used; its name must end in .txt" if full(home, lower) in labels else "not used"


def _beside(home: Path, places: Sequence[str]) -> list[str]:
    """Every file in the folders of these, relative to the home."""
    folders = sorted({Path(place).parent for place in places})
    return [(folder / name).as_posix() for folder in folders for name in children(home / folder)]


def _note_shared(images: Sequence[str], report: Report) -> None:
    """Two pictures of one stem, which can only have one label file."""
    owners: dict[str, str] = {}
    for image in images:
        first = owners.setdefault(label_path(image), image)
        if first != image:
            report.note(image, "", "label file shared with another image", Path(first).name)
