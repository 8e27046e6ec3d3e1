"""The ten shapes of the generated scenes, and the blobs that are none of them, as signed-distance tables.

An outline is a list of closed contours; a point is inside when it lies within an odd number of them. Every
outline is centred on its smallest enclosing circle and scaled to a diameter (largest extent in any direction)
of one, so "an object of 40 px" has its two farthest points 40 px apart however it is turned.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from neocog.ops.rng import generator
from neocog.types import SampleKey

CLASSES = ("disc", "square", "triangle", "star", "cross", "ring", "crescent", "heart", "arrow", "hourglass")

CELLS = 96  # samples along one side of a table
REACH = 0.75  # a table covers [-REACH, REACH] on both axes, in diameters
BLOBS = 16  # outlines of distractors in each split

Contour = NDArray[np.float64]  # (P, 2) x y
Table = NDArray[np.float32]  # (CELLS, CELLS), rows are y; negative inside


def _polar(radii: NDArray[np.float64] | float, count: int, start: float = -np.pi / 2) -> Contour:
    """`count` points at equal angles, at the given radii."""
    angles = start + np.arange(count) * (2 * np.pi / count)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _arc(centre: float, radius: float, first: float, last: float) -> Contour:
    """40 points of a circle about (centre, 0), from one angle to another."""
    angles = np.linspace(first, last, 40)
    return np.stack([centre + radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def _crescent() -> Contour:
    """The unit disc less a disc of radius 0.82 moved by 0.5: two arcs between the points they share."""
    shift, inner = 0.5, 0.82
    x = (1 - inner**2 + shift**2) / (2 * shift)
    y = np.sqrt(1 - x**2)
    outer_end, inner_end = np.arctan2(y, x), np.arctan2(y, x - shift)
    return np.concatenate(
        [
            _arc(0, 1, outer_end, 2 * np.pi - outer_end),
            _arc(shift, inner, 2 * np.pi - inner_end, inner_end)[1:-1],
        ]
    )


def _heart() -> Contour:
    t = np.arange(72) * (2 * np.pi / 72)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -y], axis=1)


def outlines() -> tuple[list[Contour], ...]:
    """The contours of each class, in the order of `CLASSES`, before centring and scaling."""
    a = 0.36  # half the width of the cross's arms
    cross = [
        (a, 1),
        (a, a),
        (1, a),
        (1, -a),
        (a, -a),
        (a, -1),
        (-a, -1),
        (-a, -a),
        (-1, -a),
        (-1, a),
        (-a, a),
        (-a, 1),
    ]
    arrow = [(0, -1), (0.72, -0.1), (0.27, -0.1), (0.27, 1), (-0.27, 1), (-0.27, -0.1), (-0.72, -0.1)]
    hourglass = [(-0.7, -1), (0.7, -1), (0.1, 0), (0.7, 1), (-0.7, 1), (-0.1, 0)]
    return (
        [_polar(1.0, 64)],
        [_polar(1.0, 4, -np.pi / 4)],
        [_polar(1.0, 3)],
        [_polar(np.tile([1.0, 0.42], 5), 10)],
        [np.array(cross, dtype=np.float64)],
        [_polar(1.0, 64), _polar(0.56, 48)],
        [_crescent()],
        [_heart()],
        [np.array(arrow, dtype=np.float64)],
        [np.array(hourglass, dtype=np.float64)],
    )


def _blob(number: int, split: str) -> list[Contour]:
    """An irregular outline: a circle whose radius swings by five unequal waves."""
    rng = generator(SampleKey(0, 0, number), f"blob/{split}")
    angles = np.arange(80) * (2 * np.pi / 80)
    waves = np.arange(2, 7)
    heights = (0.25 + 0.5 * rng.random(5)) * np.array([0.30, 0.30, 0.26, 0.2, 0.14])
    phases = 2 * np.pi * rng.random(5)
    radii = 1 + (heights[:, None] * np.cos(waves[:, None] * angles + phases[:, None])).sum(axis=0)
    return [_polar(np.maximum(radii, 0.15), 80)]


def normalised(contours: list[Contour]) -> list[Contour]:
    """Contours about the centre of their smallest enclosing circle, with a diameter of one.

    The centre by Badoiu and Clarkson 2003: step after step a shorter way towards the farthest point.
    """
    points = np.concatenate(contours)
    centre = points.mean(axis=0)
    for step in range(1, 1000):
        farthest = points[((points - centre) ** 2).sum(axis=1).argmax()]
        centre = centre + (farthest - centre) / (step + 1)
    diameter = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2).max())
    return [(contour - centre) / diameter for contour in contours]


def distance_table(contours: list[Contour]) -> Table:
    """Signed distance to an outline, in diameters, at the centres of CELLS x CELLS cells."""
    axis = ((np.arange(CELLS) + 0.5) / CELLS * 2 - 1) * REACH
    x, y = axis[None, :], axis[:, None]
    nearest = np.full((CELLS, CELLS), np.inf)
    inside = np.zeros((CELLS, CELLS), dtype=bool)
    for contour in contours:
        for (ax, ay), (bx, by) in zip(contour, np.roll(contour, -1, axis=0), strict=True):
            dx, dy = bx - ax, by - ay
            along = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0, 1)
            nearest = np.minimum(nearest, (x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2)
            if ay != by:
                inside ^= ((ay > y) != (by > y)) & (x < ax + (y - ay) * dx / dy)
    signed: Table = np.where(inside, -np.sqrt(nearest), np.sqrt(nearest)).astype(np.float32)
    return signed


@lru_cache(maxsize=3)
def tables(split: str) -> NDArray[np.float32]:
    """Tables (10 + BLOBS, CELLS, CELLS): the ten classes, then the distractors kept for this split."""
    every = [*outlines(), *(_blob(number, split) for number in range(BLOBS))]
    stacked = np.stack([distance_table(normalised(contours)) for contours in every])
    stacked.flags.writeable = False
    return stacked
