"""Max-pooling that remembers where each maximum stood, and its way back.

The places are called switches (Zeiler and Fergus 2014, arXiv:1311.2901; Noh et al. 2015, arXiv:1505.04366).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def max_pool(
    maps: Tensor, kernel: int, stride: int | None = None, padding: int = 0, *, ceil_mode: bool = False
) -> tuple[Tensor, Tensor]:
    """The largest value of each window of maps (B, C, H, W), and its flat position in its map (int64).

    `stride` is the kernel where it is not given. Of equal values the first in reading order counts.
    """
    pooled, switches = F.max_pool2d(maps, kernel, stride, padding, ceil_mode=ceil_mode, return_indices=True)
    return pooled, switches


def unpool(values: Tensor, switches: Tensor, size: tuple[int, int]) -> Tensor:
    """Values (B, C, h, w) at the places that `switches` name in maps (B, C, *size), and 0 elsewhere.

    Where windows overlapped and chose the same place, their values are added: it is the transpose of the
    pooling, as a linear map with these switches.
    """
    flat = values.new_zeros(*values.shape[:2], size[0] * size[1])
    return flat.scatter_add_(2, switches.flatten(2), values.flatten(2)).view(*values.shape[:2], *size)
