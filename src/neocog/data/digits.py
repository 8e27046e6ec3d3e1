"""`scenes:digits`: scikit-learn's handwritten digits, for classification.

1,797 digits of 8x8 grey levels 0 to 16 by 43 writers (Alpaydin and Kaynak 1998, the test set of "Optical
Recognition of Handwritten Digits", UCI), which come with scikit-learn. They stand in the order in which they
were written, so that the last are by writers of whom the first show none.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from neocog.data.files import printable, split_name
from neocog.errors import DataError
from neocog.types import Frame, Objects, Sample, SampleKey, Task

VERSION = 1  # raise it whenever any picture or label changes

RANGES = {"train": (0, 1170), "val": (1170, 1300), "trainval": (0, 1300), "test": (1300, 1797)}
"""Of each split, its first digit and the one after its last."""

_INK = 255 / 16


@lru_cache(maxsize=1)
def _digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Grey levels (1797, 8, 8) and labels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return (bunch.images * _INK + 0.5).astype(np.uint8), bunch.target.astype(np.int64)


@lru_cache(maxsize=1)
def _enlarged(side: int) -> NDArray[np.uint8]:
    """All of them (1797, side, side): what every epoch would make anew."""
    shape = side, side
    greys = (Image.fromarray(digit) for digit in _digits()[0])
    return np.stack([np.asarray(grey.resize(shape, Image.Resampling.BILINEAR)) for grey in greys])


class Digits:
    """One split of the digits: a `Dataset`. White on black, enlarged to `size` pixels a side (28 by default).

    `train` is the first 1,170, `val` the next 130, `test` the last 497, and `trainval` the first 1,300.
    Raises DataError for an unknown split or a size under 8.
    """

    name, format, task = "scenes:digits", "scenes", Task.CLASSIFY
    classes = tuple(str(digit) for digit in range(10))

    def __init__(self, split: str = "train", size: int = 28) -> None:
        split = split_name(split)
        if split not in RANGES:
            raise DataError(f"scenes:digits has no split '{printable(split)}': there are {', '.join(RANGES)}")
        if size < 8:
            raise DataError(f"scenes:digits: size {size}: give at least 8")
        self.split, self.side = split, size
        self._first, self._end = RANGES[split]

    @property
    def fingerprint(self) -> str:
        parts = (self.format, "digits", VERSION, self.split, self.side)
        return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()

    def __len__(self) -> int:
        return self._end - self._first

    def __getitem__(self, index: int) -> Sample:
        large = _enlarged(self.side)[self._number(index)]
        frame = Frame(self.size(index), self.size(index), source=self.identity(index))
        image = np.repeat(large[:, :, None], 3, axis=2)
        return Sample(image, None, frame, key=SampleKey(0, 0, index), label=self._label(index))

    def identity(self, index: int) -> str:
        """By its place among all 1,797."""
        return f"digits/{self._number(index)}"

    def size(self, index: int) -> tuple[int, int]:
        self._number(index)
        return (self.side, self.side)

    def objects(self, index: int) -> Objects:
        """The whole picture, under its label."""
        box = torch.tensor([[0.0, 0.0, self.side, self.side]])
        return Objects(box, torch.tensor([self._label(index)]), torch.zeros(1, dtype=torch.bool))

    def _label(self, index: int) -> int:
        return int(_digits()[1][self._number(index)])

    def _number(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"digit {index} of {len(self)}")
        return self._first + int(index) % len(self)
