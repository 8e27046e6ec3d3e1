"""A data set in which the objects of some classes are ignored: neither objects nor background.

Training for zero-shot detection must not learn that an unseen object is background, nor choose weights by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch

from neocog.data.dataset import Dataset, Derived
from neocog.types import Objects, Sample


class Ignoring(Derived):
    """`data`, with the objects of these labels marked as ignored; the rest is as in `data`."""

    def __init__(self, data: Dataset, labels: Iterable[int]) -> None:
        super().__init__(data)
        self._labels = torch.tensor(sorted(labels), dtype=torch.int64)

    def __getitem__(self, index: int) -> Sample:
        sample = self._data[index]
        assert sample.target is not None
        return replace(sample, target=self._marked(sample.target))

    def objects(self, index: int) -> Objects:
        return self._marked(self._data.objects(index))

    def count(self) -> int:
        """How many objects are ignored for their class."""
        every = (self._data.objects(index).labels for index in range(len(self._data)))
        return sum(int(torch.isin(labels, self._labels).sum()) for labels in every)

    def line(self) -> str:
        """That, as a person is told it."""
        names = ", ".join(self.classes[label] for label in self._labels)
        return f"{self.count()} objects of unseen classes are ignored in split {self.split}: {names}"

    def _marked(self, objects: Objects) -> Objects:
        return replace(objects, ignore=objects.ignore | torch.isin(objects.labels, self._labels))


def without_unseen(data: Dataset, labels: Iterable[int]) -> Dataset:
    """The data with the objects of these labels ignored; as it is where it surely shows none of them."""
    absent = getattr(data, "absent", ())
    left = [label for label in labels if data.classes[label] not in absent]
    return Ignoring(data, left) if left else data
