"""A map whose cells answer for the objects that are centred in them, as in YOLO.

Letters beside the usual ones: S cells of the map (rows * columns), P boxes that each cell predicts, M objects
that are answered for in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neocog.ops.boxes import area, coverage
from neocog.ops.rng import generator
from neocog.types import Batch


@dataclass(frozen=True, slots=True)
class Cells:
    """What a network says at the cells of a map, row by row."""

    shape: tuple[int, int]  # (rows, columns)
    stride: int  # pixels a side of a cell
    places: Tensor  # (S, 2) float32, column and row of each cell
    inside: Tensor  # (B, S) bool, whether any of the cell lies in the picture, and not all in its padding
    offsets: Tensor  # (B, S, P, 4), as the coder reads them
    boxes: Tensor  # (B, S, P, 4) pixels, not clipped
    confidences: Tensor  # (B, S, P)
    logits: Tensor  # (B, S, P, K), or (B, S, 1, K) where the boxes of a cell share them


@dataclass(frozen=True, slots=True)
class Held:
    """The objects that are answered for, and where. No cell is there twice, unless `who` tells them apart."""

    images: Tensor  # (M,) int64, position in the batch
    cells: Tensor  # (M,) int64 in 0..S-1
    boxes: Tensor  # (M, 4) pixels
    labels: Tensor  # (M,) int64
    who: Tensor  # (M,) int64, which of the cell's boxes; 0 where that is not decided yet

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True)
class Truth:
    """The objects of a whole batch but the ignored ones, in the order in which cells prefer them."""

    images: Tensor  # (N,) int64
    boxes: Tensor  # (N, 4)
    labels: Tensor  # (N,)


def places_of(shape: tuple[int, int], device: torch.device) -> Tensor:
    """Column and row (S, 2) float32 of each cell, row by row."""
    rows, columns = (torch.arange(count, device=device, dtype=torch.float32) for count in shape)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1)


def inside_pictures(places: Tensor, stride: int, batch: Batch) -> Tensor:
    """Which cells (B, S) begin before the picture ends."""
    return (places * stride < batch.limits[:, None, :2]).all(dim=-1)


def truth_of(batch: Batch, prefer: str = "") -> Truth:
    """The objects of the batch, smallest first, or with `prefer` in an order drawn from the keys.

    `prefer` names the operation that the draw is for. Raises ValueError for a batch without targets.
    """
    if batch.targets is None:
        raise ValueError("the loss needs a batch with targets")
    orders = [
        torch.from_numpy(generator(key, prefer).permutation(len(target))).to(target.boxes.device)
        if prefer
        else area(target.boxes).argsort(stable=True)
        for target, key in zip(batch.targets, batch.keys, strict=True)
    ]
    orders = [order[~target.ignore[order]] for order, target in zip(orders, batch.targets, strict=True)]
    device = batch.images.device
    counts = torch.tensor([len(order) for order in orders], dtype=torch.int64)
    images = torch.repeat_interleave(torch.arange(len(orders)), counts).to(device)
    chosen = [target[order] for order, target in zip(orders, batch.targets, strict=True)]
    boxes = torch.cat([torch.zeros(0, 4, device=device), *(target.boxes for target in chosen)])
    labels = torch.cat([images[:0], *(target.labels for target in chosen)])
    return Truth(images, boxes, labels)


def hold(truth: Truth, cells: Cells, who: Tensor | None = None, each: int = 1, around: int = 0) -> Held:
    """Give every object the cell of its centre; where two want one cell, the first in the order gets it.

    `who` (N,): which of the `each` boxes of a cell an object wants; then only these are not shared.
    `around`: also the cells up to so many columns and rows away; each goes to the object that is nearest.
    """
    (rows, columns), count = cells.shape, len(truth.boxes)
    limit = truth.labels.new_tensor([columns - 1, rows - 1])
    centres = ((truth.boxes[:, :2] + truth.boxes[:, 2:]) / (2 * cells.stride)).long()
    steps = torch.arange(-around, around + 1, device=centres.device)
    moves = torch.cartesian_prod(steps, steps)
    here = torch.minimum(centres.clamp(min=0), limit) + moves[:, None]  # (moves, N, 2)
    on_map = ((here >= 0) & (here <= limit)).all(dim=-1)
    which = torch.arange(count, device=centres.device)
    ranks = moves.abs().sum(dim=1)[:, None] * count + which
    who = torch.zeros_like(which) if who is None else who
    slots = (((truth.images * rows) + here[..., 1]) * columns + here[..., 0]) * each + who
    nobody = (2 * around + 1) * max(count, 1)  # more than any rank
    first = torch.full((cells.inside.numel() * each,), nobody, device=centres.device)
    first = first.scatter_reduce(0, slots[on_map], ranks[on_map], "amin")
    slot = torch.nonzero(first < nobody).squeeze(1)
    which, place = first[slot] % max(count, 1), slot // each
    return Held(
        place // (rows * columns),
        place % (rows * columns),
        truth.boxes[which],
        truth.labels[which],
        who[which],
    )


def background(cells: Cells, batch: Batch) -> Tensor:
    """Cells (B, S) that may learn to be background: in the picture, and not taken up by an ignored object.

    One is taken up if ignored objects cover half of it or more, or if one has its centre there.
    """
    free = cells.inside.clone()
    corners = torch.cat([cells.places, cells.places + 1], dim=1) * cells.stride
    for own, target in zip(free, batch.targets or (), strict=True):
        if target.ignore.any():
            boxes = target.boxes[target.ignore]
            centres = (boxes[:, :2] + boxes[:, 2:]) / 2
            low, high = corners[:, None, :2], corners[:, None, 2:]
            own &= ~((low <= centres) & (centres < high)).all(dim=-1).any(dim=1)
            own &= coverage(corners, boxes).amax(dim=1) < 0.5
    return free
