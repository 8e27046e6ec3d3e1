"""Greedy non-maximum suppression as the definition has it, in float32, box by box."""

from __future__ import annotations

import numpy as np


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two boxes (4,) in their own precision; 0 where it is not a number."""
    zero = a.dtype.type(0)
    width = max(min(a[2], b[2]) - max(a[0], b[0]), zero)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), zero)
    inter = width * height
    with np.errstate(all="ignore"):
        ratio = inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)
    return 0.0 if np.isnan(ratio) else float(ratio)


def slow_nms(boxes: np.ndarray, scores: np.ndarray, groups: np.ndarray, threshold: float) -> list[int]:
    """Indices kept, best first, equal scores in order of index."""
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        rivals = (k for k in kept if groups[k] == groups[i])
        if all(overlap(boxes[k], boxes[i]) <= threshold for k in rivals):
            kept.append(i)
    return kept
