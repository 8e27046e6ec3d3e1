"""Numba kernel of R-CNN's crops, compiled once and kept on disk; imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@njit(cache=True, nogil=True)
def warp(
    images: Floats, batch: NDArray[np.int64], rows: Floats, columns: Floats, fill: Floats, crops: Floats
) -> None:
    """Fill crops (R, side, side, C) from images (B, H, W, C) at rows and columns (R, side); -1: outside."""
    height, width, channels = images.shape[1], images.shape[2], images.shape[3]
    for r in range(crops.shape[0]):
        b = batch[r]
        for i in range(crops.shape[1]):
            y = rows[r, i]
            top = max(int(y), 0)
            bottom, down = min(top + 1, height - 1), y - np.float32(top)
            for j in range(crops.shape[2]):
                x = columns[r, j]
                left = max(int(x), 0)
                right, across = min(left + 1, width - 1), x - np.float32(left)
                outside = y < 0 or x < 0
                for c in range(channels):
                    near, far = images[b, top, left, c], images[b, bottom, left, c]
                    near += (images[b, top, right, c] - near) * across
                    far += (images[b, bottom, right, c] - far) * across
                    crops[r, i, j, c] = fill[c] if outside else near + (far - near) * down
