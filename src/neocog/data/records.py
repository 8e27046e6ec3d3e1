"""Annotations as flat arrays, and the data set made of them.

Flat arrays, because Python objects touched by worker processes make every worker copy them (reference counts
live in the objects' own memory pages).
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from neocog.data.files import printable
from neocog.data.images import read_image
from neocog.data.report import Report
from neocog.errors import DataError
from neocog.types import Frame, Objects, Sample, Task


@dataclass(frozen=True, slots=True)
class Names:
    """Paths, as the file system encodes them, one after another."""

    text: np.ndarray  # uint8
    ends: np.ndarray  # (n,) int64

    @classmethod
    def of(cls, names: Iterable[str]) -> Names:
        coded = [os.fsencode(name) for name in names]
        ends = np.cumsum([len(name) for name in coded], dtype=np.int64)
        return cls(np.frombuffer(b"".join(coded), np.uint8), ends)

    def __getitem__(self, index: int) -> str:
        start = int(self.ends[index - 1]) if index else 0
        return os.fsdecode(self.text[start : int(self.ends[index])].tobytes())

    def joined(self, other: Names) -> Names:
        """These names followed by others."""
        ends = np.concatenate([self.ends, other.ends + len(self.text)])
        return Names(np.concatenate([self.text, other.text]), ends)


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
        return Names(self.names, self.name_ends)[index]

    def joined(self, other: Records) -> Records:
        """These records followed by others."""
        parts = {
            f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)
        }
        parts["name_ends"][len(self) :] += len(self.names)
        parts["offsets"] = np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]])
        return Records(**parts)


class Recorded(ABC):
    """One split of pictures whose truth is `Records` (see `neocog.data.dataset.Dataset`). Small to pickle."""

    def __init__(
        self,
        root: Path,
        format: str,
        split: str,
        classes: Sequence[str],
        records: Records,
        report: Report,
        task: Task = Task.DETECT,
    ) -> None:
        self.root, self.format, self.split, self.task = root, format, split, task
        self.name = root.resolve().name
        self.classes = tuple(classes)
        self.records, self.report = records, report

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        """Image and truth. Raises DataError when the image cannot be read."""
        return self._sample(index, self.pixels(index))

    def identity(self, index: int) -> str:
        """The image's path relative to the data set's folder."""
        return self.records.name(self._valid(index))

    @abstractmethod
    def pixels(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB. Raises DataError `place: reason` when they cannot be read."""

    def place(self, index: int) -> Path:
        """What a message about the pixels of an image names."""
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

    def booked(self, index: int) -> tuple[int, list[int]]:
        """How many annotations the report counts for an image, and the labels that it counts."""
        labels = self.objects(index).labels.tolist()
        return len(labels), labels

    def areas(self, index: int) -> np.ndarray:
        """(N,) float32: what COCO's size ranges go by: the mask's area where it is stated, else the box's."""
        return self.records.areas[self._span(index)]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of names, sizes, classes and annotations."""
        return self._digest().hexdigest()

    def _digest(self) -> hashlib._Hash:
        digest = hashlib.sha256("\0".join(self.classes).encode())
        if self.task is not Task.DETECT:
            digest.update(f"\n{self.task.value}".encode())
        for f in fields(self.records):
            values = getattr(self.records, f.name)
            digest.update(f"\n{f.name} {values.shape}\n".encode())
            digest.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes())
        return digest

    def joined(self, other: Self, split: str) -> Self:
        """These images followed by those of another split of the same data set; the books are added up."""
        whole = copy(self)
        whole.__dict__.pop("fingerprint", None)
        whole.split, whole.records = split, self.records.joined(other.records)
        whole.report = Report(f"{printable(self.root)}, {split}")
        whole.report.merge(self.report)
        whole.report.merge(other.report)
        return whole

    def _sample(self, index: int, image: np.ndarray) -> Sample:
        """The picture with the truth that the task takes."""
        frame = Frame(original=self.size(index), size=self.size(index), source=str(self.place(index)))
        objects = self.objects(index)
        if self.task is Task.CLASSIFY:
            return Sample(image, None, frame, label=int(objects.labels[0]))
        return Sample(image, objects, frame)

    def _valid(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        return int(index) % len(self)

    def _span(self, index: int) -> slice:
        start, end = self.records.offsets[self._valid(index) :][:2].tolist()
        return slice(start, end)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "report": Report(self.report.name)}  # workers need no books


class ImageDataset(Recorded):
    """One whose pictures are files."""

    def __getitem__(self, index: int) -> Sample:
        """Image and truth. Raises DataError when the file cannot be read, or changed since it was opened."""
        return self._sample(index, self.unchanged(index))

    def path(self, index: int) -> Path:
        return self.root / self.identity(index)

    def pixels(self, index: int) -> np.ndarray:
        return read_image(self.path(index))

    def unchanged(self, index: int) -> np.ndarray:
        """The pixels, if they are as many as when the data set was opened. Raises DataError."""
        image, size = self.pixels(index), self.size(index)
        if image.shape[:2] != size:
            was, now = f"{size[1]}x{size[0]}", f"{image.shape[1]}x{image.shape[0]}"
            raise DataError(
                f"{printable(self.path(index))}: size changed from {was} to {now} (open the data again)"
            )
        return image
