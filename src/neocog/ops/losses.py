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
