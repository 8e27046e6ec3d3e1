"""Numba kernels of position-sensitive pooling, compiled once and kept on disk; imported on first use.

Maps are (B, H, W, ph pw C), channels of a bin side by side, and regions (R, ph, pw, C). A bin reads its own C
channels only, so the outer loops run over bins: the part of the maps that one bin reads stays in the cache
while all regions pass. Neither `fastmath` nor threads: results are the same bits every time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Reals = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


@njit(cache=True, nogil=True)
def gather(maps: Reals, batch: Ints, rows: Reals, cols: Reals, out: Reals) -> None:
    """Fill out (R, ph, pw, C) with sums of cells by the weights rows (R, ph, H) times cols (R, pw, W).

    Four cells of a row are added at a time, which saves loads and stores of the sum; at the end of a row
    the last cell counts again with weight 0.
    """
    regions, high, wide, channels = out.shape
    tall, broad = _spans(rows), _spans(cols)
    for i in range(high):
        for j in range(wide):
            low = (i * wide + j) * channels
            for r in range(regions):
                total = out[r, i, j]
                total[:] = 0
                last = broad[r, j, 1] - 1
                for y in range(tall[r, i, 0], tall[r, i, 1]):
                    row, weight = maps[batch[r], y], rows[r, i, y]
                    for x in range(broad[r, j, 0], last + 1, 4):
                        x1, x2, x3 = min(x + 1, last), min(x + 2, last), min(x + 3, last)
                        w0 = weight * cols[r, j, x]
                        w1 = weight * cols[r, j, x1] if x + 1 <= last else 0 * weight
                        w2 = weight * cols[r, j, x2] if x + 2 <= last else 0 * weight
                        w3 = weight * cols[r, j, x3] if x + 3 <= last else 0 * weight
                        c0, c1 = row[x, low : low + channels], row[x1, low : low + channels]
                        c2, c3 = row[x2, low : low + channels], row[x3, low : low + channels]
                        for c in range(channels):
                            total[c] += w0 * c0[c] + w1 * c1[c] + w2 * c2[c] + w3 * c3[c]


@njit(cache=True, nogil=True)
def scatter(grad: Reals, batch: Ints, rows: Reals, cols: Reals, out: Reals) -> None:
    """Add to out (B, H, W, ph pw C) what `gather`'s gradient (R, ph, pw, C) says of its maps."""
    regions, high, wide, channels = grad.shape
    tall, broad = _spans(rows), _spans(cols)
    for i in range(high):
        for j in range(wide):
            low = (i * wide + j) * channels
            for r in range(regions):
                slope = grad[r, i, j]
                for y in range(tall[r, i, 0], tall[r, i, 1]):
                    for x in range(broad[r, j, 0], broad[r, j, 1]):
                        cell = out[batch[r], y, x, low : low + channels]
                        weight = rows[r, i, y] * cols[r, j, x]
                        for c in range(channels):
                            cell[c] += weight * slope[c]


@njit(cache=True, nogil=True)
def _spans(weights: Reals) -> Ints:
    """First cell with a weight, and the one after the last, of weights (R, bins, cells): (R, bins, 2)."""
    regions, bins, cells = weights.shape
    spans = np.zeros((regions, bins, 2), np.int64)
    for r in range(regions):
        for k in range(bins):
            low, high = 0, cells
            while low < high and weights[r, k, low] == 0:
                low += 1
            while high > low and weights[r, k, high - 1] == 0:
                high -= 1
            spans[r, k, 0], spans[r, k, 1] = low, high
    return spans
