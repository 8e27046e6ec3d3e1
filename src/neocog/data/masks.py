"""Segmentation masks: for each image a second picture of the same size, whose pixels are class numbers.

Layouts: VOC's (`JPEGImages` + `SegmentationClass` + `ImageSets/Segmentation/train.txt`); folders in pairs
(`train` + `trainannot`, `images/train` + `masks/train`, `train/images` + `train/masks`, or `images` + `masks`
without splits; `labels` and `annotations` are as good as `masks`); lists of pairs (`train.txt`, an image and
its mask a line). How numbers become classes is told in `mask_classes`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from neocog.data.builder import Builder
from neocog.data.components import components
from neocog.data.files import in_order, printable, reason_of
from neocog.data.mask_classes import OUTSIDE, ClassList, Table, make_table, read_class_list
from neocog.data.mask_files import Pair, find_pairs, find_parts
from neocog.data.mask_image import MOST_TOLD, UnusableMask, read_numbers
from neocog.data.records import ImageDataset, Names, Records
from neocog.data.report import Report
from neocog.errors import DataError, UsageError
from neocog.types import IGNORED_PIXEL, Sample, Task

LAYOUT = (
    "masks (JPEGImages + SegmentationClass, train + trainannot, images/train + masks/train, lists of pairs)"
)
UNKNOWN = "mask with values outside the classes"


@dataclass(frozen=True, slots=True)
class _Look:
    """What is kept of a mask that was read."""

    size: tuple[int, int]
    counts: np.ndarray  # (256,) int64: pixels of each number
    grey: bool
    outside: tuple[str, ...]
    digest: bytes


def finds(root: Path) -> bool:
    """Whether a folder looks like this format."""
    return bool(find_parts(root))


def splits(root: Path) -> tuple[str, ...]:
    """The splits there are; a data set without any is divided into three."""
    parts = find_parts(root)
    return ("train", "val", "test") if "" in parts else in_order(parts)


def read(root: Path, split: str, ignore_label: int | None = None) -> MaskImages:
    """One split; every mask of it is read once, and those of the other splits where the classes are not known
    without. `ignore_label` is a number that means ignored, besides 255, and is no class.

    Raises DataError for an unusable classes.txt, UsageError for a label that is no number of a mask.
    """
    if ignore_label is not None and not 0 <= ignore_label <= IGNORED_PIXEL:
        raise UsageError(f"ignore_label {ignore_label}: masks have numbers from 0 to 255")
    report = Report(f"{printable(root)}, {split}")
    listed = read_class_list(root / "classes.txt") if (root / "classes.txt").is_file() else None
    pairs = find_pairs(root, find_parts(root), report)
    every = listed is None or listed.needs_all()
    wanted = [name for name in pairs if every or name == split]
    looks = {pair.mask: _look(root, pair, listed) for name in wanted for pair in pairs[name]}
    fine = [look for look in looks.values() if isinstance(look, _Look)]
    shown, grey = [look.counts > 0 for look in fine], all(look.grey for look in fine)
    table = make_table(listed, shown, grey, ignore_label, report)
    builder = Builder(root, table.classes, report, "")
    entered = [(pair, _enter(builder, pair, looks[pair.mask], table)) for pair in pairs[split]]
    used = [(pair, look) for pair, look in entered if look is not None]
    counts = np.array([_class_counts(table, look) for _, look in used], np.int32)
    masks = _Masks(
        names=Names.of(pair.mask for pair, _ in used),
        digests=np.frombuffer(b"".join(look.digest for _, look in used), np.uint8).reshape(-1, 16),
        counts=counts.reshape(-1, len(table.classes) + 1),
    )
    reading = _Reading(table, dict(listed.colours) if listed else {})
    return MaskImages(root, split, builder.build(), report, reading, masks)


def _look(root: Path, pair: Pair, listed: ClassList | None) -> _Look | DataError:
    """What a mask holds, or why it cannot be read."""
    path = root / pair.mask
    if pair.fault:
        return DataError(f"{printable(path)}: {pair.fault}")
    try:
        numbers = read_numbers(path, listed.colours if listed else {})
    except DataError as error:
        return error
    height, width = numbers.values.shape
    counts = np.bincount(numbers.values.ravel(), minlength=256)
    return _Look((height, width), counts, numbers.grey, numbers.outside, numbers.digest)


def _enter(builder: Builder, pair: Pair, look: _Look | DataError, table: Table) -> _Look | None:
    """An image and its mask into the books; None when they cannot be used.

    A mask counts as one annotation, and once for every class that it shows.
    """
    report, names = builder.report, list[str]()
    if not isinstance(look, DataError):
        shown = _class_counts(table, look)[:-1] > 0
        names = [name for name, seen in zip(table.classes, shown, strict=True) if seen]
    report.annotations_seen += 1
    report.class_seen.update(names)
    if isinstance(look, DataError) or not _fits(builder, pair, look, table):
        if isinstance(look, DataError):
            _skip(builder, pair, look)
        report.lose("its image is left out", 1)
        return None
    if not names:
        report.note(pair.mask, "", "mask that ignores every pixel")
    report.annotations_used += 1
    report.class_used.update(names)
    return look


def _skip(builder: Builder, pair: Pair, fault: DataError) -> None:
    reason = reason_of(fault, builder.root / pair.mask)
    if isinstance(fault, UnusableMask):
        builder.report.stops.append(f"{pair.mask}: {reason}")
    builder.skip(pair.mask, reason)


def _fits(builder: Builder, pair: Pair, look: _Look, table: Table) -> bool:
    """Whether a mask has the classes' numbers alone, and its image's size; the image is entered."""
    strange = [str(number) for number in np.flatnonzero((look.counts > 0) & (table.labels == OUTSIDE))]
    if strange or look.outside:
        builder.skip(pair.mask, UNKNOWN, ", ".join([*strange, *look.outside][:MOST_TOLD]))
        return False
    info = builder.image(pair.image, pair.mask)
    if info is None:
        return False
    if (info.height, info.width) != look.size:
        sizes = f"{look.size[1]}x{look.size[0]}; the image is {info.width}x{info.height}"
        builder.withdraw(pair.mask, "size of the mask differs from its image's", sizes)
        return False
    return True


def _class_counts(table: Table, look: _Look) -> np.ndarray:
    """(K + 1,) pixels of each class, and of none (ignored, or outside the classes)."""
    count = len(table.classes)
    places = np.where((table.labels >= 0) & (table.labels < count), table.labels, count)
    counts: np.ndarray = np.bincount(places, weights=look.counts, minlength=count + 1).astype(np.int64)
    return counts


@dataclass(frozen=True, slots=True)
class _Masks:
    """The masks of n images."""

    names: Names
    digests: np.ndarray  # (n, 16) uint8, of the class numbers
    counts: np.ndarray  # (n, K + 1) int32: pixels of each class, and ignored ones

    def joined(self, other: _Masks) -> _Masks:
        return _Masks(
            self.names.joined(other.names),
            np.concatenate([self.digests, other.digests]),
            np.concatenate([self.counts, other.counts]),
        )


class _Reading(NamedTuple):
    """How numbers become classes."""

    table: Table
    colours: Mapping[int, int]


class MaskImages(ImageDataset):
    """Images with a class for every pixel (a `MaskDataset`). Decoded masks are not kept.

    A sample's objects are the connected parts of its mask, but for those of a class called `background` and
    those with a side under 8 pixels; `objects` has none, as finding them takes the mask.
    """

    def __init__(
        self, root: Path, split: str, records: Records, report: Report, reading: _Reading, masks: _Masks
    ) -> None:
        super().__init__(root, "masks", split, reading.table.classes, records, report, Task.SEGMENT)
        self._reading, self._masks = reading, masks

    def __getitem__(self, index: int) -> Sample:
        """Image, mask, and the objects in it. Raises DataError when a file cannot be read, or changed."""
        mask = self.mask(index)
        sample = self._sample(index, self.unchanged(index))
        return replace(sample, mask=mask, target=components(mask, self._reading.table.background))

    def mask(self, index: int) -> NDArray[np.uint8]:
        """(H, W) class of each pixel, 255 ignored. Raises DataError for a file that is bad, or changed."""
        path = self.mask_path(index)
        numbers = read_numbers(path, self._reading.colours)
        labels = self._reading.table.labels[numbers.values]
        if numbers.values.shape != self.size(index) or numbers.outside or (labels == OUTSIDE).any():
            raise DataError(f"{printable(path)}: the mask changed (open the data again)")
        return labels.astype(np.uint8)

    def mask_path(self, index: int) -> Path:
        return self.root / self._masks.names[self._valid(index)]

    @property
    def pixel_counts(self) -> NDArray[np.int32]:
        """(n, K + 1) pixels of each class, and ignored ones, of each image as it was opened."""
        counts: NDArray[np.int32] = self._masks.counts
        return counts

    def booked(self, index: int) -> tuple[int, list[int]]:
        return 1, np.flatnonzero(self.pixel_counts[self._valid(index)][:-1]).tolist()

    def joined(self, other: Self, split: str) -> Self:
        whole = super().joined(other, split)
        whole._masks = self._masks.joined(other._masks)
        return whole

    def _digest(self) -> hashlib._Hash:
        digest = super()._digest()
        for part in (self._masks.digests, self._reading.table.labels.astype("<i2")):
            digest.update(part.tobytes())
        return digest
