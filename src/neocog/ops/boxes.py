"""Boxes as plain tensors (N, 4), x0 y0 x1 y1, continuous and half-open: width = x1 - x0, no +1 anywhere."""

from __future__ import annotations

import torch
from torch import Tensor


def area(boxes: Tensor) -> Tensor:
    """Areas (N,) in square pixels; an inverted box has area 0."""
    return (boxes[..., 2] - boxes[..., 0]).clamp(min=0) * (boxes[..., 3] - boxes[..., 1]).clamp(min=0)


def intersection(first: Tensor, second: Tensor) -> Tensor:
    """Areas (N, M) of the intersections of boxes (N, 4) with boxes (M, 4)."""
    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = (high - low).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union (N, M) of boxes (N, 4) with boxes (M, 4); 0 where both have no area."""
    shared = intersection(first, second)
    union = area(first)[:, None] + area(second)[None, :] - shared
    return torch.where(union > 0, shared / union.clamp(min=torch.finfo(union.dtype).tiny), 0.0)


def paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union (...) of boxes (..., 4), each with its partner; 0 where both have no area."""
    shared, union = _shared_and_union(first, second)
    return shared / union.clamp(min=torch.finfo(union.dtype).tiny)


def paired_giou(first: Tensor, second: Tensor) -> Tensor:
    """Generalized IoU (...) of boxes (..., 4), each with its partner, in [-1, 1].

    Rezatofighi et al. 2019, arXiv:1902.09630: the IoU less the share of the smallest box around both that
    belongs to neither, so that boxes apart from each other have a gradient too.
    """
    shared, union = _shared_and_union(first, second)
    sides = torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])
    around = sides[..., 0] * sides[..., 1]
    tiny = torch.finfo(union.dtype).tiny
    return shared / union.clamp(min=tiny) - (around - union) / around.clamp(min=tiny)


def _shared_and_union(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    low = torch.maximum(first[..., :2], second[..., :2])
    sides = (torch.minimum(first[..., 2:], second[..., 2:]) - low).clamp(min=0)
    shared = sides[..., 0] * sides[..., 1]
    return shared, area(first) + area(second) - shared


def coverage(boxes: Tensor, regions: Tensor) -> Tensor:
    """Share (N, M) of each box (N, 4) that lies in each region (M, 4): COCO's overlap with a crowd."""
    own = area(boxes)[:, None]
    return torch.where(
        own > 0, intersection(boxes, regions) / own.clamp(min=torch.finfo(own.dtype).tiny), 0.0
    )


def clip(boxes: Tensor, limits: Tensor) -> Tensor:
    """Boxes (..., 4) cut to pictures whose width, height, width, height (..., 4) are `limits`."""
    return torch.minimum(boxes.clamp(min=0), limits)


def shorter_side(boxes: Tensor) -> Tensor:
    """min(width, height) (N,) in pixels."""
    return torch.minimum(boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1])


def from_centre(boxes: Tensor) -> Tensor:
    """Centre x, centre y, width, height (..., 4) as corners."""
    centre, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


def to_centre(boxes: Tensor) -> Tensor:
    """Corners (..., 4) as centre x, centre y, width, height."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)
