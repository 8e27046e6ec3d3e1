"""Every picture of a split decoded, and those that do not decode entered as losses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from neocog.data.files import reason_of
from neocog.data.images import read_image
from neocog.data.records import ImageDataset
from neocog.errors import DataError


def lose_undecodable(
    data: ImageDataset, look: Callable[[int, np.ndarray | None], None] | None = None
) -> set[int]:
    """The places of the pictures that open and do not decode; they and their annotations become losses.

    `look(place, pixels)` is called after each, with None for what does not decode.
    """
    lost = set()
    for index in range(len(data)):
        image = None
        try:
            image = read_image(data.path(index))
        except DataError as error:
            lost.add(index)
            _lose(data, index, reason_of(error, data.path(index)))
        if look is not None:
            look(index, image)
    return lost


def _lose(data: ImageDataset, index: int, reason: str) -> None:
    """Move an image that opened but does not decode, and its annotations, to the losses."""
    report, labels = data.report, data.objects(index).labels.tolist()
    report.files_used -= 1
    report.skip(data.identity(index), reason)
    report.annotations_used -= len(labels)
    report.lose("its image is left out", len(labels))
    for label in labels:
        report.class_used[data.classes[label]] -= 1
