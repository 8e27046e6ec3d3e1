"""What YOLO learns from: the loss of its first version, of its second, and one of later years."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from neocog.ops.boxes import area, iou, paired_giou, paired_iou, to_centre
from neocog.ops.coder import CellCoder, PriorCoder
from neocog.parts.cells import Cells, Truth, background, hold, truth_of
from neocog.types import Batch

BOX_WEIGHT, BACKGROUND_WEIGHT = 5.0, 0.5
"""The paper's lambda_coord and lambda_noobj."""


def squared_loss(cells: Cells, batch: Batch, coder: CellCoder) -> dict[str, Tensor]:
    """Redmon et al. 2016, equation 3: sums of squared errors, over each picture, and their mean.

    Of the boxes of an object's cell the one with the highest IoU is responsible (where all are 0, the one
    with the smallest error of centre and size, as in the authors' `detection_layer.c`): `boxes` is its
    error, and `confidence` that of its confidence, which should be its IoU. The confidence of every other
    box should be 0 (`background`). The scores of an object's cell should be 1 for its class and else 0.
    """
    held = hold(truth_of(batch, "cells"), cells)
    pictures = max(batch.total(len(batch)), 1)
    here = held.images, held.cells
    predicted = cells.boxes[here].detach()
    overlaps = paired_iou(predicted, held.boxes[:, None])
    apart = (to_centre(predicted) - to_centre(held.boxes)[:, None]).square().sum(dim=-1)
    who = torch.where(overlaps.amax(dim=1) > 0, overlaps.argmax(dim=1), apart.argmin(dim=1))
    rows = torch.arange(len(held), device=who.device)
    responsible = held.images, held.cells, who
    wanted = coder.encode(held.boxes, cells.places[held.cells])
    empty = background(cells, batch)[..., None].expand_as(cells.confidences).clone()
    empty[responsible] = False
    one_hot = F.one_hot(held.labels, cells.logits.shape[-1])
    errors = {
        "boxes": BOX_WEIGHT * (cells.offsets[responsible] - wanted).square().sum(),
        "confidence": (cells.confidences[responsible] - overlaps[rows, who]).square().sum(),
        "background": BACKGROUND_WEIGHT * cells.confidences[empty].square().sum(),
        "classes": (cells.logits[here][:, 0] - one_hot).square().sum(),
    }
    return {name: error / pictures for name, error in errors.items()}


OBJECT_WEIGHT, NEAR = 5.0, 0.6


def anchor_loss(cells: Cells, batch: Batch, coder: PriorCoder, priors: Tensor) -> dict[str, Tensor]:
    """Redmon and Farhadi 2017 (YOLOv2), as in the authors' `region_layer.c`, which the paper leaves open.

    The anchor whose shape is nearest to the object's is responsible in the cell of its centre. `boxes`:
    squared errors of centre and log size, which weigh up to twice as much for small objects. `confidence`:
    that of the IoU. `background`: of all boxes that overlap no object by more than 0.6. `classes`: cross-
    entropy, for each responsible box. Squared errors count half, so that each gradient is the code's.
    """
    truth = truth_of(batch, "cells")
    held = hold(truth, cells, nearest_shape(truth.boxes, priors), len(priors))
    pictures = max(batch.total(len(batch)), 1)
    here = held.images, held.cells, held.who
    said = cells.offsets[here]
    said = torch.cat([said[:, :2].sigmoid(), said[:, 2:]], dim=1)
    wanted = coder.encode(held.boxes, cells.places[held.cells], priors[held.who])
    small = 2 - area(held.boxes) / batch.limits[held.images, 2:].prod(dim=1)
    overlaps = paired_iou(cells.boxes[here].detach(), held.boxes)
    confidences = cells.confidences.sigmoid()
    empty = background(cells, batch)[..., None] & ~_near(cells, truth)
    empty[here] = False
    errors = {
        "boxes": (small[:, None] * (said - wanted).square()).sum() / 2,
        "confidence": OBJECT_WEIGHT * (confidences[here] - overlaps).square().sum() / 2,
        "background": confidences[empty].square().sum() / 2,
        "classes": F.cross_entropy(cells.logits[here], held.labels, reduction="sum"),
    }
    return {name: error / pictures for name, error in errors.items()}


def nearest_shape(boxes: Tensor, priors: Tensor) -> Tensor:
    """Which of the sizes (P, 2) overlaps each box (N, 4) most, laid upon it: (N,) int64."""
    sizes = boxes[:, None, 2:] - boxes[:, None, :2]
    shared = torch.minimum(sizes, priors).prod(dim=-1)
    return (shared / (sizes.prod(dim=-1) + priors.prod(dim=-1) - shared)).argmax(dim=1)


def _near(cells: Cells, truth: Truth) -> Tensor:
    """Boxes (B, S, P) that overlap some object by more than NEAR."""
    found = []
    for image, boxes in enumerate(cells.boxes.detach()):
        overlaps = iou(boxes.flatten(0, 1), truth.boxes[truth.images == image])
        found.append((overlaps > NEAR).any(dim=1).view(boxes.shape[:2]))
    return torch.stack(found) if found else cells.confidences > 0


AROUND = 1
"""Cells around that of the centre, on each side, that answer for an object too in `giou_loss`."""

REACH = 2.0 * AROUND + 1
"""Cells across the room that a centre then needs."""

GIOU_WEIGHT = 2.0


def giou_loss(cells: Cells, batch: Batch, priors: Tensor) -> dict[str, Tensor]:
    """What later detectors of this kind learn from.

    `boxes`: 1 - GIoU (Rezatofighi et al. 2019, arXiv:1902.09630). `objectness`: binary cross-entropy of every
    box's confidence, which should be its IoU, as in version 1, or 0. `classes`: cross-entropy. All are
    divided by the number of boxes that answer for an object: in the cell of its centre and those around it
    (as in FCOS and YOLOX). Between two objects the nearer has a cell, then the smaller.
    """
    truth = truth_of(batch)
    held = hold(truth, cells, nearest_shape(truth.boxes, priors), len(priors), AROUND)
    count = max(batch.total(len(held)), 1)
    here = held.images, held.cells, held.who
    logits = cells.logits[held.images, held.cells, held.who % cells.logits.shape[2]]
    learnt = background(cells, batch)[..., None].expand_as(cells.confidences).clone()
    wanted = torch.zeros_like(cells.confidences)
    learnt[here], wanted[here] = True, paired_iou(cells.boxes[here].detach(), held.boxes)
    objectness = F.binary_cross_entropy_with_logits(
        cells.confidences[learnt], wanted[learnt], reduction="sum"
    )
    return {
        "boxes": GIOU_WEIGHT * (1 - paired_giou(cells.boxes[here], held.boxes)).sum() / count,
        "objectness": objectness / count,
        "classes": F.cross_entropy(logits, held.labels, reduction="sum") / count,
    }
