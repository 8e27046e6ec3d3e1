"""IDX files, in which MNIST and its kin come: all pictures in one file, all labels in another.

A file is a magic number, the sizes, and the values, big-endian (LeCun's description of MNIST). `train-*` is
the training split, `t10k-*` (or `test-*`) the test split. There is no split to validate on, so the last tenth
of the training file becomes `val` unless there are `val-*` files. Grey becomes RGB. gzip is unpacked.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from neocog.data.files import children, in_order, open_regular, printable, read_classes, split_name
from neocog.data.images import MOST_PIXELS
from neocog.data.places import one_place
from neocog.data.records import Names, Recorded, Records
from neocog.data.report import Report
from neocog.errors import DataError
from neocog.types import Task

LAYOUT = "IDX (train-images-idx3-ubyte + train-labels-idx1-ubyte, t10k-*, packed by gzip or not)"

MOST_VALUES = 1 << 30
"""Bytes that a file may hold, unpacked."""

MOST_RATIO = 1032  # gzip cannot pack better
MOST_PICTURES = 2_000_000
HELD_OUT = 10
"""One picture in so many, from the end, is held out to validate on."""

CHUNK = 1 << 20

_NAME = re.compile(r"(train|t10k|test|val|valid|validation)[-.](images|labels)[-.]idx([13])-ubyte(\.gz)?")
_PARTS = {"images": "3", "labels": "1"}


class _Files(NamedTuple):
    """The two files of a split, by name."""

    images: str
    labels: str


@dataclass(frozen=True, slots=True)
class _Share:
    """The part of a pair of files that is a split."""

    files: _Files
    part: str = "all"  # or "first", all but the last tenth, or "last"

    def rows(self, count: int) -> tuple[int, int]:
        """The first row of so many, and the one after the last."""
        border = count - count // HELD_OUT
        return {"all": (0, count), "first": (0, border), "last": (border, count)}[self.part]


def finds(root: Path) -> bool:
    """Whether a folder looks like this format."""
    return bool(_found(root, "images"))


def splits(root: Path) -> tuple[str, ...]:
    """The splits there are, with `val` out of the training file where there is none."""
    return in_order(_shares(root))


def read(root: Path, split: str) -> IdxDataset:
    """One split. Raises DataError for a file that is cut, damaged, too large or no IDX file."""
    share = _shares(root)[split]
    report = Report(f"{printable(root)}, {split}")
    _note_packed(root, report)
    images, labels = _values(root / share.files.images, 3), _values(root / share.files.labels, 1)
    if len(images) != len(labels):
        raise DataError(
            f"{printable(root / share.files.labels)}: {len(labels)} labels for {len(images)} images "
            f"({share.files.images})"
        )
    classes = _classes(root)
    if share.part != "all":
        part = "the last tenth" if share.part == "last" else "all but the last tenth"
        report.note(share.files.images, "", "no files to validate on", f"'{split}' is {part} of it")
    start, stop = share.rows(len(labels))
    rows = start + _judge(labels[start:stop], start, share.files, classes, report)
    stem = share.files.images.partition("-")[0].partition(".")[0]
    records = _records(stem, rows, labels[rows], images.shape[1:])
    return IdxDataset(root, split, classes, records, report, share.files.images, images[rows])


class IdxDataset(Recorded):
    """Pictures of equal size in one array (n, H, W) uint8."""

    def __init__(
        self,
        root: Path,
        split: str,
        classes: tuple[str, ...],
        records: Records,
        report: Report,
        file: str,
        grey: np.ndarray,
    ) -> None:
        super().__init__(root, "idx", split, classes, records, report, Task.CLASSIFY)
        self._file, self._grey = file, grey

    def pixels(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8: three times the grey."""
        return np.repeat(self._grey[self._valid(index), :, :, None], 3, axis=2)

    def joined(self, other: IdxDataset, split: str) -> IdxDataset:
        whole = super().joined(other, split)
        whole._grey = np.concatenate([self._grey, other._grey])
        return whole


def _found(root: Path, kind: str) -> dict[str, str]:
    """Split -> its file of this kind; of a packed and a plain one, as downloads leave them, the plain one.

    Raises DataError for two files of one split, as `t10k` beside `test`.
    """
    names = [match for name in children(root) if (match := _NAME.fullmatch(name))] if root.is_dir() else []
    plain = {match[0] for match in names if not match[4]}
    return one_place(
        root,
        (
            ("test" if match[1] == "t10k" else split_name(match[1]), match[0], match[0])
            for match in names
            if (match[2], match[3]) == (kind, _PARTS[kind])
            and match[0].removesuffix(".gz") not in plain - {match[0]}
        ),
    )


def _note_packed(root: Path, report: Report) -> None:
    used = {*_found(root, "images").values(), *_found(root, "labels").values()}
    for name in children(root):
        if _NAME.fullmatch(name) and name not in used:
            report.note(name, "", "IDX file beside the same one unpacked", "not used")


def _shares(root: Path) -> dict[str, _Share]:
    """Split -> its part of its files."""
    images, labels = _found(root, "images"), _found(root, "labels")
    shares = {}
    for split, name in images.items():
        if split not in labels:
            raise DataError(f"{printable(root / name)}: no file of labels beside it ({_labels_of(name)})")
        shares[split] = _Share(_Files(name, labels[split]))
    if "train" in shares and "val" not in shares:
        files = shares["train"].files
        shares |= {"train": _Share(files, "first"), "val": _Share(files, "last")}
    return shares


def _labels_of(name: str) -> str:
    return name.replace("images", "labels").replace("idx3", "idx1")


def _values(path: Path, sides: int) -> np.ndarray:
    """The array of a file: (n, H, W) uint8 of pictures (`sides` 3), (n,) of labels (1).

    Takes memory for what the file holds, and no more than its header says. Raises DataError `path: reason`.
    """
    with open_regular(path, MOST_VALUES + CHUNK) as file:
        size = os.fstat(file.fileno()).st_size
        if path.suffix != ".gz":
            return _array(file, sides, size)
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _array(unpacked, sides, size * MOST_RATIO)
        except EOFError as error:
            raise ValueError("truncated") from error
        except (zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"damaged gzip file ({error})") from error


def _array(file: BinaryIO | gzip.GzipFile, sides: int, most: int) -> np.ndarray:
    """What follows the header. Raises ValueError; `most` bytes can be there at most."""
    head = _exactly(file, 4 * (1 + sides))
    if head[:4] != bytes([0, 0, 8, sides]):
        kind = "pictures" if sides == 3 else "labels"
        wanted = bytes([0, 0, 8, sides]).hex()
        raise ValueError(f"no IDX file of {kind} (it begins with {head[:4].hex()}, not {wanted})")
    shape = np.frombuffer(head[4:], ">u4").tolist()
    total = 1
    for side in shape:  # Python's integers do not overflow
        total *= side
    if sides == 3 and (not shape[1] or not shape[2]):
        raise ValueError("pictures without pixels")
    if shape[0] > MOST_PICTURES:
        raise ValueError(f"{shape[0]} entries > {MOST_PICTURES} entries limit")
    if sides == 3 and shape[1] * shape[2] > MOST_PIXELS:
        raise ValueError(f"{shape[1] * shape[2] / 1e6:.0f} Mpx > {MOST_PIXELS / 1e6:.0f} Mpx limit")
    if total > MOST_VALUES:
        raise ValueError(f"{total / (1 << 20):.0f} MiB of values > {MOST_VALUES >> 20} MiB limit")
    if total > most:
        raise ValueError(f"truncated (the header says {total} values)")
    values = np.empty(total, np.uint8)  # the system gives its pages as they are filled
    for start in range(0, total, CHUNK):
        part = _exactly(file, min(CHUNK, total - start))
        values[start : start + len(part)] = np.frombuffer(part, np.uint8)
    if file.read(1):
        raise ValueError(f"more bytes than the header says ({total} values)")
    return values.reshape(shape)


def _exactly(file: BinaryIO | gzip.GzipFile, count: int) -> bytes:
    """So many bytes. Raises ValueError when there are fewer."""
    parts = b""
    while len(parts) < count and (part := file.read(count - len(parts))):
        parts += part
    if len(parts) < count:
        raise ValueError("truncated")
    return parts


def _classes(root: Path) -> tuple[str, ...]:
    """`classes.txt`, else numbers up to the largest label of all splits."""
    if (root / "classes.txt").is_file():
        return read_classes(root / "classes.txt")
    largest = [int(_values(root / name, 1).max(initial=0)) for name in _found(root, "labels").values()]
    return tuple(str(number) for number in range(max(largest) + 1))


def _judge(
    labels: np.ndarray, start: int, files: _Files, classes: tuple[str, ...], report: Report
) -> np.ndarray:
    """The places of the pictures whose label is a class's; the books of all."""
    known = labels < len(classes)
    for place in np.flatnonzero(~known).tolist():
        reason = f"label {labels[place]} outside the {len(classes)} classes of classes.txt"
        report.skip(files.labels, reason, record=f"label {start + place}")
    report.files_seen += len(labels)
    report.annotations_seen += len(labels)
    report.files_used += int(known.sum())
    report.annotations_used += int(known.sum())
    report.lose("its label is no class's", int((~known).sum()))
    counts = np.bincount(labels[known], minlength=len(classes)).tolist()
    for name, count in zip(classes, counts, strict=True):
        report.class_seen[name] += count
        report.class_used[name] += count
    return np.flatnonzero(known)


def _records(stem: str, rows: np.ndarray, labels: np.ndarray, size: tuple[int, ...]) -> Records:
    """A whole-picture box each, with its label; a picture is called by its place in its file, `train/17`."""
    count, (height, width) = len(rows), size
    names = Names.of(f"{stem}/{row}" for row in rows.tolist())
    return Records(
        names=names.text,
        name_ends=names.ends,
        sizes=np.tile(np.array([[height, width]], np.int32), (count, 1)),
        offsets=np.arange(count + 1, dtype=np.int64),
        boxes=np.tile(np.array([[0, 0, width, height]], np.float32), (count, 1)),
        labels=labels.astype(np.int64),
        ignore=np.zeros(count, bool),
        areas=np.full(count, height * width, np.float32),
    )
