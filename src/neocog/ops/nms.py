"""Greedy non-maximum suppression: keep the best box, drop what overlaps it, repeat.

IoU is that of continuous boxes (width = x1 - x0, no +1); a box is dropped when its IoU with a kept one is
*greater* than the threshold. A Numba kernel does the work, on the CPU: boxes that are elsewhere travel there
and back in less time than a GPU takes to decide what depends on what. A plain torch version gives the same.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neocog.ops.roi_input import is_traced


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices (n,) int64 of the boxes that survive, best first; of equal scores the lower index is better.

    boxes (N, 4) float x0 y0 x1 y1; scores (N,) float; iou_threshold in [0, 1]. A box without area, or with
    a coordinate that is not finite, neither drops nor is dropped. Raises ValueError for other shapes.
    """
    return batched_nms(boxes, scores, None, iou_threshold)


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor | None, iou_threshold: float) -> Tensor:
    """`nms` within each group (class, image, or both): boxes of different groups do not see each other.

    groups (N,) int64, any values (None: one group). Returns indices (n,) int64 over all groups, best first.
    """
    _check(boxes, scores, groups, iou_threshold)
    boxes, scores = boxes.detach(), scores.detach()
    if boxes.dtype != torch.float64:
        boxes = boxes.float()
    device = boxes.device
    boxes, scores = boxes.cpu(), scores.cpu()
    groups = None if groups is None else groups.cpu()
    from neocog.ops import _kernels_nms

    order = _best_first(scores)
    members, starts = _by_group(order, groups)
    keep = _kernels_nms.suppress(
        boxes.contiguous().numpy(), members, starts, _not_above(iou_threshold, boxes.dtype)
    )
    return torch.from_numpy(order[keep[order]]).to(device)


def nms_torch(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """`nms` in plain torch, for any device."""
    return batched_nms_torch(boxes, scores, None, iou_threshold)


def batched_nms_torch(
    boxes: Tensor, scores: Tensor, groups: Tensor | None, iou_threshold: float, block: int = 1024
) -> Tensor:
    """`batched_nms` in plain torch: `block` boxes at a time, best first, against all survivors so far.

    How many rounds it takes depends on the boxes, so it can run anywhere but not be traced.
    """
    order = scores.argsort(descending=True, stable=True)
    boxes = boxes[order]
    groups = torch.zeros_like(order) if groups is None else groups[order]
    kept = order[:0]
    for start in range(0, len(order), block):
        here = torch.arange(start, min(start + block, len(order)), device=order.device)
        rivals = _drops(boxes[kept], groups[kept], boxes[here], groups[here], iou_threshold)
        here = here[~rivals.any(0)]
        drops = _drops(boxes[here], groups[here], boxes[here], groups[here], iou_threshold).triu(1)
        # A box stays if no better box that stays drops it: this has one solution, and each round settles
        # at least the next undecided box, so a round without change has found it.
        stay = torch.ones_like(here, dtype=torch.bool)
        while not torch.equal(stay, after := ~(drops & stay[:, None]).any(0)):
            stay = after
        kept = torch.cat([kept, here[stay]])
    return order[kept]


def best_of_each(scores: Tensor, groups: Tensor, most: int) -> Tensor:
    """Indices of the `most` highest scores (N,) of each group (N,) int64, in ascending order.

    Of equal scores the lower index is better.
    """
    count = torch.bincount(groups)
    if len(groups) == 0 or int(count.max()) <= most:
        return torch.arange(len(scores), device=scores.device)
    if scores.device.type == "cpu" and not is_traced():
        members, starts = _by_group(_best_first(scores.detach()), groups)
        best = [members[start:end][:most] for start, end in itertools.pairwise(starts)]
        return torch.from_numpy(np.sort(np.concatenate(best)))
    order = scores.argsort(descending=True, stable=True)
    order = order[groups[order].argsort(stable=True)]
    start = (count.cumsum(0) - count)[groups[order]]
    rank = torch.arange(len(order), device=order.device) - start
    return order[rank < most].sort().values


def _drops(a: Tensor, a_groups: Tensor, b: Tensor, b_groups: Tensor, threshold: float) -> Tensor:
    """(N, M) bool: row box n overlaps column box m of its own group by more than the threshold."""
    a, b = a[:, None], b[None]
    overlap = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    inter = overlap[..., 0] * overlap[..., 1]
    area_a = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area_b = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    iou = inter / (area_a + area_b - inter)
    return (iou.double() > threshold) & (a_groups[:, None] == b_groups[None])


def _best_first(scores: Tensor) -> NDArray[np.int64]:
    """Indices by descending score, of equals the lower first, not-a-number before all (as torch sorts)."""
    if scores.dtype != torch.float32:
        best: NDArray[np.int64] = scores.argsort(descending=True, stable=True).numpy()
        return best
    # The bits of a float32 order like an integer up to the sign; with the index below them all keys differ,
    # so NumPy's vectorised sort will do, which is ten times faster than a stable one.
    values = scores.numpy() + np.float32(0)  # -0 becomes 0
    bits = values.view(np.uint32)
    keys = np.where(bits >> 31, bits, ~bits & 0x7FFFFFFF)
    keys[np.isnan(values)] = 0
    keyed = keys.astype(np.uint64) << 32 | np.arange(len(keys), dtype=np.uint64)
    keyed.sort()
    return (keyed & 0xFFFFFFFF).astype(np.int64)


def _by_group(order: NDArray[np.int64], groups: Tensor | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order, taken apart by group, and where each group starts in it (one more entry: the end)."""
    if groups is None or len(order) == 0:
        return order, np.array([0, len(order)])
    names = groups.detach().numpy()[order]
    lowest, highest = int(names.min()), int(names.max())
    if highest - lowest < 1 << 16:
        names = (names - lowest).astype(np.uint16)  # NumPy sorts these by radix
    by_name = names.argsort(kind="stable")
    changes = np.flatnonzero(np.diff(names[by_name])) + 1
    return order[by_name], np.concatenate([[0], changes, [len(order)]])


def _not_above(threshold: float, dtype: torch.dtype) -> np.floating[Any]:
    """The largest number of this type that is not above the threshold: it separates the same IoUs."""
    real = np.float64 if dtype == torch.float64 else np.float32
    near = real(threshold)
    return near if float(near) <= threshold else np.nextafter(near, real(-1))


def _check(boxes: Tensor, scores: Tensor, groups: Tensor | None, iou_threshold: float) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != boxes.shape[:1]:
        raise ValueError(
            f"expected boxes (N, 4) and scores (N,), got {tuple(boxes.shape)} and {tuple(scores.shape)}"
        )
    if groups is not None and groups.shape != scores.shape:
        raise ValueError(f"expected one group per box, got {tuple(groups.shape)} for {len(boxes)} boxes")
    if not 0 <= iou_threshold <= 1:
        raise ValueError(f"expected an IoU threshold in [0, 1], got {iou_threshold}")
