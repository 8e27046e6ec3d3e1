"""A class for every pixel: what the segmenters' losses and answers share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from neocog.types import IGNORED_PIXEL, Batch, Segmentation


def pixel_loss(logits: Tensor, batch: Batch) -> dict[str, Tensor]:
    """`pixels`: the cross-entropy of logits (B, K, H, W), a mean over the step's pixels that count.

    Those are pixels that are not ignored; the padding of a batch is. Where none is left it is 0. Raises
    ValueError for a batch without masks.
    """
    if batch.masks is None:
        raise ValueError("the loss needs a batch with masks")
    count = max(batch.total(int((batch.masks != IGNORED_PIXEL).sum())), 1)
    wanted = batch.masks.long()
    total = F.cross_entropy(logits.float(), wanted, ignore_index=IGNORED_PIXEL, reduction="sum")
    return {"pixels": total / count}


def segmentations(logits: Tensor, batch: Batch) -> list[Segmentation]:
    """The softmax of logits (B, K, H, W), without what is padding of each picture."""
    scores = logits.float().softmax(dim=1)
    return [
        Segmentation(one[:, :height, :width].contiguous())
        for one, (height, width) in zip(torch.unbind(scores), batch.sizes, strict=True)
    ]
