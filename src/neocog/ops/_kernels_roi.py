"""Numba kernels of the region poolings, compiled once and kept on disk; imported on first use.

Maps are (B, H, W, C) and regions (R, ph, pw, C), so every inner loop runs over channels that lie side by
side and becomes vector instructions. Neither `fastmath` nor threads: results are the same bits every time.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from neocog.ops.roi_input import MOST_SAMPLES

Reals = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


@njit(cache=True, nogil=True)
def max_pool(features: Reals, batch: Ints, rows: Ints, cols: Ints, out: Reals) -> None:
    """Fill out (R, ph, pw, C) with maxima of features; rows (2, R, ph) and cols (2, R, pw): start, end."""
    lowest, zero = np.finfo(features.dtype).min, features.dtype.type(0)
    for r in range(out.shape[0]):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                best = out[r, i, j]
                empty = rows[0, r, i] >= rows[1, r, i] or cols[0, r, j] >= cols[1, r, j]
                best[:] = zero if empty else lowest
                below, right = rows[1, r, i] - 1, cols[1, r, j] - 1
                for y in range(rows[0, r, i], below + 1, 2):
                    for x in range(cols[0, r, j], right + 1, 2):
                        # Four cells at a time: fewer loads and stores. At an edge some cells count twice.
                        upper, lower = features[batch[r], y], features[batch[r], min(y + 1, below)]
                        c0, c1 = upper[x], upper[min(x + 1, right)]
                        c2, c3 = lower[x], lower[min(x + 1, right)]
                        for c in range(len(best)):
                            value = c0[c] if c0[c] > best[c] else best[c]
                            value = c1[c] if c1[c] > value else value
                            value = c2[c] if c2[c] > value else value
                            best[c] = c3[c] if c3[c] > value else value


@njit(cache=True, nogil=True)
def max_pool_winners(
    features: Reals, batch: Ints, rows: Ints, cols: Ints, out: Reals, winners: NDArray[np.int32]
) -> None:
    """`max_pool`, and in winners (R, ph, pw, C) the cell y * W + x of each maximum, or -1."""
    lowest, zero = np.finfo(features.dtype).min, features.dtype.type(0)
    for r in range(out.shape[0]):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                best, winner = out[r, i, j], winners[r, i, j]
                empty = rows[0, r, i] >= rows[1, r, i] or cols[0, r, j] >= cols[1, r, j]
                best[:] = zero if empty else lowest
                winner[:] = -1
                for y in range(rows[0, r, i], rows[1, r, i]):
                    for x in range(cols[0, r, j], cols[1, r, j]):
                        cell, index = features[batch[r], y, x], np.int32(y * features.shape[2] + x)
                        for c in range(len(best)):
                            higher = cell[c] > best[c]
                            best[c] = cell[c] if higher else best[c]
                            winner[c] = index if higher else winner[c]


@njit(cache=True, nogil=True)
def max_pool_backward(grad: Reals, batch: Ints, winners: NDArray[np.int32], out: Reals) -> None:
    """Add grad (R, ph, pw, C) to the winning cells of out (B, H * W, C)."""
    for r in range(grad.shape[0]):
        for i in range(grad.shape[1]):
            for j in range(grad.shape[2]):
                slope, winner = grad[r, i, j], winners[r, i, j]
                for c in range(len(slope)):
                    if winner[c] >= 0:
                        out[batch[r], winner[c], c] += slope[c]


@njit(cache=True, nogil=True)
def align(features: Reals, boxes: Reals, batch: Ints, rows: Ints, samples: int, out: Reals) -> None:
    """Fill these rows of out (R, ph, pw, C) with averages of bilinear samples under boxes (R, 4), in cells.

    Four cells are added at a time, which saves loads and stores of the sum; what is missing to a multiple
    of four is the last cell again with weight 0.
    """
    _, height, width, channels = features.shape
    flat = features.reshape(-1, channels)
    axis_y, axis_x = (
        room_for_axis(out.shape[1], samples, height, boxes),
        room_for_axis(out.shape[2], samples, width, boxes),
    )
    cells, weights = _scratch(height, width, samples, boxes)
    for r in rows:
        sample_axis(boxes[r, 1], boxes[r, 3], samples, height, axis_y)
        sample_axis(boxes[r, 0], boxes[r, 2], samples, width, axis_x)
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                total = out[r, i, j]
                total[:] = 0
                for k in range(0, _taps(axis_y, i, axis_x, j, batch[r] * height, width, cells, weights), 4):
                    c0, c1 = flat[cells[k]], flat[cells[k + 1]]
                    c2, c3 = flat[cells[k + 2]], flat[cells[k + 3]]
                    w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
                    for c in range(channels):
                        total[c] += w0 * c0[c] + w1 * c1[c] + w2 * c2[c] + w3 * c3[c]


@njit(cache=True, nogil=True)
def align_backward(grad: Reals, boxes: Reals, batch: Ints, rows: Ints, samples: int, out: Reals) -> None:
    """Add to out (B, H, W, C) what these rows of `align`'s gradient (R, ph, pw, C) say of its features."""
    _, height, width, channels = out.shape
    flat = out.reshape(-1, channels)
    axis_y, axis_x = (
        room_for_axis(grad.shape[1], samples, height, boxes),
        room_for_axis(grad.shape[2], samples, width, boxes),
    )
    cells, weights = _scratch(height, width, samples, boxes)
    for r in rows:
        sample_axis(boxes[r, 1], boxes[r, 3], samples, height, axis_y)
        sample_axis(boxes[r, 0], boxes[r, 2], samples, width, axis_x)
        for i in range(grad.shape[1]):
            for j in range(grad.shape[2]):
                slope = grad[r, i, j]
                for k in range(_taps(axis_y, i, axis_x, j, batch[r] * height, width, cells, weights)):
                    cell, weight = flat[cells[k]], weights[k]
                    for c in range(channels):
                        cell[c] += weight * slope[c]


@njit(cache=True, nogil=True)
def room_for_axis(bins: int, samples: int, length: int, like: Reals) -> tuple[Ints, Ints, Reals]:
    """Room for what `sample_axis` finds: an adaptive grid has two samples a cell at most, or one a bin."""
    room = 2 * (bins * max(samples, 1) + 2 * (length + 8))
    return np.empty(bins + 1, np.int64), np.empty(room, np.int64), np.empty(room, like.dtype)


@njit(cache=True, nogil=True)
def _scratch(height: int, width: int, samples: int, like: Reals) -> tuple[Ints, Reals]:
    """Room for the cells and weights of one bin, and for three more."""
    room = max(height, 2 * samples) * max(width, 2 * samples) + 3
    return np.empty(room, np.int64), np.empty(room, like.dtype)


@njit(cache=True, nogil=True)
def sample_axis(start: Any, end: Any, samples: int, length: int, axis: tuple[Ints, Ints, Reals]) -> None:
    """Bilinear sampling along one axis: bin i is the sum of cells first[i] to first[i + 1] by weight."""
    first, cells, weights = axis
    real = weights.dtype.type  # a plain number would make all of this float64
    zero, half, one = real(0), real(0.5), real(1)
    bins = len(first) - 1
    size = (end - start) / real(bins)
    grid = samples if samples > 0 else int(min(max(math.ceil(size), 0.0), MOST_SAMPLES))
    n = 0
    for i in range(bins):
        first[i] = n
        for k in range(grid):
            at = start + real(i) * size + (real(k) + half) * size / real(grid)
            if not -one <= at <= real(length):
                continue
            at = min(max(at, zero), real(length - 1))
            low = int(at)
            right = at - real(low)
            n = _add(low, (one - right) / real(grid), first[i], n, cells, weights)
            n = _add(low + 1, right / real(grid), first[i], n, cells, weights)
    first[bins] = n


@njit(cache=True, nogil=True)
def _add(cell: int, weight: Any, start: int, end: int, cells: Ints, weights: Reals) -> int:
    """Add a cell to the list of a bin, or its weight to one of the last two if the cell is there."""
    if weight == 0:
        return end
    for k in range(max(start, end - 2), end):
        if cells[k] == cell:
            weights[k] += weight
            return end
    cells[end], weights[end] = cell, weight
    return end + 1


@njit(cache=True, nogil=True)
def _taps(
    axis_y: tuple[Ints, Ints, Reals],
    i: int,
    axis_x: tuple[Ints, Ints, Reals],
    j: int,
    top: int,
    width: int,
    cells: Ints,
    weights: Reals,
) -> int:
    """Cells of bin (i, j), numbered over the batch, and their weights; filled up to a multiple of four."""
    n = 0
    for p in range(axis_y[0][i], axis_y[0][i + 1]):
        for q in range(axis_x[0][j], axis_x[0][j + 1]):
            cells[n], weights[n] = (top + axis_y[1][p]) * width + axis_x[1][q], axis_y[2][p] * axis_x[2][q]
            n += 1
    taps = n
    while n % 4:
        cells[n], weights[n] = cells[n - 1], 0
        n += 1
    return taps
