"""What every data set offers, whatever lies behind it: files in some format, or a generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neocog.errors import DataError
from neocog.types import Objects, Sample, Task


class Dataset(Protocol):
    """One split of a data set. Reading never writes, and `data[i]` is a pure function of i."""

    @property
    def name(self) -> str:
        """Short name for tables: the folder's name, or `scenes:std`."""

    @property
    def format(self) -> str:
        """How it is stored: `voc`, `coco`, `yolo`, `scenes`, ..."""

    @property
    def split(self) -> str:
        """Which split this is: `train`, `val`, `trainval`, `test`, ..."""

    @property
    def task(self) -> Task:
        """What its truth serves: samples have objects (DETECT), one object (LOCALIZE), a label (CLASSIFY), or
        a mask (SEGMENT), and then the objects in it where they are known. Of RECONSTRUCT the picture itself
        is the truth, and the label says what changes in its group."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes; label k is `classes[k]`. Of masks, background is one of them."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of names, sizes, classes and annotations: equal only if the truth is equal."""

    def __len__(self) -> int:
        """Number of images."""

    def __getitem__(self, index: int) -> Sample:
        """Image and truth. Raises DataError, naming the file, when the image cannot be read."""

    def identity(self, index: int) -> str:
        """A stable name of one image (a relative path, or `std/train/17`), for messages and results."""

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) of one image as shown, without decoding its pixels."""

    def objects(self, index: int) -> Objects:
        """The objects of one image, without decoding its pixels. Of CLASSIFY: one, the whole image. Of
        SEGMENT: none, unless they are known besides the mask. Of RECONSTRUCT: none."""


def group_of(data: Dataset) -> int:
    """How many consecutive pictures stay together in a shuffled order: the data set's `group`, or 1."""
    return int(getattr(data, "group", 1))


class MaskDataset(Dataset, Protocol):
    """One whose task is SEGMENT."""

    def mask(self, index: int) -> NDArray[np.uint8]:
        """(H, W) class of each pixel of one image, 255 ignored. Raises DataError when it cannot be read."""


class Derived:
    """A data set that is as another, but for what a subclass changes."""

    def __init__(self, data: Dataset) -> None:
        self._data = data

    name = property(lambda self: self._data.name)
    format = property(lambda self: self._data.format)
    split = property(lambda self: self._data.split)
    task = property(lambda self: self._data.task)
    classes = property(lambda self: self._data.classes)
    fingerprint = property(lambda self: self._data.fingerprint)

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Sample:
        return self._data[index]

    def __getattr__(self, name: str) -> Any:
        """What only some data sets have: a report, the annotators' areas."""
        if name == "_data":  # asked for while unpickling
            raise AttributeError(name)
        return getattr(self._data, name)

    def identity(self, index: int) -> str:
        return self._data.identity(index)

    def size(self, index: int) -> tuple[int, int]:
        return self._data.size(index)

    def objects(self, index: int) -> Objects:
        return self._data.objects(index)


def box_sizes(data: Dataset, size: tuple[int, int]) -> NDArray[np.float64]:
    """Width and height (N, 2) of every object that counts, in pixels of pictures fitted into `size`."""
    found = [np.zeros((0, 2))]
    for index in range(len(data)):
        height, width = data.size(index)
        objects = data.objects(index)
        boxes = objects.boxes[~objects.ignore].numpy().astype(np.float64)
        found.append((boxes[:, 2:] - boxes[:, :2]) * min(size[0] / height, size[1] / width))
    return np.concatenate(found)


def require_task(data: Dataset, task: Task) -> None:
    """Raise DataError unless the data set was opened for this task."""
    if data.task is not task:
        raise DataError(
            f"{data.name}, split '{data.split}': its truth serves the task '{data.task.value}', "
            f"not '{task.value}' (give data of that task)"
        )


def require_classes(data: Dataset, classes: Sequence[str], of: str) -> None:
    """Raise DataError unless the data set has these classes in this order; `of` says whose they are."""
    if tuple(data.classes) != tuple(classes):
        raise DataError(
            f"{data.name}, split '{data.split}': its classes ({', '.join(data.classes)}) are not those of "
            f"{of} ({', '.join(classes)}); give both one list"
        )
