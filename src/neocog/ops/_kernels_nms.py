"""Numba kernel of non-maximum suppression, compiled once and kept on disk; imported on first use.

The survivors so far lie in a grid, each in the cell of its centre, and a candidate looks only into the cells
where a box that drops it can have its centre. If two intervals of lengths w and v have an IoU above t, their
centres lie closer than (w + v) (1 - t) / (2 (1 + t)), and v < w / t; boxes obey both along each axis. The
grid wraps round like a torus: its size follows the number of boxes, never their coordinates, and boxes far
apart in one cell only cost a comparison.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Real = float | np.floating[Any]
Reals = NDArray[np.floating[Any]]
FARTHEST = 2.0**30  # cells from the origin; beyond, coordinates share a cell
SLACK = 1e-5  # more than an IoU can err by rounding in float32


@njit(cache=True, nogil=True, error_model="numpy")
def suppress(
    boxes: Reals, members: NDArray[np.int64], starts: NDArray[np.int64], threshold: Real
) -> NDArray[np.bool_]:
    """Which boxes (N, 4) survive. Group g is members[starts[g]:starts[g + 1]], indices, best first."""
    longest = 0
    for group in range(len(starts) - 1):
        longest = max(longest, starts[group + 1] - starts[group])
    keep = np.zeros(len(boxes), np.bool_)
    kept = np.empty((longest, 5), boxes.dtype)  # x0 y0 x1 y1 area
    follow = np.empty(longest, np.int32)  # the next survivor in the same cell
    heads = np.empty(_side(longest) ** 2, np.int32)
    for group in range(len(starts) - 1):
        mine = members[starts[group] : starts[group + 1]]
        _suppress_group(boxes, mine, threshold, keep, kept, follow, heads)
    return keep


@njit(cache=True, nogil=True, error_model="numpy")
def _suppress_group(
    boxes: Reals,
    members: NDArray[np.int64],
    threshold: Real,
    keep: NDArray[np.bool_],
    kept: Reals,
    follow: NDArray[np.int32],
    heads: NDArray[np.int32],
) -> None:
    side = _side(len(members))
    heads[: side * side] = -1
    per_x, per_y, widest, tallest = _scale(boxes, members)
    survivors = 0
    for index in members:
        x0, y0, x1, y1 = boxes[index]
        width, height = float(x1) - float(x0), float(y1) - float(y0)
        if not (0 < width < np.inf and 0 < height < np.inf):
            keep[index] = True  # its IoU with anything is 0, or not a number
            continue
        box = (x0, y0, x1, y1, (x1 - x0) * (y1 - y0))
        x, y = (float(x0) + float(x1)) * 0.5 * per_x, (float(y0) + float(y1)) * 0.5 * per_y
        home = _cell(y, side) * side + _cell(x, side)
        # Most of what is dropped is dropped by a neighbour in its own cell.
        if _dropped(box, threshold, kept, follow, heads[home]):
            continue
        reach_x, reach_y = (
            _reach(width, widest, threshold) * per_x,
            _reach(height, tallest, threshold) * per_y,
        )
        if _dropped_nearby(box, threshold, kept, follow, heads, side, (x, y, reach_x, reach_y)):
            continue
        keep[index] = True
        for k in range(5):
            kept[survivors, k] = box[k]
        follow[survivors], heads[home] = heads[home], survivors
        survivors += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _side(count: int) -> int:
    """Cells along a side of the grid: a power of two, two cells a box or more."""
    side = 1
    while side * side < 2 * count:
        side *= 2
    return side


@njit(cache=True, nogil=True, error_model="numpy")
def _scale(boxes: Reals, members: NDArray[np.int64]) -> tuple[float, float, float, float]:
    """Cells per pixel each way, half a mean box a cell (measured best), and the widest and tallest box."""
    width = height = widest = tallest = 0.0
    for index in members:
        w, h = (
            float(boxes[index, 2]) - float(boxes[index, 0]),
            float(boxes[index, 3]) - float(boxes[index, 1]),
        )
        if 0 < w < np.inf and 0 < h < np.inf:
            width, height, widest, tallest = width + w, height + h, max(widest, w), max(tallest, h)
    twice = 2.0 * len(members)
    return twice / max(width, 1e-30), twice / max(height, 1e-30), widest, tallest


@njit(cache=True, nogil=True, error_model="numpy")
def _reach(length: float, longest: float, threshold: Real) -> float:
    """How far the centre of a box lies at most from that of a box it overlaps by more than the threshold."""
    t = max(float(threshold) - SLACK, 0.0)
    return (length + min(length / t, longest)) * (1 - t) / (2 * (1 + t))


@njit(cache=True, nogil=True, error_model="numpy")
def _floor(at: float) -> int:
    return math.floor(min(max(at, -FARTHEST), FARTHEST))


@njit(cache=True, nogil=True, error_model="numpy")
def _cell(at: float, side: int) -> int:
    return _floor(at) & (side - 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _dropped_nearby(
    box: tuple[float, ...],
    threshold: Real,
    kept: Reals,
    follow: NDArray[np.int32],
    heads: NDArray[np.int32],
    side: int,
    window: tuple[float, float, float, float],
) -> bool:
    x, y, reach_x, reach_y = window
    left, top = _floor(x - reach_x), _floor(y - reach_y)
    right, bottom = min(_floor(x + reach_x), left + side - 1), min(_floor(y + reach_y), top + side - 1)
    for row in range(top, bottom + 1):
        for col in range(left, right + 1):
            head = heads[(row & (side - 1)) * side + (col & (side - 1))]
            if _dropped(box, threshold, kept, follow, head):
                return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def _dropped(
    box: tuple[float, ...], threshold: Real, kept: Reals, follow: NDArray[np.int32], head: int
) -> bool:
    """Whether a survivor of one cell overlaps the box by more than the threshold."""
    zero = kept.dtype.type(0)  # a plain 0.0 would make all of this float64
    while head >= 0:
        width = max(min(box[2], kept[head, 2]) - max(box[0], kept[head, 0]), zero)
        height = max(min(box[3], kept[head, 3]) - max(box[1], kept[head, 1]), zero)
        inter = width * height
        if inter / (box[4] + kept[head, 4] - inter) > threshold:
            return True
        head = follow[head]
    return False
