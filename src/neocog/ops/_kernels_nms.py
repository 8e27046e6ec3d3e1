"""Numba kernel of non-maximum suppression. Imported on first use: importing Numba takes a good part of a second."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def suppress(boxes: NDArray, starts: NDArray, threshold: float) -> NDArray:
    """Which boxes (N, 4) survive. Group g holds rows starts[g] to starts[g + 1], best first."""
    count = len(boxes)
    keep = np.zeros(count, np.bool_)
    kept = np.empty((count, 5), boxes.dtype)  # x0 y0 x1 y1 area of this group's survivors
    zero = boxes.dtype.type(0)
    for group in range(len(starts) - 1):
        n = 0
        for i in range(starts[group], starts[group + 1]):
            x0, y0, x1, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
            area = (x1 - x0) * (y1 - y0)
            alone = True
            for j in range(n):
                w = max(min(x1, kept[j, 2]) - max(x0, kept[j, 0]), zero)
                h = max(min(y1, kept[j, 3]) - max(y0, kept[j, 1]), zero)
                inter = w * h
                if inter > zero and inter / (area + kept[j, 4] - inter) > threshold:
                    alone = False
                    break
            if alone:
                keep[i] = True
                kept[n, 0], kept[n, 1], kept[n, 2], kept[n, 3], kept[n, 4] = x0, y0, x1, y1, area
                n += 1
    return keep
