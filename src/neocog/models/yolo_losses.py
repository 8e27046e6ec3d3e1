"""What YOLO learns from: the loss of its first version, of its second, and one of later years."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from neocog.ops.boxes import iou, paired_giou, paired_iou, to_centre
from neocog.ops.coder import CellCoder, PriorCoder
from neocog.parts.cells import Cells, background, hold, truth_of
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


AROUND = 1
GIOU_WEIGHT = 2.0


def giou_loss(cells: Cells, batch: Batch, priors: Tensor) -> dict[str, Tensor]:
    import os
    around = int(os.environ.get("Y_AROUND", "1"))
    held = hold(truth_of(batch), cells, around)
    count = max(batch.total(len(held)), 1)
    here = held.images, held.cells, held.who
    overlaps = paired_giou(cells.boxes[here], held.boxes)
    learnt = background(cells, batch)[..., None].expand_as(cells.confidences).clone()
    learnt[here] = True
    wanted = torch.zeros_like(cells.confidences)
    soft = float(os.environ.get("Y_SOFT", "1"))
    wanted[here] = overlaps.detach().clamp(min=0) * soft + (1 - soft)
    objectness = F.binary_cross_entropy_with_logits(
        cells.confidences[learnt], wanted[learnt], reduction="sum"
    )
    classes = F.cross_entropy(cells.logits[here], held.labels, reduction="sum")
    return {
        "boxes": float(os.environ.get("Y_G", "2")) * (1 - overlaps).sum() / count,
        "objectness": float(os.environ.get("Y_O", "1")) * objectness / count,
        "classes": classes / count,
    }
