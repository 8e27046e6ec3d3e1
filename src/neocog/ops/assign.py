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
    result = torch.full((len(boxes),), NEGATIVE, dtype=torch.int64, device=boxes.device)
    real = torch.nonzero(~objects.ignore).squeeze(1)
    if len(real):
        overlaps = iou(boxes, objects.boxes[real])
        if usable is not None:
            overlaps = torch.where(usable[:, None], overlaps, 0.0)
        best, which = overlaps.max(dim=1)
        result[best >= negative] = UNUSED
        chosen = best >= positive
        if force_best:
            peak = overlaps.amax(dim=0)
            chosen |= ((overlaps == peak) & (peak > 0)).any(dim=1)
        result = torch.where(chosen, real[which], result)
    if objects.ignore.any():
        hidden = coverage(boxes, objects.boxes[objects.ignore]).amax(dim=1) >= 0.5
        result[hidden & (result == NEGATIVE)] = UNUSED
    if usable is not None:
        result[~usable] = UNUSED
    return result


def sample(assigned: Tensor, count: int, positive_share: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Indices of at most `count` boxes to learn from: (positives, negatives), each in ascending order.

    At most `positive_share` of `count` are positives, drawn without replacement; negatives fill up.
    """
    drawn = torch.from_numpy(rng.random(len(assigned), dtype=np.float32)).to(assigned.device)

    def draw(wanted: Tensor, most: int) -> Tensor:
        candidates = torch.nonzero(wanted).squeeze(1)
        if len(candidates) <= most:
            return candidates
        lots = drawn[candidates]
        return candidates[lots.topk(most, largest=False).indices].sort().values

    positives = draw(assigned >= 0, int(count * positive_share))
    negatives = draw(assigned == NEGATIVE, count - len(positives))
    return positives, negatives
