"""Collects the images and annotations of one split into flat records, and keeps the books."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neocog.data.files import reason_of
from neocog.data.images import ImageInfo, probe_image
from neocog.data.judge import CLIPPED, VERDICTS, judge_boxes
from neocog.data.records import Names, Records
from neocog.data.report import Outcome, Report
from neocog.errors import DataError


class Builder:
    """Collects the images and annotations of one split, and keeps the books. Used by every reader.

    Call `image`, then `add` or `drop` for each of its annotations, and `build` at the end.
    """

    def __init__(self, root: Path, classes: Sequence[str], report: Report, record: str) -> None:
        self.root, self.classes, self.report = root, tuple(classes), report
        self.swapped: list[str] = []  # images whose declared width and height are each other's
        self._record = record  # "line {}", "object {}", ...
        self._names: list[str] = []
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
        self._note_classes()

    def _note_classes(self) -> None:
        """Two classes may be one, spelt in two ways."""
        first: dict[str, str] = {}
        for name in self.classes:
            other = first.setdefault("".join(name.casefold().split()), name)
            if other != name:
                shown = f"'{other[:40]}' and '{name[:40]}'"
                self.report.note(".", "", "class names differ only in case or spaces", shown)

    def image(
        self, name: str, source: str = "", declared: tuple[int, int] | None = None, record: str = ""
    ) -> ImageInfo | None:
        """Enter one image, by its path relative to the root; None when it cannot be used.

        `source` is the file that holds its annotations. `declared` is the (width, height) written there, in
        `record`; the image's own size is the truth.
        """
        self._source = source or name
        self._usable = False
        path = self.root / name
        self.report.files_seen += 1
        try:
            info = probe_image(path)
        except DataError as error:
            self.report.skip(name, reason_of(error, path))
            return None
        self._usable = True
        self.report.files_used += 1
        self._names.append(name)
        self._sources.append(self._source)
        self._sizes.extend((info.height, info.width))
        self._notes(name, path, info)
        if declared is not None and declared != (info.width, info.height):
            self._note_size(name, info, declared, record)
        return info

    def _notes(self, name: str, path: Path, info: ImageInfo) -> None:
        for reason in info.fixed:
            self.report.fix(name, "", reason)
        for reason in info.noted:
            self.report.note(name, "", reason)
        if path.is_symlink() and not path.resolve().is_relative_to(self.root.resolve()):
            self.report.note(name, "", "link out of the data set")

    def _note_size(self, name: str, info: ImageInfo, declared: tuple[int, int], record: str) -> None:
        shown = f"the image is {info.width}x{info.height}"
        if declared == (info.height, info.width):
            self.swapped.append(name)
            self.report.note(self._source, record, "declared width and height are swapped", shown)
        elif min(declared) <= 0:
            self.report.note(self._source, record, "no image size declared", shown)
        else:
            self.report.note(self._source, record, "declared image size is wrong", shown)

    @property
    def usable(self) -> bool:
        """Whether the last image is used."""
        return self._usable

    def skip(self, name: str, reason: str, remedy: str = "", record: str = "") -> None:
        """Enter an image that cannot be used, for a reason outside its pixels."""
        self._usable = False
        self.report.files_seen += 1
        self.report.skip(name, reason, remedy, record)

    def withdraw(self, name: str, reason: str, remedy: str = "") -> None:
        """Take the last image back, before anything is added to it, for a fault of the file `name`."""
        self._usable = False
        self._names.pop()
        self._sources.pop()
        del self._sizes[-2:]
        self.report.files_used -= 1
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

    def stray(self, source: str, number: int, reason: str, remedy: str, label: int | None = None) -> None:
        """Enter an annotation that belongs to no image."""
        self._source, self._usable = source, True
        self.drop(number, reason, remedy, label)

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
        if self.report.files_used and not self.classes:
            self.report.stops.append("no classes: no annotation names any, and there is no list of them")
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
        names = Names.of(self._names)
        return Records(
            names=names.text,
            name_ends=names.ends,
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
        later = np.maximum(order[1:], order[:-1])
        for annotation in np.sort(among[later[same_box & ~same_label]]).tolist():
            self.report.note(*self._place(annotation), "same box under two classes")
        repeated = np.sort(among[order[1:][same_box & same_label]])
        for annotation in repeated.tolist():
            self.report.fix(*self._place(annotation), "duplicate of an earlier annotation", "removed")
        self.report.annotations_merged += len(repeated)
        return repeated
