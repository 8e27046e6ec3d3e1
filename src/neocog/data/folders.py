"""Class folders: the folder that a picture lies in names its class.

Layouts: `train/CLASS/*.jpg` with `val`, `valid` or `validation` and `test` beside it, or `CLASS/*.jpg`
without splits. Pictures in subfolders of a class folder are of that class. The classes are the sorted folder
names of the training split, or the lines of `classes.txt`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from neocog.data.builder import Builder
from neocog.data.coco_files import split_token
from neocog.data.files import (
    ORDER,
    children,
    data_errors,
    divide,
    images_below,
    in_order,
    is_image,
    is_title,
    printable,
    read_classes,
    split_name,
)
from neocog.data.places import note_uncovered, one_place
from neocog.data.records import ImageDataset
from neocog.data.report import Report
from neocog.errors import DataError
from neocog.types import Task

LAYOUT = "class folders (train/CLASS/*.jpg + val/CLASS/*.jpg, or CLASS/*.jpg; classes.txt)"

OTHERS = ("images", "jpegimages", "annotations", "imagesets", "labels", "masks", "segmentationclass")
"""Folders that no class can be called, as other layouts have them."""

JUNK = ("thumbs.db", "desktop.ini", ".ds_store", "__macosx")
MOST_NAMED = 20  # classes of a list that a message names


@dataclass(frozen=True, slots=True)
class _Entry:
    """A picture and its class."""

    image: str  # relative to the root
    name: str


def finds(root: Path) -> bool:
    """Whether a folder looks like this format."""
    return bool(_places(root))


def splits(root: Path) -> tuple[str, ...]:
    """The splits there are; a data set without any is divided into three."""
    places = _places(root)
    return ("train", "val", "test") if "" in places else in_order(places)


def read(root: Path, split: str) -> ImageDataset:
    """One split. Raises DataError for an unusable classes.txt, or a folder's name that can be no class."""
    places = _places(root)
    report = Report(f"{printable(root)}, {split}")
    classes = _classes(root, places, split, report)
    _note_places(root, places, classes, report)
    builder = Builder(root, classes, report, "label {}")
    labels = {name: label for label, name in enumerate(classes)}
    for entry in _entries(root, places, split, report):
        if entry.name in labels:
            info = builder.image(entry.image)
            size = (1, 1) if info is None else (info.width, info.height)
            builder.add(1, (0, 0, *size), labels[entry.name])
        else:
            builder.skip(entry.image, "its class folder is not in classes.txt", f"'{entry.name[:40]}'")
            builder.drop(1, "unknown class")
    return ImageDataset(root, "folders", split, classes, builder.build(), report, Task.CLASSIFY)


def _folders(folder: Path) -> list[str]:
    return [name for name in children(folder) if os.path.isdir(folder / name)]  # noqa: PTH112


def _places(root: Path) -> dict[str, str]:
    """Split -> its folder, relative to the root; the key "" is a root without splits. Empty: not this format.

    A folder that is called like a split is one if it has folders in it, and no class in any case.
    """
    if not root.is_dir():
        return {}
    names = _folders(root)
    if any(split_token(name) in ORDER for name in names):
        named = [name for name in names if split_name(name) in ORDER and _has_classes(root / name)]
        if any(_shows_pictures(root / name) for name in named):
            return one_place(root, ((split_name(name), name, name) for name in named))
        return {}
    flat = (any(is_image(image) for image in children(root / name)) for name in names)
    return {"": "."} if _has_classes(root) and any(flat) else {}


def _has_classes(folder: Path) -> bool:
    """Whether the folders in it can be those of classes."""
    names = _folders(folder)
    return bool(names) and not any(name.lower() in OTHERS for name in names)


def _shows_pictures(folder: Path) -> bool:
    """Whether there is a picture in a folder of it, at any depth."""
    below = (os.walk(folder / name) for name in _folders(folder))
    return any(is_image(name) for walk in below for _, _, names in walk for name in names)


def _classes(root: Path, places: dict[str, str], split: str, report: Report) -> tuple[str, ...]:
    """`classes.txt`, else the folders of the training split (without one: of the split that is read)."""
    home = next((name for name in ("", "train", "trainval") if name in places), split)
    names = _names(root, places[home])
    if (root / "classes.txt").is_file():
        return read_classes(root / "classes.txt")
    for name, place in places.items():
        other = _names(root, place)
        if other != names:
            both = f"{home}: {_listed(names)}; {name}: {_listed(other)}"
            remedy = "make them equal, where an empty folder will do, or list all of them in classes.txt"
            report.stops.append(f"{home} and {name} have different classes ({both}; {remedy})")
            break
    return names


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (
        f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    )


def _names(root: Path, place: str) -> tuple[str, ...]:
    """The classes of a split: the names of its folders, however their accents are composed, sorted."""
    names = sorted({normalize("NFC", name) for name in _folders(root / place)})
    odd = next((name for name in names if not is_title(name)), None)
    if odd is not None:
        raise DataError(f"{printable(root / place / odd)}: cannot be a class's name (rename the folder)")
    return tuple(names)


def _entries(root: Path, places: dict[str, str], split: str, report: Report) -> list[_Entry]:
    """The pictures of a split."""
    if split in places:
        return list(_below(root, places[split], report))
    entries = list(_below(root, places[""], report))
    report.note(".", "", "no splits given", "divided 80/10/10 by the content of the images")
    homes = divide(root / entry.image for entry in entries)
    return [entry for entry, home in zip(entries, homes, strict=True) if home == split]


def _below(root: Path, place: str, report: Report) -> Iterator[_Entry]:
    """The pictures of a folder's class folders, in the order of the classes; notes what is passed over."""
    for folder in _folders(root / place):
        home = PurePosixPath(place, folder)
        passed: list[str] = []
        images = images_below(root / home, passed)
        for name in sorted(passed):
            report.note((home / name).as_posix(), "", "hidden, or not a picture", "not used")
        if not images:
            report.note(home.as_posix(), "", "class folder without pictures")
        for image in images:
            yield _Entry((home / image).as_posix(), normalize("NFC", folder))


def _note_places(root: Path, places: dict[str, str], classes: Sequence[str], report: Report) -> None:
    """Pictures in no class folder or no split, and what desktops and archivers leave beside the folders."""
    for place in sorted({".", *places.values()}):
        with data_errors(root / place):
            names = sorted(os.listdir(root / place))  # noqa: PTH208
        for name in names:
            path = PurePosixPath(place, name).as_posix()
            if name.lower() in JUNK or name.startswith("._"):
                report.note(path, "", "hidden, or not a picture", "not used")
            elif is_image(name) and not os.path.isdir(root / path):  # noqa: PTH112
                report.note(path, "", "image in no class folder", "not used")
    if "" not in places:
        spare = [name for name in _folders(root) if name not in places.values()]
        note_uncovered(root, spare, (), report)
    if len(classes) == 1:
        report.note(".", "", "one class only", f"'{classes[0][:40]}'")
