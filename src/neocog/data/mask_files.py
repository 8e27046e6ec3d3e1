"""Where a data set of masks keeps its images and the mask of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from neocog.data.coco_files import split_token
from neocog.data.files import (
    ORDER,
    Stems,
    children,
    divide,
    holds_pictures,
    images_below,
    is_image,
    is_inside,
    read_lines,
    split_name,
)
from neocog.data.places import note_uncovered, one_place
from neocog.data.report import Report
from neocog.errors import DataError

VOC_IMAGES, VOC_MASKS, VOC_LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"
_IMAGES = ("images", "imgs")
_MASKS = ("masks", "labels", "annotations")
_OF_FOLDER = re.compile(r"[-_]?(annot|annotations?|labels?|masks?|gt)")
_OF_FILE = re.compile(r"[-_](mask|masks|label|labels|annot|gt|seg|segmentation|L)$")
"""What the name of a mask may have that its image's has not."""

UNPAIRED = "image without a mask"


class Pair(NamedTuple):
    """An image and its mask, relative to the root; a fault of the list that names them, where it has one."""

    image: str
    mask: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """Where the pairs of a split are, relative to the root."""

    images: str
    masks: str
    list: str = ""  # of stems in VOC's layout, else of pairs; empty: everything in the folders


def find_parts(root: Path) -> dict[str, Part]:
    """Split -> its part; the key "" is a data set without splits. Empty: not this format.

    Raises DataError for two places of one split.
    """
    if not root.is_dir():
        return {}
    names = children(root)
    if {VOC_IMAGES, VOC_MASKS} <= set(names) and any(map(is_image, children(root / VOC_MASKS))):
        return _voc_parts(root)
    lists = [(split, name) for name in names if (split := _listing(root, name))]
    listed = one_place(root, ((split, name, Part(".", ".", name)) for split, name in lists))
    inner = [part for name in names for part in _inside(root, name)]
    beside = [part for name in names for part in _beside(root, name, names)]
    return one_place(root, inner or beside) | listed or _whole(root, "")


def _voc_parts(root: Path) -> dict[str, Part]:
    lists = [name for name in children(root / VOC_LISTS) if name.endswith(".txt")]
    found = (
        (split_name(name[:-4]), name, Part(VOC_IMAGES, VOC_MASKS, f"{VOC_LISTS}/{name}")) for name in lists
    )
    return one_place(root, found) or {"": Part(VOC_IMAGES, VOC_MASKS)}


def _listing(root: Path, name: str) -> str:
    """The split of a list of pairs; empty for any other file, and where it gives places of another disk."""
    split = split_name(name[:-4]) if name.endswith(".txt") else ""
    if split not in ORDER:
        return ""
    with_pairs = (_fields(line) for line in _first_lines(root / name))
    return split if any(len(f) == 2 and all(map(is_image, f)) and is_inside(f[0]) for f in with_pairs) else ""


def _first_lines(path: Path) -> list[str]:
    try:
        return read_lines(path)[:1]
    except DataError:
        return []


def _fields(line: str) -> list[str]:
    """A line's columns, divided by tabs, by commas, or by spaces."""
    divider = next((mark for mark in "\t," if mark in line), None)
    return [field.strip() for field in line.split(divider)]


def _inside(root: Path, name: str) -> list[tuple[str, str, Part]]:
    """`images/train` with `masks/train`, or `train/images` with `train/masks`."""
    if name.lower() in _IMAGES:
        pairs = [
            (inner, Part(f"{name}/{inner}", f"{masks}/{inner}"))
            for masks in _mask_folders(root)
            for inner in children(root / name)
            if holds_pictures(root / masks / inner)
        ]
        named = [(split_token(inner), part.masks, part) for inner, part in pairs]
        return [found for found in named if found[0] in ORDER]
    split = split_token(name)
    return [(split, name, part) for part in _whole(root, name).values()] if split in ORDER else []


def _beside(root: Path, name: str, names: list[str]) -> list[tuple[str, str, Part]]:
    """`train` with `trainannot`."""
    split = split_token(name)
    if split not in ORDER or not any(map(is_image, children(root / name))):
        return []
    masks = [other for other in names if other.startswith(name) and _OF_FOLDER.fullmatch(other[len(name) :])]
    return [(split, other, Part(name, other)) for other in masks if holds_pictures(root / other)]


def _whole(root: Path, below: str) -> dict[str, Part]:
    """`images` with `masks`, in a folder of the root."""
    home = root / below
    images = next((name for name in children(home) if name.lower() in _IMAGES), None)
    if images is None or not holds_pictures(home / images):
        return {}
    found = [(below, masks, _part(below, images, masks)) for masks in _mask_folders(home)]
    return one_place(home, (one for one in found if holds_pictures(home / one[1])))


def _part(below: str, images: str, masks: str) -> Part:
    return Part(PurePosixPath(below, images).as_posix(), PurePosixPath(below, masks).as_posix())


def _mask_folders(home: Path) -> list[str]:
    return [name for name in children(home) if name.lower() in _MASKS]


def find_pairs(root: Path, parts: dict[str, Part], report: Report) -> dict[str, list[Pair]]:
    """The pairs of every split; what is passed over is noted."""
    found = {split: _pairs(root, part, report) for split, part in parts.items()}
    _note_unused(root, parts, found, report)
    if "" not in found:
        return found
    report.note(".", "", "no splits given", "divided 80/10/10 by the content of the images")
    pairs = found[""]
    homes = divide(root / pair.image for pair in pairs)
    return {
        split: [pair for pair, home in zip(pairs, homes, strict=True) if home == split]
        for split in ("train", "val", "test")
    }


def _note_unused(root: Path, parts: dict[str, Part], found: dict[str, list[Pair]], report: Report) -> None:
    """Masks of VOC's layout in no list; pictures beside the places of lists of pairs."""
    pairs = [pair for some in found.values() for pair in some]
    lists = [part for part in parts.values() if part.list]
    if lists and lists[0].masks == VOC_MASKS:
        note_uncovered(root, [VOC_MASKS], [pair.mask for pair in pairs], report)
        return
    for name in children(root):
        listed = split_name(name[:-4]) in parts and name.endswith(".txt")
        if listed and name not in [part.list for part in lists]:
            report.note(name, "", "list without pairs of places in the data set", "not used")
    if lists:
        used = [name for pair in pairs for name in (pair.image, pair.mask) if is_inside(name)]
        folders = dict.fromkeys(PurePosixPath(name).parent.as_posix() for name in used)
        note_uncovered(root, folders, used, report)


def _pairs(root: Path, part: Part, report: Report) -> list[Pair]:
    if not part.list:
        return _in_folders(root, part, report)
    pairs: dict[Pair, None] = {}
    images = Stems(name for name in children(root / part.images) if is_image(name))
    masks = Stems(name for name in children(root / part.masks) if is_image(name))
    for number, line in enumerate(read_lines(root / part.list), 1):
        pair = _of_stem(part, line, images, masks) if part.masks == VOC_MASKS else _of_line(line)
        if pair in pairs:
            report.fix(part.list, f"entry {number}", "image listed twice", f"'{line[:200]}' is used once")
        pairs[pair] = None
    return list(pairs)


def _of_stem(part: Part, line: str, images: Stems, masks: Stems) -> Pair:
    stem = line.rpartition(".")[0] if is_image(line) else line
    image, mask = images.find(line) or images.find(stem), masks.find(stem) or masks.find(f"{stem}.png")
    return Pair(
        PurePosixPath(part.images, image or line).as_posix(),
        PurePosixPath(part.masks, mask or f"{stem}.png").as_posix(),
        "" if is_inside(line) else "leads outside root",
    )


def _of_line(line: str) -> Pair:
    fields = [field.replace("\\", "/") for field in _fields(line)]
    if len(fields) != 2:
        return Pair(line[:200], line[:200], "not a pair of an image and a mask")
    fault = "" if all(map(is_inside, fields)) else "leads outside root"
    image, mask = (PurePosixPath(field).as_posix() for field in fields)
    return Pair(image, mask, fault)


def _in_folders(root: Path, part: Part, report: Report) -> list[Pair]:
    """Images and masks of one name, but for the end that only masks have."""
    masks: dict[str, str] = {}
    names = images_below(root / part.masks)
    for name in names:
        masks.setdefault(name.rpartition(".")[0], name)
    for name in names:
        masks.setdefault(_OF_FILE.sub("", name.rpartition(".")[0]), name)
    pairs = []
    for image in images_below(root / part.images):
        place = PurePosixPath(part.images, image).as_posix()
        mask = masks.get(image.rpartition(".")[0])
        if mask is None:
            report.note(place, "", UNPAIRED, "not used")
        else:
            pairs.append(Pair(place, PurePosixPath(part.masks, mask).as_posix()))
    used = {pair.mask for pair in pairs}
    for name in names:
        place = PurePosixPath(part.masks, name).as_posix()
        if place not in used:
            report.note(place, "", "mask without an image", "not used")
    return pairs
