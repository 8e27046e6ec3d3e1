"""Writes a data set to a folder in another format of its task, whatever it was before.

A picture that comes from a file is copied byte for byte: nothing is lost by coding it again, and one that its
EXIF turns is still turned when it is read, as its boxes expect. A generated picture becomes a PNG. Classes
keep their order. Nothing outside the target folder is touched.
"""

from __future__ import annotations

import io
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from neocog.data.dataset import Dataset, MaskDataset
from neocog.data.decode import lose_undecodable
from neocog.data.files import ORDER, SUFFIXES, is_image, printable, read_bytes, split_name
from neocog.data.images import probe_image
from neocog.data.open import READERS, find_format
from neocog.data.records import Recorded
from neocog.data.write_formats import Coco, Entry, Voc, Writer, Yolo
from neocog.data.write_pixels import Folders, Masks
from neocog.errors import DataError, UsageError
from neocog.files import disk_errors
from neocog.types import Objects, Task

WRITERS: dict[str, type[Writer]] = {
    "voc": Voc,
    "coco": Coco,
    "yolo": Yolo,
    "masks": Masks,
    "folders": Folders,
}
FORMATS = {
    "voc": Task.DETECT,
    "coco": Task.DETECT,
    "yolo": Task.DETECT,
    "masks": Task.SEGMENT,
    "folders": Task.CLASSIFY,
}
"""What can be written, and the task whose truth it holds."""

_UNSAFE = re.compile(r'[<>:"/\\|?*]')  # not in a file's name on every system
_MOST_BYTES = 200  # of a stem


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    images: int
    boxes: int
    left_out: int  # ignored objects (difficult, crowd), which YOLO cannot mark
    splits: dict[str, int]  # split -> images


def write_dataset(
    splits: Mapping[str, Dataset],
    target: Path,
    format: str,
    progress: Callable[[int, int], None] | None = None,
    *,
    strict: bool = False,
) -> Written:
    """Write every split below `target`, a folder that does not exist or is empty, in one of `FORMATS`.

    Pictures with or without objects are all written, but for those that do not decode, which the data set's
    report tells. `progress(done, total)` is called after each. Raises UsageError for a target in use or an
    unknown format; DataError for splits of different classes, names of classes or splits that the format
    cannot hold, pictures that cannot be read, and more losses than `Report.judge` allows (with `strict`,
    any); DiskError when the disk refuses.
    """
    classes = _checked(splits, target, format)
    writer = WRITERS[format](target, classes)
    names = _readable(splits, _names(splits), strict)
    counts = dict.fromkeys(splits, 0)
    boxes = left_out = 0
    with disk_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        for split in splits:
            writer.folder(split).mkdir(parents=True, exist_ok=True)
        for done, ((split, index), name) in enumerate(names.items(), 1):
            entry = _write_image(splits[split], index, split, name, writer)
            missing = writer.add(entry)
            counts[split] += 1
            boxes, left_out = boxes + len(entry.objects) - missing, left_out + missing
            if progress is not None:
                progress(done, len(names))
        writer.finish(tuple(splits))
    return Written(len(names), boxes, left_out, counts)


def check_source(source: str | Path, known: str | None, format: str) -> None:
    """Raise DataError where `format` has no room for what a data set holds, as class folders for boxes."""
    if format not in FORMATS or str(source).partition(":")[0] == "scenes":
        return
    found = find_format(Path(source), known, FORMATS[format])
    if READERS[found].task is not FORMATS[format]:
        others = ", ".join(name for name, task in FORMATS.items() if task is READERS[found].task)
        raise DataError(
            f"{printable(source)}: {READERS[found].what}, which {format} cannot hold (write {others})"
        )


def _readable(
    splits: Mapping[str, Dataset], names: dict[tuple[str, int], str], strict: bool
) -> dict[tuple[str, int], str]:
    """The names of pictures that decode. Nothing is written yet: too many that do not are an error."""
    lost = {split: lose_undecodable(data) for split, data in splits.items() if isinstance(data, Recorded)}
    for data in splits.values():
        if isinstance(data, Recorded):
            data.report.judge(strict)
    return {use: name for use, name in names.items() if use[1] not in lost.get(use[0], ())}


def _checked(splits: Mapping[str, Dataset], target: Path, format: str) -> tuple[str, ...]:
    """The classes, if all of this can be written."""
    if format not in WRITERS:
        nearest = get_close_matches(format, FORMATS, n=1, cutoff=0.0)[0]
        raise UsageError(f"format '{printable(format)}' cannot be written: did you mean '{nearest}'?")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(f"{printable(target)}: exists and is not an empty folder (choose another one)")
    for split, data in splits.items():
        _check_name(split, format)
        if data.task is not FORMATS[format]:
            others = ", ".join(name for name, task in FORMATS.items() if task is data.task)
            raise DataError(
                f"{data.name}: {data.format} data serve {data.task}, which {format} cannot hold "
                f"(write {others})"
            )
    tables = {data.classes for data in splits.values()}
    if len(tables) != 1:
        names = ", ".join(splits) or "none"
        raise DataError(
            f"{printable(target)}: the splits ({names}) need one list of classes to be one data set"
        )
    return tables.pop()


def _check_name(split: str, format: str) -> None:
    """Refuse a split that nobody would find again under its name."""
    name = f"split '{printable(split)}'"
    if format == "yolo" and split not in ORDER:
        raise DataError(f"{name}: YOLO knows {', '.join(ORDER)} only (rename it, or write voc or coco)")
    if format == "folders" and split not in ORDER:
        raise DataError(f"{name}: class folders know {', '.join(ORDER)} only (rename it)")
    if format == "voc" and split_name(split.rpartition("_")[2]) in ORDER and "_" in split:
        raise DataError(f"{name}: VOC takes such a list for that of a class (rename it, or write coco)")


def _path(data: Dataset, index: int) -> Path | None:
    """The file of a picture, where it comes from one."""
    find = getattr(data, "path", None)
    path: Path | None = find(index) if find is not None else None
    return path


def _areas(data: Dataset, index: int, objects: Objects) -> np.ndarray:
    """(N,) the areas the data set states, else those of the boxes."""
    find = getattr(data, "areas", None)
    boxes = objects.boxes.numpy()
    areas: np.ndarray = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) if find is None else find(index)
    return areas


def _write_image(data: Dataset, index: int, split: str, name: str, writer: Writer) -> Entry:
    """Put one picture in its place, where it may be already (VOC: two splits that share it); its truth."""
    source = _path(data, index)
    sample = None if source is not None else data[index]
    objects = data.objects(index) if sample is None or sample.target is None else sample.target
    mask = None
    if data.task is Task.SEGMENT:
        masked = cast(MaskDataset, data)
        mask = masked.mask(index) if sample is None or sample.mask is None else sample.mask
    label = int(objects.labels[0]) if data.task is Task.CLASSIFY else None
    place = writer.folder(split, label) / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if sample is not None:
        buffer = io.BytesIO()
        Image.fromarray(sample.image).save(buffer, "PNG")
        place.write_bytes(buffer.getvalue())
    elif source is not None and not place.exists():
        place.write_bytes(read_bytes(source))
    return Entry(split, name, data.size(index), objects, _areas(data, index, objects), mask)


def _sources(splits: Mapping[str, Dataset]) -> Iterator[tuple[tuple[str, int], tuple[str, int], str, str]]:
    """Of every use of a picture: (split, index); what it is, namely its file or identity and how many times
    the split had it before; the name it would like; and its identity."""
    for split, data in splits.items():
        before: Counter[str] = Counter()
        for index in range(len(data)):
            path, identity = _path(data, index), data.identity(index)
            source = f"{split}/{identity}" if path is None else os.path.abspath(path)  # noqa: PTH100
            name = f"{identity}.png" if path is None else path.name
            if path is not None and not is_image(name):
                name += SUFFIXES[probe_image(path).format][0]
            yield (split, index), (source, before[source]), name, identity
            before[source] += 1


def _names(splits: Mapping[str, Dataset]) -> dict[tuple[str, int], str]:
    """The file name of every (split, index). No two pictures share a stem, on any file system.

    A name stays if no other picture has it; else the folders become part of it, then a number.
    """
    uses = list(_sources(splits))
    wishes = {
        source: (_safe(name.rpartition(".")[0]), name.rpartition(".")[2], identity)
        for _, source, name, identity in uses
    }
    popular = Counter(_key(stem) for stem, _, _ in wishes.values())
    stems = {source: stem for source, (stem, _, _) in wishes.items() if popular[_key(stem)] == 1}
    taken = {_key(stem) for stem in stems.values()}
    for source, (_, _, identity) in wishes.items():
        if source not in stems:
            long = _safe(identity.rpartition(".")[0] or identity)
            stem, number = long, 1
            while _key(stem) in taken:
                number += 1
                stem = f"{long}-{number}"
            stems[source] = stem
            taken.add(_key(stem))
    return {use: f"{stems[source]}.{wishes[source][1]}" for use, source, _, _ in uses}


def _key(stem: str) -> str:
    """Equal for names that some file system takes for one."""
    return unicodedata.normalize("NFC", stem).casefold()


def _safe(stem: str) -> str:
    """A stem that every system and every list can hold: printable, not hidden, no picture's name itself."""
    plain = "".join(c if c.isprintable() else "_" for c in _UNSAFE.sub("_", stem))
    plain = plain.encode()[-_MOST_BYTES:].decode(errors="ignore").strip(" .")
    return (plain.replace(".", "_") if is_image(plain) else plain) or "image"
