"""Which box answers for which object, and which of them a step learns from.

Labels of candidates: an index >= 0 is the object answered for, NEGATIVE is background, UNUSED is neither.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neocog.ops.boxes import coverage, iou
from neocog.types import Objects

NEGATIVE = -1
UNUSED = -2

LEAST_OVERLAP = 1e-6
"""IoU above which an object takes a box in `match`: the authors'."""


def assign(
    boxes: Tensor,
    objects: Objects,
    *,
    positive: float,
    negative: float,
    force_best: bool = False,
    usable: Tensor | None = None,
) -> Tensor:
    """Give each box (A, 4) an object, background, or nothing: (A,) int64.

    IoU >= `positive` with its best object: that object. Below `negative`: background. Between: UNUSED.
    `force_best` adds every box that ties the best IoU of some object (RPN, step 3 in the authors'
    `anchor_target_layer.py`), except where that best IoU is 0. Boxes not `usable` (A,) bool are UNUSED and do
    not count as an object's best. Ignored objects (difficult, crowd) are answered for by nobody, and a
    background box of which they cover half or more is UNUSED.
    """
    by_device = _assign_numba if boxes.device.type == "cpu" else _assign_torch
    if not objects.ignore.any():
        return by_device(boxes, objects.boxes, positive, negative, force_best, usable)
    real = torch.nonzero(~objects.ignore).squeeze(1)
    result = by_device(boxes, objects.boxes[real], positive, negative, force_best, usable)
    if len(real):
        result = torch.where(result >= 0, real[result.clamp(min=0)], result)
    hidden = coverage(boxes, objects.boxes[objects.ignore]).amax(dim=1) >= 0.5
    result[hidden & (result == NEGATIVE)] = UNUSED
    return result


def _assign_numba(
    boxes: Tensor, objects: Tensor, positive: float, negative: float, force_best: bool, usable: Tensor | None
) -> Tensor:
    from neocog.ops import _kernels_assign

    mask = np.ones(len(boxes), dtype=bool) if usable is None else usable.numpy()
    arrays = boxes.contiguous().numpy(), objects.contiguous().numpy(), mask
    return torch.from_numpy(_kernels_assign.assign(*arrays, positive, negative, force_best))


def _assign_torch(
    boxes: Tensor, objects: Tensor, positive: float, negative: float, force_best: bool, usable: Tensor | None
) -> Tensor:
    """The same in plain torch, for any device."""
    if len(boxes) == 0 or len(objects) == 0:
        result = torch.full((len(boxes),), NEGATIVE, dtype=torch.int64, device=boxes.device)
        return result if usable is None else torch.where(usable, result, UNUSED)
    overlaps = iou(boxes, objects)
    if usable is not None:
        overlaps = torch.where(usable[:, None], overlaps, 0.0)
    best, which = overlaps.max(dim=1)
    result = torch.full_like(which, UNUSED)
    result[best < negative] = NEGATIVE
    chosen = best >= positive
    if force_best:
        peak = overlaps.amax(dim=0)
        chosen |= ((overlaps == peak) & (peak > 0)).any(dim=1)
    result = torch.where(chosen, which, result)
    return result if usable is None else torch.where(usable, result, UNUSED)


def sample(
    assigned: Tensor, count: int, positive_share: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Indices of at most `count` boxes to learn from: (positives, negatives), each in ascending order.

    At most `positive_share` of `count` are positives, drawn without replacement; negatives fill up.
    """

    labels = assigned.cpu().numpy()

    def draw(wanted: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
        candidates = np.flatnonzero(wanted)
        if len(candidates) <= most:
            return candidates
        return candidates[np.sort(rng.choice(len(candidates), most, replace=False, shuffle=False))]

    positives = draw(labels >= 0, int(count * positive_share))
    negatives = draw(labels == NEGATIVE, count - len(positives))
    return torch.from_numpy(positives).to(assigned.device), torch.from_numpy(negatives).to(assigned.device)


def match(boxes: Tensor, objects: Objects, *, positive: float, usable: Tensor | None = None) -> Tensor:
    """SSD's matching of boxes (A, 4): an object, background or nothing (A,) int64, as `assign` says it.

    Liu et al. 2016, section 2.2, and the authors' `bbox_util.cpp`: first each object takes one box of its
    own, the pair of highest IoU first, whatever the IoU above 0; then every other box with IoU >= `positive`
    takes its best object, and what is below is background. Of equal pairs, the object and then the box that
    comes first wins. Boxes not `usable` (A,) bool and ignored objects are treated as in `assign`.
    """
    result = assign(boxes, objects, positive=positive, negative=positive, usable=usable)
    real = torch.nonzero(~objects.ignore).squeeze(1)
    if len(real) == 0 or len(boxes) == 0:
        return result
    overlaps = iou(objects.boxes[real], boxes)
    if usable is not None:
        overlaps = torch.where(usable, overlaps, 0.0)
    chosen = torch.from_numpy(_one_each(overlaps.cpu().numpy())).to(result.device)
    found = chosen >= 0
    result[chosen[found]] = real[found]
    return result


def _one_each(overlaps: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each row of overlaps (N, A), a column of its own, or -1: the highest entry left, over and over.

    A row's best entry is only looked for again where another row has taken its column.
    """
    columns = overlaps.argmax(axis=1)
    best = overlaps[np.arange(len(overlaps)), columns]
    chosen = np.full(len(overlaps), -1)
    taken: set[int] = set()
    while (best > LEAST_OVERLAP).any():
        row = int(best.argmax())
        column = int(columns[row])
        if column in taken:
            left = overlaps[row].copy()
            left[list(taken)] = 0
            columns[row] = left.argmax()
            best[row] = left[columns[row]]
            continue
        chosen[row] = column
        taken.add(column)
        best[row] = 0
    return chosen
