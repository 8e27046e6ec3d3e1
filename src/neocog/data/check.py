"""Everything that can be said of a data set before training on it: each split opened, each image decoded."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from neocog.data.decode import lose_undecodable
from neocog.data.files import printable
from neocog.data.masks import MaskImages
from neocog.data.open import READERS, covers, find_format, other_formats, read_split, splits_of
from neocog.data.records import Recorded
from neocog.errors import DataError, UsageError
from neocog.ops.boxes import iou
from neocog.types import Task

SIZE_EDGES = (16.0, 32.0, 64.0, 96.0)  # px: the root of a box's area
SHARE_EDGES = (0.05, 0.1, 0.2, 0.4)  # the root of a box's share of its image
IGNORED = "(ignored)"
NEAR = 0.7
"""Boxes of one class that overlap this much (IoU) may be one object marked twice."""


@dataclass
class SplitCheck:
    """What was found in one split."""

    split: str
    images: int = 0
    background: int = 0  # images without annotations
    boxes: int = 0
    ignored: int = 0  # difficult or crowd, counted in boxes too
    images_per_class: dict[str, int] = field(default_factory=dict)
    boxes_per_class: dict[str, int] = field(default_factory=dict)
    pixels_per_class: dict[str, int] = field(default_factory=dict)  # of masks
    ignored_pixels: int = 0
    sizes: list[int] = field(
        default_factory=lambda: [0] * (len(SIZE_EDGES) + 1)
    )  # boxes per bin of SIZE_EDGES
    shares: list[int] = field(default_factory=lambda: [0] * (len(SHARE_EDGES) + 1))
    near_duplicates: int = 0
    report: dict[str, Any] = field(default_factory=dict)  # `Report.to_dict`
    lines: list[str] = field(default_factory=list)  # one a fault
    stop: str | None = None  # why training would refuse this split
    strict_stop: str | None = None  # the same under `--strict`


@dataclass
class CheckResult:
    """What was found in a data set."""

    path: str
    format: str
    task: Task
    classes: tuple[str, ...]
    splits: list[SplitCheck]
    identical: list[tuple[str, str]]  # pairs of equal pictures within a split, as `split/name`
    leaks: list[tuple[str, str]]  # pairs of equal pictures in different splits
    stop: str | None = None  # what concerns the splits together
    others: tuple[str, ...] = ()  # formats that the folder holds besides

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is counted of each class in each split."""
        more = {Task.DETECT: ("boxes",), Task.SEGMENT: ("% of pixels",)}
        return ("images", *more.get(self.task, ()))

    def stopped(self, strict: bool = False) -> str | None:
        """The first reason why training would refuse these data; None when it would not."""
        reasons = [self.stop, *((s.strict_stop if strict else s.stop) for s in self.splits)]
        return next((reason for reason in reasons if reason), None)

    def flags(self) -> str:
        """What `train` must be told for these splits, where its defaults do not suit."""
        splits = {s.split for s in self.splits}
        train = "" if "train" in splits else " --train-split trainval"
        val = "" if "val" in splits and not train else " --val-split none"
        return train + val

    def lines(self) -> list[str]:
        """One line a fault, each once even where it concerns several splits."""
        return list(dict.fromkeys(line for s in self.splits for line in s.lines))

    def class_rows(self) -> list[list[str | int | float]]:
        """A row a class: name, then its `kinds` in each split in turn. Of masks, ignored pixels come last."""
        return [
            [name, *(count for s in self.splits for count in _of_class(s, name, self.task))]
            for name in (*self.classes, *((IGNORED,) if self.task is Task.SEGMENT else ()))
        ]

    def size_rows(self) -> list[list[str | int]]:
        """A row a bin of box size (root of the area in pixels): label, then boxes of each split."""
        return [
            [label, *(s.sizes[at] for s in self.splits)]
            for at, label in enumerate(_labels(SIZE_EDGES, 1, " px"))
        ]

    def share_rows(self) -> list[list[str | int]]:
        """A row a bin of relative size (root of the share of the image): label, then boxes of each split."""
        return [
            [label, *(s.shares[at] for s in self.splits)]
            for at, label in enumerate(_labels(SHARE_EDGES, 100, " %"))
        ]

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON takes it."""
        return {
            "path": self.path,
            "format": self.format,
            "task": self.task.value,
            "others": list(self.others),
            "classes": list(self.classes),
            "stop": self.stopped(),
            "strict_stop": self.stopped(strict=True),
            "splits": {s.split: _split_dict(s, self.task) for s in self.splits},
            **(
                {"size_bins_px": list(SIZE_EDGES), "share_bins": list(SHARE_EDGES)}
                if self.task is Task.DETECT
                else {}
            ),
            "identical": [list(pair) for pair in self.identical],
            "leaks": [list(pair) for pair in self.leaks],
        }


def check(
    path: str | Path,
    format: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    ignore_label: int | None = None,
) -> CheckResult:
    """Open every split at `path` and decode every image; nothing is written.

    `progress(done, total)` is called after every image of a split. Faults do not raise; they are in the
    result. `ignore_label` is as in `open_data`. Raises DataError when there is no data set at all.
    """
    if isinstance(path, str) and path.partition(":")[0] == "scenes":
        raise DataError(f"{path}: generated data need no check (give a folder)")
    root = Path(path)
    name = find_format(root, format)
    if ignore_label is not None and READERS[name].task is not Task.SEGMENT:
        raise UsageError(f"{path}: ignore_label is a number in masks, and this is {name}")
    opened: dict[str, Recorded] = {}
    owners: dict[bytes, list[tuple[str, str]]] = defaultdict(list)  # picture -> (split, name)
    found: list[SplitCheck] = []
    for split in splits_of(root, name):
        try:
            data = read_split(root, name, split, ignore_label)
        except DataError as error:
            found.append(SplitCheck(split, stop=str(error), strict_stop=str(error)))
            continue
        if split == "trainval" and covers(opened, data):
            continue
        opened[split] = data
        found.append(_check_split(data, owners, progress))
    classes = {split: data.classes for split, data in opened.items()}
    pairs = [(group[0], other) for group in owners.values() for other in group[1:]]
    return CheckResult(
        path=str(path),
        format=name,
        task=READERS[name].task,
        classes=next(iter(classes.values()), ()),
        splits=found,
        identical=[("/".join(a), "/".join(b)) for a, b in pairs if a[0] == b[0]],
        leaks=[("/".join(a), "/".join(b)) for a, b in pairs if a[0] != b[0] and not _is_same(a, b)],
        stop=_class_stop(root, classes) or _no_train(root, found),
        others=() if format else tuple(other_formats(root, name)),
    )


def _is_same(first: tuple[str, str], second: tuple[str, str]) -> bool:
    """Whether two (split, name) are one picture of train or val and of the trainval that holds both."""
    splits = {first[0], second[0]}
    return first[1] == second[1] and splits in ({"train", "trainval"}, {"val", "trainval"})


def _no_train(root: Path, found: list[SplitCheck]) -> str | None:
    splits = [s.split for s in found]
    if {"train", "trainval"} & set(splits):
        return None
    return printable(f"{root}: no split to train on (there are: {', '.join(splits)})")


def _class_stop(root: Path, classes: dict[str, tuple[str, ...]]) -> str | None:
    if len(set(classes.values())) < 2:
        return None
    tables = "; ".join(f"{split}: {', '.join(names)}" for split, names in classes.items())
    return printable(f"{root}: the splits have different classes ({tables})")


def _check_split(
    data: Recorded,
    owners: dict[bytes, list[tuple[str, str]]],
    progress: Callable[[int, int], None] | None,
) -> SplitCheck:
    report, records = data.report, data.records

    def look(index: int, image: np.ndarray | None) -> None:
        if image is not None:
            digest = hashlib.sha256(image.tobytes() + repr(image.shape).encode()).digest()
            owners[digest].append((data.split, data.identity(index)))
        if progress is not None:
            progress(index + 1, len(data))

    lost = lose_undecodable(data, look)
    kept = np.ones(len(records), bool)
    kept[list(lost)] = False
    result = SplitCheck(data.split, images=int(kept.sum()))
    _count(result, data, kept)
    for index in np.flatnonzero(kept).tolist() if data.task is Task.DETECT else ():
        for first, second in _near(data, index):
            result.near_duplicates += 1
            report.note(
                data.identity(index), "", "boxes of one class nearly equal", f"boxes {first} and {second}"
            )
    # Every line: the result is where a program looks; what is printed for people is cut (`lines`).
    result.report, result.lines = report.to_dict(limit=len(report.faults)), report.lines()
    result.stop, result.strict_stop = report.stop_reason(), report.stop_reason(strict=True)
    return result


def _of_class(s: SplitCheck, name: str, task: Task) -> list[int | float]:
    """What `kinds` names, of one class."""
    images = s.images_per_class.get(name, 0)
    if task is Task.DETECT:
        return [images, s.boxes_per_class.get(name, 0)]
    if task is not Task.SEGMENT:
        return [images]
    pixels = s.ignored_pixels if name == IGNORED else s.pixels_per_class.get(name, 0)
    return [images, round(100 * pixels / max(sum(s.pixels_per_class.values()) + s.ignored_pixels, 1), 2)]


def _count(result: SplitCheck, data: Recorded, kept: np.ndarray) -> None:
    """What there is of each class."""
    if isinstance(data, MaskImages):
        _count_pixels(result, data, kept)
    else:
        _count_objects(result, data, kept)


def _count_pixels(result: SplitCheck, data: MaskImages, kept: np.ndarray) -> None:
    """Images and pixels per class, and ignored ones."""
    counts = data.pixel_counts[kept].astype(np.int64)
    images, pixels = (counts > 0).sum(axis=0).tolist(), counts.sum(axis=0).tolist()
    result.images_per_class = dict(zip((*data.classes, IGNORED), images, strict=True))
    result.pixels_per_class = dict(zip(data.classes, pixels[:-1], strict=True))
    result.ignored_pixels = pixels[-1]


def _count_objects(result: SplitCheck, data: Recorded, kept: np.ndarray) -> None:
    """Boxes and images per class, and histograms."""
    records = data.records
    owners = np.repeat(np.arange(len(records)), np.diff(records.offsets))
    chosen = kept[owners]
    owners, labels, boxes = owners[chosen], records.labels[chosen], records.boxes[chosen]
    result.boxes, result.ignored = len(labels), int(records.ignore[chosen].sum())
    result.background = result.images - len(np.unique(owners))
    for label, name in enumerate(data.classes):
        result.boxes_per_class[name] = int((labels == label).sum())
        result.images_per_class[name] = len(np.unique(owners[labels == label]))
    side = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    share = side / np.sqrt(records.sizes[owners].astype(np.float64).prod(axis=1))
    result.sizes = _histogram(side, SIZE_EDGES)
    result.shares = _histogram(share, SHARE_EDGES)


def _histogram(values: np.ndarray, edges: tuple[float, ...]) -> list[int]:
    counts: list[int] = np.bincount(np.digitize(values, edges), minlength=len(edges) + 1).tolist()
    return counts


def _near(data: Recorded, index: int) -> list[tuple[int, int]]:
    """Pairs of boxes of one image (numbered from 1) that share a class and overlap by at least NEAR."""
    objects = data.objects(index)
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(objects), 256):  # bounds the memory of images with thousands of boxes
        rows = slice(start, start + 256)
        near = iou(objects.boxes[rows], objects.boxes) >= NEAR
        near &= objects.labels[rows, None] == objects.labels
        pairs += [(start + a, b) for a, b in near.nonzero().tolist() if start + a < b]
    return [(a + 1, b + 1) for a, b in pairs]


def _labels(edges: tuple[float, ...], scale: float, unit: str) -> list[str]:
    """Names of a histogram's bins: `<16 px`, `16-32 px`, ..., `96+ px`."""
    marks = [f"{edge * scale:g}" for edge in edges]
    middle = [f"{a}-{b}{unit}" for a, b in pairwise(marks)]
    return [f"<{marks[0]}{unit}", *middle, f"{marks[-1]}+{unit}"]


def _split_dict(s: SplitCheck, task: Task) -> dict[str, Any]:
    boxes = {
        "background": s.background,
        "boxes": s.boxes,
        "ignored": s.ignored,
        "boxes_per_class": s.boxes_per_class,
        "box_sizes": s.sizes,
        "box_shares": s.shares,
        "near_duplicates": s.near_duplicates,
    }
    pixels = {"pixels_per_class": s.pixels_per_class, "ignored_pixels": s.ignored_pixels}
    own = {Task.DETECT: boxes, Task.SEGMENT: pixels}
    return {
        "images": s.images,
        "images_per_class": s.images_per_class,
        **own.get(task, {}),
        "stop": s.stop,
        "strict_stop": s.strict_stop,
        **s.report,
    }
