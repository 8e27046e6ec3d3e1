"""Which box answers for which object, and which of them a step learns from.

Labels of candidates: an index >= 0 is the object answered for, NEGATIVE is background, UNUSED is neither.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neocog.ops.boxes import coverage, iou
from neocog.types import Objects

NEGATIVE = -1
UNUSED = -2


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
    real = torch.nonzero(~objects.ignore).squeeze(1)
    if len(boxes) == 0 or len(real) == 0:
        result = torch.full((len(boxes),), NEGATIVE, dtype=torch.int64, device=boxes.device)
    else:
        by_device = _assign_numba if boxes.device.type == "cpu" else _assign_torch
        result = by_device(boxes, objects.boxes[real], positive, negative, force_best, usable)
        result = torch.where(result >= 0, real[result.clamp(min=0)], result)
    if objects.ignore.any():
        hidden = coverage(boxes, objects.boxes[objects.ignore]).amax(dim=1) >= 0.5
        result[hidden & (result == NEGATIVE)] = UNUSED
    if usable is not None:
        result[~usable] = UNUSED
    return result


def _assign_numba(
    boxes: Tensor, objects: Tensor, positive: float, negative: float, force_best: bool, usable: Tensor | None
) -> Tensor:
    from neocog.ops import _kernels_assign

    mask = np.ones(len(boxes), dtype=bool) if usable is None else usable.numpy()
    overlaps = _kernels_assign.overlaps(boxes.contiguous().numpy(), objects.contiguous().numpy(), mask)
    return torch.from_numpy(_kernels_assign.assign(overlaps, positive, negative, force_best))


def _assign_torch(
    boxes: Tensor, objects: Tensor, positive: float, negative: float, force_best: bool, usable: Tensor | None
) -> Tensor:
    """The same in plain torch, for any device."""
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
    return torch.where(chosen, which, result)


def sample(
    assigned: Tensor, count: int, positive_share: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Indices of at most `count` boxes to learn from: (positives, negatives), each in ascending order.

    At most `positive_share` of `count` are positives, drawn without replacement; negatives fill up.
    """

    def draw(wanted: Tensor, most: int) -> Tensor:
        candidates = torch.nonzero(wanted).squeeze(1)
        if len(candidates) <= most:
            return candidates
        lots = np.sort(rng.choice(len(candidates), most, replace=False, shuffle=False))
        return candidates[torch.from_numpy(lots).to(candidates.device)]

    positives = draw(assigned >= 0, int(count * positive_share))
    negatives = draw(assigned == NEGATIVE, count - len(positives))
    return positives, negatives
