"""Pascal VOC: one XML file an image.

Layouts: `JPEGImages` (or `images`) beside `Annotations`, split by `ImageSets/Main/<split>.txt` where that
exists; or XML files beside the images, in one folder or in a folder a split. Boxes are 1-based and inclusive
in the files: x0 = max(xmin - 1, 0), x1 = xmax, so that areas equal the VOC devkit's, and xmin = xmax is a
legal box one pixel wide. Files written 0-based (xmin = 0) are read as they stand at that edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from neocog.data.builder import Builder
from neocog.data.files import (
    ORDER,
    Stems,
    children,
    divide,
    images_below,
    in_order,
    is_image,
    is_inside,
    printable,
    read_classes,
    read_lines,
    reason_of,
    split_name,
)
from neocog.data.places import UNUSED, note_uncovered, one_place
from neocog.data.records import ImageDataset
from neocog.data.report import MOST_LOST, Report
from neocog.data.voc_xml import Annotation, load
from neocog.errors import DataError

LAYOUT = "VOC (JPEGImages + Annotations/*.xml [+ ImageSets/Main/train.txt], or *.xml beside the images)"

MOST_HINTS = 20  # unknown names that get a nearest one
MOST_HINTED = 200  # classes that are looked through for it
_ABSENT = "not in classes.txt or the training split"

Pair = tuple[str, str]
"""An image and its XML file, relative to the root."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Where the images and annotations of some splits lie, relative to the root."""

    images: str
    annotations: str
    lists: dict[str, str]  # split -> list file; empty: everything in the folders


def finds(root: Path) -> bool:
    """Whether a folder looks like this format."""
    return bool(_parts(root))


def splits(root: Path) -> tuple[str, ...]:
    """The splits there are; a data set without any is divided into three."""
    parts = _parts(root)
    if "" in parts:
        return in_order(parts[""].lists) if parts[""].lists else ("train", "val", "test")
    return in_order(parts)


def read(root: Path, split: str) -> ImageDataset:
    """One split. Faults of files and objects go to `report`. Raises DataError for an unusable classes.txt."""
    parts = _parts(root)
    report = Report(f"{printable(root)}, {split}")
    pairs = _pairs(root, parts, split, report)
    annotations = [_load(root, xml) for _, xml in pairs]
    classes = _classes(root, parts, split, annotations)
    _note_places(root, parts, classes, report)
    builder = Builder(root, classes, report, "object {}")
    labels, unknown = {name: label for label, name in enumerate(classes)}, _Unknown(classes)
    for (image, xml), annotation in zip(pairs, annotations, strict=True):
        _enter(builder, image, xml, annotation, labels, unknown)
    _stop_if_swapped(builder)
    return ImageDataset(root, "voc", split, classes, builder.build(), report)


def _stop_if_swapped(builder: Builder) -> None:
    """One file may be in error; where many swap the sides of their pictures, the boxes are suspect."""
    count, images = len(builder.swapped), builder.report.files_used
    if count > MOST_LOST * images:
        swapped = f"{count} of {images} files swap width and height, so their boxes are suspect"
        builder.report.stops.append(f"{swapped}: {', '.join(builder.swapped[:5])}")


def _xml_names(folder: Path) -> list[str]:
    return [name for name in children(folder) if name.endswith(".xml")]


def _parts(root: Path) -> dict[str, _Part]:
    """Split -> its part; the key "" is a part that holds every split. Empty: not this format."""
    if not root.is_dir():
        return {}
    names = children(root)
    for xml, images in product(("Annotations", "annotations"), ("JPEGImages", "images", "Images")):
        if xml in names and images in names and _xml_names(root / xml):
            return {"": _Part(images, xml, _lists(root))}
    named = [name for name in names if split_name(name) in ORDER and _xml_names(root / name)]
    folders = one_place(root, ((split_name(name), name, name) for name in named))
    if folders:
        return {split: _Part(name, name, {}) for split, name in folders.items()}
    if _xml_names(root) and any(is_image(name) for name in names):
        return {"": _Part("", "", {})}
    return {}


def _lists(root: Path) -> dict[str, str]:
    """Split -> list file. `<class>_<split>.txt` files, which VOC has beside them, are no splits."""
    stems = [stem for stem in _list_stems(root) if not _of_class(stem)]
    return one_place(
        root, ((split_name(stem), f"{stem}.txt", f"ImageSets/Main/{stem}.txt") for stem in stems)
    )


def _list_stems(root: Path) -> list[str]:
    return [name[:-4] for name in children(root / "ImageSets" / "Main") if name.endswith(".txt")]


def _of_class(stem: str) -> str:
    """The class of a `<class>_<split>` list; empty for any other."""
    name, _, split = stem.rpartition("_")
    return name if split_name(split) in ORDER else ""


def _note_places(root: Path, parts: dict[str, _Part], classes: Sequence[str], report: Report) -> None:
    """Lists of no class and no split; images in folders that no split reads."""
    for stem in _list_stems(root) if "" in parts else ():
        if _of_class(stem) and _of_class(stem) not in classes:
            name = stem.rpartition("_")[2]
            report.note(
                f"ImageSets/Main/{stem}.txt", "", "list of no class and no split", f"name it {name}.txt"
            )
    whole = parts.get("")
    deep = [name for name in images_below(root / whole.images) if "/" in name] if whole else []
    for name in deep:
        place = PurePosixPath(whole.images if whole else "", name).as_posix()
        report.note(place, "", UNUSED, "not used; it lies in a subfolder")
    if not whole:
        read = {part.images for part in parts.values()}
        spare = [name for name in children(root) if split_name(name) in ORDER and name not in read]
        note_uncovered(root, spare, (), report)


def _pairs(root: Path, parts: dict[str, _Part], split: str, report: Report) -> list[Pair]:
    """The images of a split; one that is not there keeps the name it was listed by."""
    part = parts.get(split) or parts[""]
    images = Stems(name for name in children(root / part.images) if is_image(name))
    xmls = Stems(_xml_names(root / part.annotations))
    if part.lists:
        pairs = _listed(root, part, part.lists[split], images, xmls, report)
        lists = (_listed(root, part, name, images, xmls, Report()) for name in part.lists.values())
        _note_unlisted(part, {pair for listed in lists for pair in listed}, images, xmls, report)
        return pairs
    pairs = [_pair(part, name[:-4], images, xmls) for name in xmls.names]
    _note_unlisted(part, set(pairs), images, xmls, report)
    if split in parts:
        return pairs
    report.note(".", "", "no splits given", "divided 80/10/10 by the content of the images")
    homes = divide(root / image for image, _ in pairs)
    return [pair for pair, home in zip(pairs, homes, strict=True) if home == split]


def _pair(part: _Part, entry: str, images: Stems, xmls: Stems) -> Pair:
    """Files of an entry, which is a stem or a file name."""
    stem = entry.rpartition(".")[0] if is_image(entry) else entry
    image = images.find(entry) or images.find(stem) or entry
    xml = xmls.find(stem) or xmls.find(entry) or f"{stem}.xml"
    return PurePosixPath(part.images, image).as_posix(), PurePosixPath(part.annotations, xml).as_posix()


def _listed(root: Path, part: _Part, name: str, images: Stems, xmls: Stems, report: Report) -> list[Pair]:
    """Entries of a split list, once each; a second column of -1, 0 or 1 is left off."""
    pairs: dict[Pair, None] = {}
    for number, line in enumerate(read_lines(root / name), 1):
        head, *rest = line.rsplit(maxsplit=1)
        entry = head if rest in (["-1"], ["0"], ["1"]) and images.find(line) is None else line
        pair = _pair(part, entry, images, xmls)
        if pair in pairs:
            report.fix(name, f"entry {number}", "image listed twice", f"'{entry}' is used once")
        pairs[pair] = None
    return list(pairs)


def _note_unlisted(part: _Part, used: set[Pair], images: Stems, xmls: Stems, report: Report) -> None:
    """Files that lie there and that no split uses."""
    known = {name for pair in used for name in pair}
    for name in images.names:
        place = PurePosixPath(part.images, name).as_posix()
        if place not in known:
            report.note(place, "", "image in no split or without annotation", "not used")
    for name in xmls.names:
        place = PurePosixPath(part.annotations, name).as_posix()
        if place not in known:
            report.note(place, "", "annotation in no split", "not used")


def _load(root: Path, xml: str) -> Annotation | DataError:
    if not is_inside(xml):
        return DataError(f"{printable(root / xml)}: leads outside root")
    return load(root / xml)


def _classes(
    root: Path, parts: dict[str, _Part], split: str, annotations: list[Annotation | DataError]
) -> tuple[str, ...]:
    """`classes.txt`, else the sorted names of the training split (without one: of the split that is read)."""
    if (root / "classes.txt").is_file():
        return read_classes(root / "classes.txt")
    available = splits(root)
    home = next((name for name in ("train", "trainval") if name in available), split)
    if home != split:
        annotations = [_load(root, xml) for _, xml in _pairs(root, parts, home, Report())]
    readable = [annotation for annotation in annotations if isinstance(annotation, Annotation)]
    return tuple(sorted({item.name for annotation in readable for item in annotation.objects if item.name}))


def _enter(
    builder: Builder,
    image: str,
    xml: str,
    annotation: Annotation | DataError,
    labels: dict[str, int],
    unknown: _Unknown,
) -> None:
    """One image and its objects into the builder."""
    if isinstance(annotation, DataError):
        builder.skip(xml, reason_of(annotation, builder.root / xml))
        return
    builder.image(image, xml, annotation.size)
    named = PurePosixPath(normalize("NFC", annotation.filename.replace("\\", "/")))
    if annotation.filename and normalize("NFC", PurePosixPath(image).stem) not in (named.stem, named.name):
        remedy = f"'{annotation.filename[:200]}'; matched by name"
        builder.report.note(xml, "", "<filename> names another image", remedy)
    for number, item in enumerate(annotation.objects, 1):
        label = labels.get(item.name)
        if label is None:
            builder.drop(number, *unknown(item.name))
            continue
        if item.corners is None:
            builder.drop(number, item.fault, label=label)
            continue
        if item.odd:
            builder.report.note(xml, f"object {number}", item.odd)
        xmin, ymin, xmax, ymax = item.corners
        builder.add(number, (_edge(xmin), _edge(ymin), xmax, ymax), label, item.difficult)
    for number in range(annotation.strays):
        builder.drop(len(annotation.objects) + 1 + number, "<bndbox> that belongs to no <object>")


def _edge(value: float) -> float:
    """A 1-based left or top edge as a continuous one; a 0-based 0 stays."""
    return 0.0 if 0 <= value < 1 else value - 1


class _Unknown:
    """Reason and remedy for names outside the class list; a nearest one costs time, so few get it."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._folded = {known.casefold(): known for known in classes[:MOST_HINTED]}
        self._told: dict[str, tuple[str, str]] = {}

    def __call__(self, name: str) -> tuple[str, str]:
        if not name:
            return "object without <name>", ""
        if name not in self._told and len(self._told) < MOST_HINTS:
            close = get_close_matches(name[:80].casefold(), self._folded, 1)
            hint = f"; did you mean '{self._folded[close[0]]}'?" if close else ""
            self._told[name] = f"unknown class '{name[:40]}'", f"{_ABSENT}{hint}"
        return self._told.get(name, (f"unknown class '{name[:40]}'", _ABSENT))
