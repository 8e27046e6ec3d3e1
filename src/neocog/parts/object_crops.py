"""Crops of pictures and their masks, to learn from in place of whole pictures: of an object, or of a region.

Noh, Hong, Han 2015 (DeconvNet), arXiv:1505.04366, section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from neocog.ops.boxes import iou
from neocog.ops.rng import generator
from neocog.ops.warp_regions import warp_regions
from neocog.types import IGNORED_PIXEL, Batch, Frame


@dataclass(frozen=True, slots=True)
class Drawn:
    """Boxes to crop, of a whole batch."""

    boxes: Tensor  # (R, 4) pixels, not enlarged
    images: Tensor  # (R,) int64, position in the batch
    only: Tensor  # (R,) int64: the class that is labelled, the rest being background; -1: all are


Draw = Callable[[Batch, int], Drawn]
"""A batch, and how many boxes to draw in each of its pictures at most."""


def objects(batch: Batch, count: int) -> Drawn:
    """Up to `count` objects of each picture, each the only one in its crop.

    In a picture without objects, or where they are not known, one box of any place and size instead, with all
    its classes. The same for the same sample in the same epoch. Ignored objects are not drawn.
    """
    rows: list[tuple[list[float], int, int]] = []
    for place, (key, (height, width)) in enumerate(zip(batch.keys, batch.sizes, strict=True)):
        rng = generator(key, "objects")
        target = None if batch.targets is None else batch.targets[place]
        known = [] if target is None else torch.nonzero(~target.ignore).flatten().tolist()
        if target is None or not known:
            sides = np.array([width, height]) * rng.uniform(0.4, 1.0, 2)
            low = rng.random(2) * ([width, height] - sides)
            rows.append(([*low, *(low + sides)], place, -1))
            continue
        for which in rng.permutation(known)[:count].tolist():
            rows.append((target.boxes[which].tolist(), place, int(target.labels[which])))
    return _drawn(rows, batch)


def regions(batch: Batch, count: int) -> Drawn:
    """Up to `count` proposals of each picture that overlap an object by half (IoU), with all their classes.

    Where there are none, the whole picture. Raises ValueError for a batch without proposals or targets.
    """
    if batch.proposals is None or batch.targets is None:
        raise ValueError("crops of regions need a batch with proposals and targets")
    rows: list[tuple[list[float], int, int]] = []
    for place, (proposals, target) in enumerate(zip(batch.proposals, batch.targets, strict=True)):
        overlaps = iou(proposals.boxes, target.boxes[~target.ignore])
        good = torch.nonzero((overlaps >= 0.5).any(dim=1)).flatten().cpu().numpy()
        chosen = generator(batch.keys[place], "regions").permutation(good)[:count].tolist()
        height, width = batch.sizes[place]
        rows += [(proposals.boxes[which].tolist(), place, -1) for which in chosen]
        if not chosen:
            rows.append(([0.0, 0.0, width, height], place, -1))
    return _drawn(rows, batch)


def _drawn(rows: list[tuple[list[float], int, int]], batch: Batch) -> Drawn:
    device = batch.images.device
    boxes = torch.tensor([row[0] for row in rows], dtype=torch.float32, device=device).reshape(-1, 4)
    images = torch.tensor([row[1] for row in rows], dtype=torch.int64, device=device)
    return Drawn(boxes, images, torch.tensor([row[2] for row in rows], dtype=torch.int64, device=device))


def enlarged(boxes: Tensor, scale: float) -> Tensor:
    """Boxes (R, 4) `scale` times larger about their centres, on whole pixels, at least one wide; float32."""
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * scale
    low = (centre - half + 0.5).floor()
    return torch.cat([low, torch.maximum((centre + half + 0.5).floor(), low + 1)], dim=1)


def crop_images(batch: Batch, boxes: Tensor, images: Tensor, side: int, fill: Tensor) -> Tensor:
    """Crops (R, 3, side, side) of boxes (R, 4) on whole pixels of the pictures named by `images` (R,).

    `fill` (3,) is the colour of what lies outside the batch's images.
    """
    return warp_regions(batch.images, boxes, images, side=side, context=0, fill=fill)


def crop_masks(batch: Batch, boxes: Tensor, images: Tensor, side: int) -> Tensor:
    """Their masks (R, side, side) uint8: each pixel has the class of the one that its centre lies in.

    Outside the pictures it is ignored. Raises ValueError for a batch without masks.
    """
    if batch.masks is None:
        raise ValueError("crops of masks need a batch with masks")
    steps = (torch.arange(side, device=boxes.device) + 0.5) / side
    columns = (boxes[:, :1] + steps * (boxes[:, 2:3] - boxes[:, :1])).floor().long()
    rows = (boxes[:, 1:2] + steps * (boxes[:, 3:] - boxes[:, 1:2])).floor().long()
    height, width = batch.masks.shape[1:]
    outside = ((rows < 0) | (rows >= height))[:, :, None] | ((columns < 0) | (columns >= width))[:, None]
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    found = batch.masks[images[:, None, None], rows[:, :, None], columns[:, None]]
    return found.masked_fill(outside, IGNORED_PIXEL)


def crop_batch(batch: Batch, drawn: Drawn, side: int, scale: float, fill: Tensor) -> Batch:
    """The drawn boxes, `scale` times larger, as a batch of pictures of `side` pixels with masks."""
    boxes = enlarged(drawn.boxes, scale)
    masks = crop_masks(batch, boxes, drawn.images, side)
    only = drawn.only[:, None, None]
    other = (only >= 0) & (masks != only) & (masks != IGNORED_PIXEL)
    which = drawn.images.tolist()
    size = (side, side)
    return replace(
        batch,
        images=crop_images(batch, boxes, drawn.images, side, fill),
        sizes=(size,) * len(which),
        targets=None,
        frames=tuple(Frame(size, size, source=batch.frames[place].source) for place in which),
        keys=tuple(batch.keys[place] for place in which),
        proposals=None,
        masks=masks.masked_fill(other, 0),
        labels=None,
    )
