"""Numba kernels of the segmentation metrics. Imported on first use: importing Numba takes a while."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Labels = NDArray[np.uint8]
Counts = NDArray[np.int64]

NONE = 255


@njit(cache=True, nogil=True)
def confusion(truth: Labels, labels: Labels, counts: Counts) -> bool:
    """Add the pixels of truth (H, W), row, called labels (H, W), column, to counts (K, K).

    Pixels whose truth is 255 are left out. False if another class is not in 0..K-1, in either map.
    """
    classes = len(counts)
    for y in range(truth.shape[0]):
        for x in range(truth.shape[1]):
            if labels[y, x] >= classes:
                return False
            if truth[y, x] != NONE:
                if truth[y, x] >= classes:
                    return False
                counts[truth[y, x], labels[y, x]] += 1
    return True


@njit(cache=True, nogil=True)
def boundaries(labels: Labels) -> Labels:
    """The labels (H, W) of pixels beside which, in a row or column, another class begins; 255 elsewhere."""
    height, width = labels.shape
    found = np.full((height, width), NONE, np.uint8)
    for y in range(height):
        for x in range(width):
            own = labels[y, x]
            if (
                (y > 0 and labels[y - 1, x] != own)
                or (y + 1 < height and labels[y + 1, x] != own)
                or (x > 0 and labels[y, x - 1] != own)
                or (x + 1 < width and labels[y, x + 1] != own)
            ):
                found[y, x] = own
    return found


@njit(cache=True, nogil=True)
def count_matches(points: Labels, others: Labels, offsets: NDArray[np.int64], counts: Counts) -> None:
    """Add to counts (K, 2), for each class, its pixels in points (H, W) and those of them that lie at one of
    the offsets (n, 2), nearest first, of a pixel of that class in others (H, W)."""
    height, width = points.shape
    for y in range(height):
        for x in range(width):
            own = points[y, x]
            if own != NONE:
                counts[own, 0] += 1
                for k in range(len(offsets)):
                    v, u = y + offsets[k, 0], x + offsets[k, 1]
                    if 0 <= v < height and 0 <= u < width and others[v, u] == own:
                        counts[own, 1] += 1
                        break
