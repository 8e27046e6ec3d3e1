"""Numba kernels of position-sensitive pooling, compiled once and kept on disk; imported on first use.

Maps are (B, H, W, ph pw C), the channels of a bin side by side, and regions (R, ph, pw, C), so every inner
loop runs over channels that lie side by side. Neither `fastmath` nor threads: the same bits every time.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from neocog.ops._kernels_roi import room_for_axis, sample_axis
from neocog.ops.roi_input import AVERAGE, SHORTEST

Reals = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
Axis = tuple[Ints, Ints, Reals]  # see sample_axis


@njit(cache=True, nogil=True)
def gather(maps: Reals, boxes: Reals, batch: Ints, samples: int, out: Reals) -> None:
    """Fill out (R, ph, pw, C) with the weighted sums of each bin's own maps under boxes (R, 4), in cells.

    Eight channels at a time are written out, so that they stay in one vector register until the bin is done;
    the last eight may overlap those before. A function of its own for them costs half the speed.
    """
    regions, high, wide, channels = out.shape
    zero = out.dtype.type(0)
    rows = room_for_axis(high, samples, maps.shape[1], boxes)
    cols = room_for_axis(wide, samples, maps.shape[2], boxes)
    (top, ys, shares), (left, xs, parts) = rows, cols
    for r in range(regions):
        _weigh_axis(boxes[r, 1], boxes[r, 3], samples, maps.shape[1], rows)
        _weigh_axis(boxes[r, 0], boxes[r, 2], samples, maps.shape[2], cols)
        image = maps[batch[r]]
        for i in range(high):
            for j in range(wide):
                low, total = (i * wide + j) * channels, out[r, i, j]
                if channels < 8:
                    total[:] = zero
                    for p in range(top[i], top[i + 1]):
                        for q in range(left[j], left[j + 1]):
                            weight, cell = shares[p] * parts[q], image[ys[p], xs[q], low : low + channels]
                            for c in range(channels):
                                total[c] += weight * cell[c]
                    continue
                for block in range(0, channels, 8):
                    start = min(block, channels - 8)
                    t0 = t1 = t2 = t3 = t4 = t5 = t6 = t7 = zero
                    for p in range(top[i], top[i + 1]):
                        for q in range(left[j], left[j + 1]):
                            weight = shares[p] * parts[q]
                            cell = image[ys[p], xs[q], low + start : low + start + 8]
                            t0, t1 = t0 + weight * cell[0], t1 + weight * cell[1]
                            t2, t3 = t2 + weight * cell[2], t3 + weight * cell[3]
                            t4, t5 = t4 + weight * cell[4], t5 + weight * cell[5]
                            t6, t7 = t6 + weight * cell[6], t7 + weight * cell[7]
                    eight = total[start : start + 8]
                    eight[0], eight[1], eight[2], eight[3] = t0, t1, t2, t3
                    eight[4], eight[5], eight[6], eight[7] = t4, t5, t6, t7


@njit(cache=True, nogil=True)
def scatter(grad: Reals, boxes: Reals, batch: Ints, samples: int, out: Reals) -> None:
    """Add to out (B, H, W, ph pw C) what `gather`'s gradient (R, ph, pw, C) says of its maps."""
    regions, high, wide, channels = grad.shape
    rows = room_for_axis(high, samples, out.shape[1], boxes)
    cols = room_for_axis(wide, samples, out.shape[2], boxes)
    (top, ys, shares), (left, xs, parts) = rows, cols
    for r in range(regions):
        _weigh_axis(boxes[r, 1], boxes[r, 3], samples, out.shape[1], rows)
        _weigh_axis(boxes[r, 0], boxes[r, 2], samples, out.shape[2], cols)
        image = out[batch[r]]
        for i in range(high):
            for j in range(wide):
                low, slope = (i * wide + j) * channels, grad[r, i, j]
                for p in range(top[i], top[i + 1]):
                    for q in range(left[j], left[j + 1]):
                        weight, cell = shares[p] * parts[q], image[ys[p], xs[q], low : low + channels]
                        for c in range(channels):
                            cell[c] += weight * slope[c]


@njit(cache=True, nogil=True)
def _weigh_axis(start: Any, end: Any, samples: int, length: int, axis: Axis) -> None:
    """Cells and weights of each bin along one axis: bilinear samples, or for AVERAGE what the bin touches."""
    if samples != AVERAGE:
        sample_axis(start, end, samples, length, axis)
        return
    first, cells, weights = axis
    real = weights.dtype.type  # a plain number would make all of this float64
    bins = len(first) - 1
    size = max(end - start, real(SHORTEST)) / real(bins)
    n = 0
    for k in range(bins):
        low = min(max(math.floor(start + real(k) * size), 0), length)
        high = min(max(math.ceil(start + real(k + 1) * size), 0), length)
        first[k] = n
        for cell in range(low, high):
            cells[n], weights[n] = cell, real(1) / real(high - low)
            n += 1
    first[bins] = n
