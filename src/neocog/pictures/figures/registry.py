"""Which figures there are, in the order of the course."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from neocog.pictures.figure import Figure
from neocog.pictures.figures import detection, signals, sliding


class Entry(NamedTuple):
    """A figure that can be drawn."""

    draw: Callable[[], Figure]
    """Computes and draws it."""
    title: str
    """In a few words, what it is about."""

    @property
    def name(self) -> str:
        """Of the figure and its files: that of the function, with hyphens."""
        return self.draw.__name__.replace("_", "-")


FIGURES = {
    entry.name: entry
    for entry in (
        Entry(signals.pulse_smoothing, "a pulse averaged by a sliding box"),
        Entry(sliding.binary_image, "a 3x3 kernel slides over a 5x5 picture of zeros and ones"),
        Entry(detection.region_proposals, "regions that may hold an object, and how many objects they cover"),
        Entry(detection.single_shot_grid, "cells and default boxes that answer for objects"),
    )
}
