"""Annotations as flat arrays, the judgement of boxes that all formats share, and the data set made of them.

Flat arrays, because Python objects touched by worker processes make every worker copy them (reference counts
live in the objects' own memory pages).
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from neocog.data.files import printable, reason_of
from neocog.data.images import ImageInfo, probe_image, read_image
from neocog.data.report import Outcome, Report
from neocog.errors import DataError
from neocog.types import Frame, Objects, Sample

ROUNDING = 0.01
"""Pixels a box may stick out of its image unreported: six-digit YOLO files do, by rounding."""

MOST_COORDINATE = 1e7


@dataclass(frozen=True, slots=True)
class Records:
    """n images and their N annotations."""

    names: np.ndarray  # uint8: paths relative to the root, one after another, as the file system encodes them
    name_ends: np.ndarray  # (n,) int64
    sizes: np.ndarray  # (n, 2) int32: height, width, as shown
    offsets: np.ndarray  # (n + 1,) int64: annotations of image i are offsets[i]:offsets[i + 1]
    boxes: np.ndarray  # (N, 4) float32
    labels: np.ndarray  # (N,) int64
    ignore: np.ndarray  # (N,) bool
    areas: (
        np.ndarray
    )  # (N,) float32: square pixels; of the mask where the annotations state it, else of the box

    def __len__(self) -> int:
        return len(self.sizes)

    def name(self, index: int) -> str:
        """The path of one image relative to the root, with "/"."""
        start = int(self.name_ends[index - 1]) if index else 0
        return os.fsdecode(self.names[start : int(self.name_ends[index])].tobytes())

    def joined(self, other: Records) -> Records:
        """These records followed by others."""
        parts = {
            f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)
        }
        parts["name_ends"][len(self) :] += len(self.names)
        parts["offsets"] = np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]])
        return Records(**parts)


class Verdict(NamedTuple):
    """What `judge_boxes` says of one kind of box."""

    reason: str
    remedy: str
    outcome: Outcome | None


VERDICTS = (
    Verdict("", "", None),
    Verdict("box reaches outside the image", "clipped", Outcome.FIXED),
    Verdict("box is not finite", "", Outcome.DROPPED),
    Verdict("box coordinate out of range", "", Outcome.DROPPED),
    Verdict("box is inverted", "left edge right of the right one, or top below bottom", Outcome.DROPPED),
    Verdict("box has zero area", "", Outcome.DROPPED),
    Verdict("box lies outside the image", "", Outcome.DROPPED),
)
FINE, CLIPPED, NOT_FINITE, OUT_OF_RANGE, INVERTED, ZERO_AREA, OUTSIDE = range(len(VERDICTS))


def judge_boxes(boxes: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) float64 in images of `sizes` (N, 2) height, width: clipped float32 boxes, verdicts (N,).

    A verdict indexes `VERDICTS`; of several the gravest counts. Boxes to be dropped come out as zeros.
    """
    finite = np.isfinite(boxes).all(axis=1)
    near = finite & (np.abs(np.where(np.isfinite(boxes), boxes, 0)) <= MOST_COORDINATE).all(axis=1)
    safe = np.where(near[:, None], boxes, 0.0)
    limits = sizes[:, [1, 0, 1, 0]].astype(np.float64)
    clipped = np.minimum(np.maximum(safe, 0.0), limits).astype(np.float32)
    verdicts = np.zeros(len(boxes), np.int8)
    verdicts[(np.abs(clipped - safe) > ROUNDING).any(axis=1)] = CLIPPED
    # After rounding to float32 a sliver may vanish; it is then as empty as one written empty.
    verdicts[(clipped[:, 2:] <= clipped[:, :2]).any(axis=1)] = ZERO_AREA
    verdicts[(safe[:, 2:] <= 0).any(axis=1) | (safe[:, :2] >= limits[:, :2]).any(axis=1)] = OUTSIDE
    verdicts[(safe[:, 2:] == safe[:, :2]).any(axis=1)] = ZERO_AREA
    verdicts[(safe[:, 2:] < safe[:, :2]).any(axis=1)] = INVERTED
    verdicts[~near] = OUT_OF_RANGE
    verdicts[~finite] = NOT_FINITE
    clipped[verdicts > CLIPPED] = 0
    return clipped, verdicts


class Builder:
    """Collects the images and annotations of one split, and keeps the books. Used by every reader.

    Call `image`, then `add` or `drop` for each of its annotations, and `build` at the end.
    """

    def __init__(self, root: Path, classes: Sequence[str], report: Report, record: str) -> None:
        self.root, self.classes, self.report = root, tuple(classes), report
        self.swapped: list[str] = []  # images whose declared width and height are each other's
        self._record = record  # "line {}", "object {}", ...
        self._names: list[bytes] = []
        self._sources: list[str] = []
        self._sizes = array("i")
        self._source = ""
        self._usable = False
        self._numbers, self._owners, self._labels, self._ignore = (
            array("q"),
            array("q"),
            array("q"),
            array("b"),
        )
        self._boxes, self._areas = array("d"), array("d")

    def image(self, name: str, source: str = "", declared: tuple[int, int] | None = None) -> ImageInfo | None:
        """Enter one image, by its path relative to the root; None when it cannot be used.

        `source` is the file that holds its annotations. `declared` is the (width, height) written there; the
        image's own size is the truth.
        """
        self._source = source or name
        self._usable = False
        path = self.root / name
        self.report.files_seen += 1
        try:
            info = probe_image(path)
        except DataError as error:
            self.report.skip(name, reason_of(error))
            return None
        self._usable = True
        self.report.files_used += 1
        self._names.append(os.fsencode(name))
        self._sources.append(self._source)
        self._sizes.extend((info.height, info.width))
        self._notes(name, path, info, declared)
        return info

    def _notes(self, name: str, path: Path, info: ImageInfo, declared: tuple[int, int] | None) -> None:
        for reason in info.fixed:
            self.report.fix(name, "", reason)
        for reason in info.noted:
            self.report.note(name, "", reason)
        if path.is_symlink() and not path.resolve().is_relative_to(self.root.resolve()):
            self.report.note(name, "", "link out of the data set")
        if declared is None or declared == (info.width, info.height):
            return
        shown = f"the image is {info.width}x{info.height}"
        if declared == (info.height, info.width):
            self.swapped.append(name)
            self.report.note(self._source, "", "declared width and height are swapped", shown)
        elif min(declared) <= 0:
            self.report.note(self._source, "", "no image size declared", shown)
        else:
            self.report.note(self._source, "", "declared image size is wrong", shown)

    def skip(self, name: str, reason: str, remedy: str = "") -> None:
        """Enter an image that cannot be used, for a reason outside its pixels."""
        self._usable = False
        self.report.files_seen += 1
        self.report.skip(name, reason, remedy)

    def add(
        self, number: int, box: Sequence[float], label: int, ignore: bool = False, area: float = 0.0
    ) -> None:
        """Enter an annotation of the last image: x0 y0 x1 y1 in its pixels; an area of 0 means the box's."""
        if not self._seen(label):
            return
        self._numbers.append(number)
        self._owners.append(len(self._names) - 1)
        self._boxes.extend(box)
        self._labels.append(label)
        self._ignore.append(ignore)
        self._areas.append(area)

    def drop(self, number: int, reason: str, remedy: str = "", label: int | None = None) -> None:
        """Enter an annotation of the last image that cannot be used."""
        if self._seen(label):
            self.report.drop(self._source, self._record.format(number), reason, remedy)

    def _seen(self, label: int | None) -> bool:
        """Count an annotation; False when it goes with its image."""
        self.report.annotations_seen += 1
        if label is not None:
            self.report.class_seen[self.classes[label]] += 1
        if not self._usable:
            self.report.lose("its image is left out", 1)
        return self._usable

    def build(self) -> Records:
        """Judge every box, remove exact duplicates, close the books."""
        sizes = np.array(self._sizes, np.int32).reshape(-1, 2)
        owners = np.array(self._owners, np.int64)
        labels, ignore = np.array(self._labels, np.int64), np.array(self._ignore, bool)
        boxes, verdicts = judge_boxes(np.array(self._boxes, np.float64).reshape(-1, 4), sizes[owners])
        self._tell(verdicts)
        keep = verdicts <= CLIPPED
        keep[self._duplicates(owners, labels, ignore, boxes, np.flatnonzero(keep))] = False
        order = np.flatnonzero(keep)
        order = order[np.argsort(owners[order], kind="stable")]
        boxes, labels, owners = boxes[order], labels[order], owners[order]
        self.report.annotations_used += len(order)
        for label, count in enumerate(np.bincount(labels, minlength=len(self.classes)).tolist()):
            self.report.class_used[self.classes[label]] += count
        own = np.array(self._areas, np.float64)[order]
        areas = np.where(own > 0, own, (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
        counts = np.bincount(owners, minlength=len(sizes))
        return Records(
            names=np.frombuffer(b"".join(self._names), np.uint8),
            name_ends=np.cumsum([len(name) for name in self._names], dtype=np.int64),
            sizes=sizes,
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            boxes=boxes,
            labels=labels,
            ignore=ignore[order],
            areas=areas.astype(np.float32),
        )

    def _place(self, annotation: int) -> tuple[str, str]:
        return self._sources[self._owners[annotation]], self._record.format(self._numbers[annotation])

    def _tell(self, verdicts: np.ndarray) -> None:
        for annotation in np.flatnonzero(verdicts).tolist():
            reason, remedy, outcome = VERDICTS[verdicts[annotation]]
            values = ", ".join(f"{value:g}" for value in self._boxes[4 * annotation : 4 * annotation + 4])
            if outcome is Outcome.DROPPED:
                self.report.drop(*self._place(annotation), reason, remedy or f"x0 y0 x1 y1 = {values}")
            else:
                self.report.fix(*self._place(annotation), reason, remedy)

    def _duplicates(
        self, owners: np.ndarray, labels: np.ndarray, ignore: np.ndarray, boxes: np.ndarray, among: np.ndarray
    ) -> np.ndarray:
        """Annotations that repeat an earlier one exactly; the same box under two classes is only noted."""
        if not len(among):
            return among
        rows = np.column_stack([owners, boxes.view(np.int32), ignore, labels])[among]
        order = np.lexsort(rows.T[::-1])  # stable: of equal rows the first written comes first
        same_box = (rows[order[1:], :6] == rows[order[:-1], :6]).all(axis=1)
        same_label = rows[order[1:], 6] == rows[order[:-1], 6]
        for annotation in np.sort(among[order[1:][same_box & ~same_label]]).tolist():
            self.report.note(*self._place(annotation), "same box under two classes")
        repeated = np.sort(among[order[1:][same_box & same_label]])
        for annotation in repeated.tolist():
            self.report.fix(*self._place(annotation), "duplicate of an earlier annotation", "removed")
        self.report.annotations_merged += len(repeated)
        return repeated


class ImageDataset:
    """One split of a data set on disk (see `neocog.data.dataset.Dataset`). Small to pickle."""

    def __init__(
        self, root: Path, format: str, split: str, classes: Sequence[str], records: Records, report: Report
    ) -> None:
        self.root, self.format, self.split = root, format, split
        self.name = root.resolve().name
        self.classes = tuple(classes)
        self.records, self.report = records, report

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        """Image and truth. Raises DataError when the file cannot be read, or changed since it was opened."""
        objects, path, size = self.objects(index), self.path(index), self.size(index)
        image = read_image(path)
        if image.shape[:2] != size:
            was, now = f"{size[1]}x{size[0]}", f"{image.shape[1]}x{image.shape[0]}"
            raise DataError(f"{printable(path)}: size changed from {was} to {now} (open the data again)")
        return Sample(image, objects, Frame(original=size, size=size, source=str(path)))

    def identity(self, index: int) -> str:
        """The image's path relative to the data set's folder."""
        return self.records.name(self._valid(index))

    def path(self, index: int) -> Path:
        return self.root / self.identity(index)

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) as shown."""
        height, width = self.records.sizes[self._valid(index)].tolist()
        return height, width

    def objects(self, index: int) -> Objects:
        """The truth of one image."""
        span = self._span(index)
        records = self.records
        return Objects(
            torch.from_numpy(records.boxes[span].copy()),
            torch.from_numpy(records.labels[span].copy()),
            torch.from_numpy(records.ignore[span].copy()),
        )

    def areas(self, index: int) -> np.ndarray:
        """(N,) float32: what COCO's size ranges go by: the mask's area where it is stated, else the box's."""
        return self.records.areas[self._span(index)]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of names, sizes, classes and annotations."""
        digest = hashlib.sha256("\0".join(self.classes).encode())
        for f in fields(self.records):
            values = getattr(self.records, f.name)
            digest.update(f"\n{f.name} {values.shape}\n".encode())
            digest.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def _valid(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        return int(index) % len(self)

    def _span(self, index: int) -> slice:
        start, end = self.records.offsets[self._valid(index) :][:2].tolist()
        return slice(start, end)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "report": Report(self.report.name)}  # workers need no books
