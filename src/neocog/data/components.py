"""Objects out of a mask: the connected parts of each class."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from neocog.types import IGNORED_PIXEL, Objects

LEAST_SIDE = 8
"""Pixels: a part that is narrower or lower is too small to be an object."""

MOST_PARTS = 20_000
"""Of one class in one mask; the largest are kept."""


def components(mask: NDArray[np.uint8], background: int | None) -> Objects:
    """The boxes of connected parts (by edges, not corners) of a mask (H, W), each class apart; labels are the
    mask's classes. `background` has no objects."""
    from scipy import ndimage

    boxes, labels = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.int64)]
    for label in np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist():
        if label in (background, IGNORED_PIXEL):
            continue
        parts, _ = ndimage.label(mask == label)
        found = _boxes(parts)
        boxes.append(found)
        labels.append(np.full(len(found), label, np.int64))
    every = np.concatenate(boxes)
    return Objects(
        torch.from_numpy(every),
        torch.from_numpy(np.concatenate(labels)),
        torch.zeros(len(every), dtype=torch.bool),
    )


def _boxes(parts: np.ndarray) -> np.ndarray:
    """(N, 4) float32 boxes of the numbered parts that are large enough."""
    from scipy import ndimage

    counts = np.bincount(parts.ravel())
    counts[0] = 0
    kept = np.flatnonzero(counts >= 2 * LEAST_SIDE - 1)  # fewer pixels cannot reach so far both ways
    if len(kept) > MOST_PARTS:
        kept = np.sort(kept[np.argsort(-counts[kept], kind="stable")[:MOST_PARTS]])
    renumbered = np.zeros(len(counts), np.int32)
    renumbered[kept] = np.arange(1, len(kept) + 1)
    slices = ndimage.find_objects(renumbered[parts])
    corners = [(x.start, y.start, x.stop, y.stop) for y, x in slices]
    boxes = np.array(corners, np.float32).reshape(-1, 4)
    large = ((boxes[:, 2:] - boxes[:, :2]) >= LEAST_SIDE).all(axis=1)
    return boxes[large]
