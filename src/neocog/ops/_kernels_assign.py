"""Numba kernel of assignment. Imported on first use: importing Numba takes a good part of a second."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@njit(cache=True, nogil=True)
def assign(
    boxes: Floats,
    objects: Floats,
    usable: NDArray[np.bool_],
    positive: float,
    negative: float,
    force_best: bool,
) -> NDArray[np.int64]:
    """The object (N, 4) of each box (A, 4), or -1 (background), or -2 (neither, or not usable)."""
    iou = _overlaps(boxes, objects, usable)
    count = len(boxes)
    best = np.zeros(count, iou.dtype)
    result = np.full(count, -1, np.int64)
    for n in range(len(objects)):
        for a in range(count):
            if iou[n, a] > best[a]:
                best[a] = iou[n, a]
                result[a] = n
    for a in range(count):
        if not usable[a]:
            result[a] = -2
        elif best[a] < positive:
            result[a] = -1 if best[a] < negative else -2
    if force_best:
        for n in range(len(objects)):
            peak = iou[n].max()
            for a in range(count):
                if peak > 0 and iou[n, a] == peak:
                    result[a] = _best(iou, a)
    return result


@njit(cache=True, nogil=True)
def _overlaps(boxes: Floats, objects: Floats, usable: NDArray[np.bool_]) -> Floats:
    """IoU (N, A) of objects (N, 4) with boxes (A, 4); 0 for boxes that are not usable."""
    count = len(boxes)
    result = np.zeros((len(objects), count), boxes.dtype)
    zero = boxes.dtype.type(0)
    for n in range(len(objects)):
        x0, y0, x1, y1 = objects[n, 0], objects[n, 1], objects[n, 2], objects[n, 3]
        own = (x1 - x0) * (y1 - y0)
        for a in range(count):
            w = min(x1, boxes[a, 2]) - max(x0, boxes[a, 0])
            h = min(y1, boxes[a, 3]) - max(y0, boxes[a, 1])
            if usable[a] and w > zero and h > zero:
                shared = w * h
                area = (boxes[a, 2] - boxes[a, 0]) * (boxes[a, 3] - boxes[a, 1])
                result[n, a] = shared / (own + area - shared)
    return result


@njit(cache=True, nogil=True)
def _best(iou: Floats, a: int) -> int:
    """The object that box `a` overlaps most; the first of equals."""
    best = 0
    for n in range(1, len(iou)):
        if iou[n, a] > iou[best, a]:
            best = n
    return best
