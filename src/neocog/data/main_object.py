"""Detection data as data of one main object a picture, for localization and classification."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neocog.data.dataset import Dataset, Derived
from neocog.data.files import printable
from neocog.errors import DataError
from neocog.types import Objects, Sample, Task

LARGEST = "largest"


class MainObject(Derived):
    """The pictures of `data` that have a main object, with that object alone.

    `main` is `largest`, the largest object that is not ignored, or the name of a class: then the pictures
    with exactly one object of it, which is the only class. Of LOCALIZE the truth is the object, of CLASSIFY
    its label. Raises DataError for an unknown class, and where no picture is left.
    """

    def __init__(self, data: Dataset, task: Task, main: str = LARGEST) -> None:
        super().__init__(data)
        if task not in (Task.LOCALIZE, Task.CLASSIFY):
            raise ValueError(f"one main object is no truth for {task}")
        if main != LARGEST and main not in data.classes:
            known = ", ".join(data.classes)
            raise DataError(f"{data.name}: no class '{printable(main)}' (there are: {LARGEST}, {known})")
        self._task, self._main = task, main
        places = [_place(data.objects(index), data.classes, main) for index in range(len(data))]
        self._images = np.flatnonzero([place is not None for place in places])
        self._places = np.array([place for place in places if place is not None], np.int64)
        if not len(self._images):
            raise DataError(f"{data.name}, split '{data.split}': no image has {self._wanted()}")

    @property
    def task(self) -> Task:
        return self._task

    @property
    def classes(self) -> tuple[str, ...]:
        every: tuple[str, ...] = self._data.classes
        return every if self._main == LARGEST else (self._main,)

    @property
    def fingerprint(self) -> str:
        parts = (self._data.fingerprint, self._task.value, self._main)
        return hashlib.sha256("/".join(parts).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:
        sample = self._data[self._image(index)]
        if self._task is Task.LOCALIZE:
            return replace(sample, target=self._object(index))
        return replace(sample, target=None, label=int(self._object(index).labels[0]))

    def identity(self, index: int) -> str:
        return self._data.identity(self._image(index))

    def size(self, index: int) -> tuple[int, int]:
        return self._data.size(self._image(index))

    def objects(self, index: int) -> Objects:
        """The main object; of CLASSIFY the whole image instead, with its label."""
        found = self._object(index)
        if self._task is Task.LOCALIZE:
            return found
        height, width = self.size(index)
        return replace(found, boxes=torch.tensor([[0.0, 0.0, width, height]]))

    def path(self, index: int) -> Path:
        """Where the data has its pictures in files."""
        path: Path = self._inner("path")(self._image(index))
        return path

    def areas(self, index: int) -> np.ndarray:
        """(1,) float32, where the data states areas."""
        area: np.ndarray = self._inner("areas")(self._image(index))[[self._places[self._valid(index)]]]
        return area

    def left_out(self) -> int:
        """How many images have no main object."""
        return len(self._data) - len(self)

    def line(self) -> str:
        """That, as a person is told it."""
        wanted = self._wanted()
        return (
            f"{self.left_out()} of {len(self._data)} images of split {self.split} are left out: not {wanted}"
        )

    def _wanted(self) -> str:
        return "an object that counts" if self._main == LARGEST else f"exactly one '{self._main}'"

    def _inner(self, name: str) -> Any:
        return getattr(self._data, name)

    def _object(self, index: int) -> Objects:
        place = int(self._places[self._valid(index)])
        found = self._data.objects(self._image(index))[torch.tensor([place])]
        return found if self._main == LARGEST else replace(found, labels=torch.zeros(1, dtype=torch.int64))

    def _image(self, index: int) -> int:
        return int(self._images[self._valid(index)])

    def _valid(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        return int(index) % len(self)


def _place(objects: Objects, classes: tuple[str, ...], main: str) -> int | None:
    """Which object is the main one; the first of several equally large."""
    counted = ~objects.ignore
    if main != LARGEST:
        found = (counted & (objects.labels == classes.index(main))).nonzero().flatten().tolist()
        return found[0] if len(found) == 1 else None
    if not counted.any():
        return None
    sides = objects.boxes[:, 2:] - objects.boxes[:, :2]
    return int(torch.where(counted, sides.prod(dim=1), -1.0).argmax())
