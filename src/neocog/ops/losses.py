"""Losses that more than one model uses."""

from __future__ import annotations

import torch
from torch import Tensor


def smooth_l1(difference: Tensor, beta: float = 1.0) -> Tensor:
    """0.5 d^2 / beta where |d| < beta, else |d| - 0.5 beta; elementwise, same shape.

    Girshick 2015 (Fast R-CNN), equation 3, with beta = 1. The authors' `sigma` is beta = 1 / sigma^2: the
    sigma of 3 in their RPN is beta = 1/9.
    """
    size = difference.abs()
    return torch.where(size < beta, 0.5 * size * size / beta, size - 0.5 * beta)


def hard_negatives(loss: Tensor, positive: Tensor, negative: Tensor, ratio: int) -> Tensor:
    """Which background boxes (B, A) bool to learn from: those of highest `loss` (B, A), `ratio` a positive.

    Liu et al. 2016 (SSD), section 2.2: chosen anew in each image, at most `ratio` times its positives; of all
    `negative` (B, A), so an image without positives has none.
    """
    wanted = ratio * positive.sum(dim=1)
    most = min(int(wanted.max()), loss.shape[1]) if len(loss) else 0
    hardest, which = torch.where(negative, loss.detach(), -torch.inf).topk(most, dim=1)
    rank = torch.arange(most, device=loss.device)
    chosen = (rank < wanted[:, None]) & (hardest > -torch.inf)
    return torch.zeros_like(negative).scatter_(1, which, chosen)
