"""Pascal VOC: one XML file an image.

Layouts: `JPEGImages` (or `images`) beside `Annotations`, split by `ImageSets/Main/<split>.txt` where that
exists; or XML files beside the images, in one folder or in a folder a split. Boxes are 1-based and inclusive
in the files: x0 = max(xmin - 1, 0), x1 = xmax, so that areas equal the VOC devkit's, and xmin = xmax is a
legal box one pixel wide. Files written 0-based (xmin = 0) are read as they stand at that edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

from neocog.data.files import (
    ORDER,
    Stems,
    children,
    divide,
    in_order,
    is_image,
    parse_number,
    printable,
    read_bytes,
    read_lines,
    reason_of,
    split_name,
)
from neocog.data.records import Builder, ImageDataset
from neocog.data.report import Report
from neocog.errors import DataError

LAYOUT = "VOC (JPEGImages + Annotations/*.xml [+ ImageSets/Main/train.txt], or *.xml beside the images)"
CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class _Part:
    """Where the images and annotations of some splits lie, relative to the root."""

    images: str
    annotations: str
    lists: dict[str, Path]  # split -> list; empty: everything in the folders


@dataclass(frozen=True, slots=True)
class _Object:
    name: str
    corners: tuple[float, float, float, float] | None
    fault: str  # why it cannot be used
    difficult: bool
    odd: str  # something to note


@dataclass(frozen=True, slots=True)
class _Annotation:
    filename: str
    size: tuple[int, int]  # width, height as declared; 0 where absent
    objects: tuple[_Object, ...]


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
    """One split. Raises DataError when the layout is unusable; faults of files and objects go to `report`."""
    parts = _parts(root)
    report = Report(f"{printable(root)}, {split}")
    entries = _entries(root, parts, split, report)
    annotations = {xml: _load(root / xml) for _, xml in entries}
    classes = _classes(root, parts, split, annotations)
    builder = Builder(root, classes, report, "object {}")
    for image, xml in entries:
        _enter(builder, image, xml, annotations[xml])
    return ImageDataset(root, "voc", split, classes, builder.build(), report)


def _has_xml(folder: Path) -> bool:
    return any(name.lower().endswith(".xml") for name in children(folder))


def _parts(root: Path) -> dict[str, _Part]:
    """Split -> its part; the key "" is a part that holds every split. Empty: not this format."""
    if not root.is_dir():
        return {}
    names = children(root)
    for xml, images in product(("Annotations", "annotations"), ("JPEGImages", "images", "Images")):
        if xml in names and images in names and _has_xml(root / xml):
            return {"": _Part(images, xml, _lists(root))}
    folders = {
        split_name(name): name for name in names if split_name(name) in ORDER and _has_xml(root / name)
    }
    if folders:
        return {split: _Part(name, name, {}) for split, name in folders.items()}
    if _has_xml(root) and any(is_image(name) for name in names):
        return {"": _Part("", "", {})}
    return {}


def _lists(root: Path) -> dict[str, Path]:
    """Split -> list file. `<class>_<split>.txt` files, which VOC has beside them, are no splits."""
    folder = root / "ImageSets" / "Main"
    stems = {name[:-4]: folder / name for name in children(folder) if name.endswith(".txt")}
    return {
        split_name(stem): path
        for stem, path in stems.items()
        if not ("_" in stem and split_name(stem.rpartition("_")[2]) in ORDER)
    }


def _entries(root: Path, parts: dict[str, _Part], split: str, report: Report) -> list[tuple[str, str]]:
    """(image, XML) of a split, relative to the root; a missing image keeps the name it was listed by."""
    part = parts.get(split) or parts[""]
    stems = Stems(name for name in children(root / part.images) if is_image(name))
    if part.lists:
        listed = _listed(part.lists[split], stems, report, part.lists[split].relative_to(root).as_posix())
        everywhere = {name for path in part.lists.values() for name in _listed(path, stems)}
        _note_unlisted(root, part, everywhere, report)
        chosen = listed
    else:
        chosen = [name[:-4] for name in children(root / part.annotations) if name.lower().endswith(".xml")]
        _note_unlisted(root, part, set(chosen), report)
    pairs = [_pair(part, stems, name) for name in chosen]
    if part.lists or "" not in parts:
        return pairs
    report.note(".", "", "no splits given", "divided 80/10/10 by the content of the images")
    homes = divide(root / image for image, _ in pairs)
    return [pair for pair, home in zip(pairs, homes, strict=True) if home == split]


def _pair(part: _Part, stems: Stems, name: str) -> tuple[str, str]:
    image = stems.find(name)
    stem = image.rpartition(".")[0] if image else name
    if stem != name and name != image:
        stem = name  # the list's spelling of accents is the XML's too, more often than the image's
    image_path = Path(part.images, image or name).as_posix()
    return image_path, Path(part.annotations, f"{stem}.xml").as_posix()


def _listed(path: Path, stems: Stems, report: Report | None = None, name: str = "") -> list[str]:
    """Entries of a split list, once each: stems or file names, perhaps followed by a column of -1, 0 or 1."""
    entries: dict[str, None] = {}
    for number, line in enumerate(read_lines(path), 1):
        head, _, last = line.rpartition(" ")
        entry = head.rstrip() if head and last in ("-1", "0", "1") and stems.find(line) is None else line
        if is_image(entry) and (stems.find(entry) or stems.find(entry.rpartition(".")[0])):
            entry = entry.rpartition(".")[0]
        if entry in entries and report is not None:
            report.fix(name, f"line {number}", f"'{entry}' is listed twice", "used once")
        entries[entry] = None
    return list(entries)


def _note_unlisted(root: Path, part: _Part, listed: set[str], report: Report) -> None:
    known = Stems(f"{name}." for name in listed)
    for name in children(root / part.images):
        if is_image(name) and known.find(name.rpartition(".")[0]) is None:
            report.note(
                Path(part.images, name).as_posix(), "", "image in no split or without annotation", "not used"
            )
    if part.lists:
        for name in children(root / part.annotations):
            if name.lower().endswith(".xml") and known.find(name[:-4]) is None:
                report.note(Path(part.annotations, name).as_posix(), "", "annotation in no split", "not used")


def _classes(
    root: Path, parts: dict[str, _Part], split: str, annotations: dict[str, _Annotation | DataError]
) -> tuple[str, ...]:
    """`classes.txt`, else the sorted names of the training split (else of all that is there)."""
    if (root / "classes.txt").is_file():
        names = read_lines(root / "classes.txt")
        if len(set(names)) != len(names):
            raise DataError(f"{printable(root / 'classes.txt')}: a class is listed twice (remove one)")
        return tuple(names)
    available = splits(root)
    home = next((name for name in ("train", "trainval") if name in available), split)
    if home != split:
        entries = _entries(root, parts, home, Report())
        annotations = {xml: _load(root / xml) for _, xml in entries}
    return tuple(sorted(set(_names(annotations.values()))))


def _names(annotations: Iterable[_Annotation | DataError]) -> Iterator[str]:
    for annotation in annotations:
        if isinstance(annotation, _Annotation):
            yield from (item.name for item in annotation.objects if item.name)


def _enter(builder: Builder, image: str, xml: str, annotation: _Annotation | DataError) -> None:
    """One image and its objects into the builder."""
    if isinstance(annotation, DataError):
        builder.skip(xml, reason_of(annotation))
        return
    builder.image(image, xml, annotation.size)
    stem = Path(image).stem
    if annotation.filename and Path(annotation.filename).stem != stem and annotation.filename != stem:
        builder.report.note(
            xml, "", "<filename> names another image", f"'{annotation.filename}'; matched by name"
        )
    for number, item in enumerate(annotation.objects, 1):
        if item.name not in builder.classes:
            builder.drop(number, *_unknown(item.name, builder.classes))
            continue
        label = builder.classes.index(item.name)
        if item.corners is None:
            builder.drop(number, item.fault, label=label)
            continue
        if item.odd:
            builder.report.note(xml, f"object {number}", item.odd)
        xmin, ymin, xmax, ymax = item.corners
        builder.add(number, (_edge(xmin), _edge(ymin), xmax, ymax), label, item.difficult)


def _edge(value: float) -> float:
    """A 1-based left or top edge as a continuous one; a 0-based 0 stays."""
    return 0.0 if 0 <= value < 1 else value - 1


def _unknown(name: str, classes: tuple[str, ...]) -> tuple[str, str]:
    if not name:
        return "no <name>", ""
    close = get_close_matches(name.casefold(), [known.casefold() for known in classes], 1)
    hint = next(
        (f"; did you mean '{known}'?" for known in classes if close and known.casefold() == close[0]), ""
    )
    return f"unknown class '{name}'", f"name it in classes.txt or correct it{hint}"


def _load(path: Path) -> _Annotation | DataError:
    """One XML file, or what is wrong with it."""
    try:
        return _parse(read_bytes(path))
    except DataError as error:
        return error
    except ValueError as error:
        return DataError(f"{printable(path)}: {error}")


def _parse(data: bytes) -> _Annotation:
    """Raises ValueError with a reason. No DTD is ever parsed: entities can grow without bound."""
    # NUL bytes are dropped so that UTF-16 hides nothing; expat knows no other encoding that could.
    plain = data.replace(b"\0", b"").upper()
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        raise ValueError("DTD not allowed")
    if not plain.strip():
        raise ValueError("empty file")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        line, column = error.position
        raise ValueError(f"damaged XML (line {line}, column {column})") from error
    except (LookupError, ValueError) as error:
        raise ValueError("damaged XML (encoding)") from error
    size = (_integer(root.findtext("size/width")), _integer(root.findtext("size/height")))
    return _Annotation(_text(root.findtext("filename")), size, tuple(map(_object, root.findall("object"))))


def _text(value: str | None) -> str:
    return (value or "").strip()


def _integer(value: str | None) -> int:
    try:
        return int(parse_number(_text(value)))
    except (ValueError, OverflowError):
        return 0


def _object(element: ElementTree.Element) -> _Object:
    name, difficult = _text(element.findtext("name")), _text(element.findtext("difficult"))
    odd = "" if difficult in ("", "0", "1", "Unspecified") else f"<difficult> is '{difficult}', read as 0"
    boxes = element.findall("bndbox")
    if len(boxes) != 1:
        return _Object(name, None, f"{len(boxes)} <bndbox> instead of 1", False, "")
    values = []
    for corner in CORNERS:
        text = _text(boxes[0].findtext(corner))
        try:
            values.append(parse_number(text))
        except ValueError:
            return _Object(
                name, None, f"<{corner}> is '{text}', not a number" if text else f"no <{corner}>", False, ""
            )
    xmin, ymin, xmax, ymax = values
    if not odd and (xmin == xmax or ymin == ymax):
        odd = "box one pixel wide or high"
    return _Object(name, (xmin, ymin, xmax, ymax), "", difficult == "1", odd)
