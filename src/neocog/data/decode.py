"""Every picture of a split decoded, and those that do not decode entered as losses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from neocog.data.files import reason_of
from neocog.data.records import Recorded
from neocog.errors import DataError


def lose_undecodable(
    data: Recorded, look: Callable[[int, np.ndarray | None], None] | None = None
) -> set[int]:
    """The places of the pictures that open and do not decode; they and their annotations become losses.

    `look(place, pixels)` is called after each, with None for what does not decode.
    """
    lost = set()
    for index in range(len(data)):
        image = None
        try:
            image = data.pixels(index)
        except DataError as error:
            lost.add(index)
            _lose(data, index, reason_of(error, data.place(index)))
        if look is not None:
            look(index, image)
    return lost


def _lose(data: Recorded, index: int, reason: str) -> None:
    """Move an image that opened but does not decode, and its annotations, to the losses."""
    report, (count, labels) = data.report, data.booked(index)
    report.files_used -= 1
    report.skip(data.identity(index), reason)
    report.annotations_used -= count
    report.lose("its image is left out", count)
    for label in labels:
        report.class_used[data.classes[label]] -= 1
