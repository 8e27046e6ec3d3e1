"""Recall of proposals by loops over objects, boxes and thresholds."""

from __future__ import annotations

from collections.abc import Sequence

Box = Sequence[float]


def overlap(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def slow_best(objects: Sequence[Box], found: Sequence[Box], count: int) -> list[float]:
    """The best overlap of each object with the first `count` boxes."""
    return [max([overlap(box, other) for other in found[:count]], default=0.0) for box in objects]


def slow_recall(best: Sequence[float], threshold: float) -> float:
    return sum(value >= threshold for value in best) / len(best)


def slow_average_recall(best: Sequence[float], steps: int = 200_000) -> float:
    """Twice the integral of recall over overlaps from 0.5 to 1, by the middles of `steps` strips."""
    ascending = sorted(best)
    total, below = 0, 0
    for step in range(steps):
        at = 0.5 + 0.5 * (step + 0.5) / steps
        while below < len(ascending) and ascending[below] < at:
            below += 1
        total += len(ascending) - below
    return total / steps / len(ascending)
