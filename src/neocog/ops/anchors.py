"""The RPN's anchors: boxes of several scales and ratios at every cell of a feature map.

Ren et al. 2015 (Faster R-CNN) and py-faster-rcnn's `generate_anchors.py`, number for number. Boxes there
are inclusive (base 0, 0, 15, 15), here half-open: anchor 0 is (-84, -40, 100, 56), not (-84, -40, 99, 55).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

BASE = 16
"""Side in pixels of the box that scales multiply (the paper's stride), whatever the map's own stride."""


def base_anchors(scales: Sequence[float] = (8, 16, 32), ratios: Sequence[float] = (0.5, 1, 2)) -> Tensor:
    """Anchors (A, 4) around the origin, ratio outer, scale inner; ratio = height / width.

    Widths and heights are rounded at the base size before scaling, as the authors do, so areas are only
    nearly (16 * scale) squared.
    """
    anchors = []
    for ratio in ratios:
        width = round((BASE * BASE / ratio) ** 0.5)
        height = round(width * ratio)
        anchors += [
            (-width * scale / 2, -height * scale / 2, width * scale / 2, height * scale / 2)
            for scale in scales
        ]
    return torch.tensor(anchors, dtype=torch.float32)


def grid_anchors(base: Tensor, shape: tuple[int, int], stride: float) -> Tensor:
    """Base anchors (A, 4) at every cell of a map of `shape` (rows, columns): (rows * columns * A, 4).

    Order: row, column, anchor. The centre of cell (i, j) is (stride * (j + 1/2), stride * (i + 1/2)): in
    continuous coordinates, the receptive-field centre of conv5_3 in VGG-16.
    """
    rows, columns = shape
    y = (torch.arange(rows, dtype=base.dtype, device=base.device) + 0.5) * stride
    x = (torch.arange(columns, dtype=base.dtype, device=base.device) + 0.5) * stride
    return _at(y, x, base)


def corner_anchors(side: float, ratios: Sequence[float] = (0.5, 1, 2)) -> Tensor:
    """Anchors (A, 4) of area side squared around the origin, half their sides rounded to whole pixels.

    Those that torchvision's detectors were trained with (its `AnchorGenerator`); ratio = height / width.
    """
    ratio = torch.tensor(ratios, dtype=torch.float32).sqrt()
    half = torch.stack([1 / ratio * side, ratio * side], dim=1) / 2
    return torch.cat([-half, half], dim=1).round()


def corner_grid(base: Tensor, shape: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Base anchors (A, 4) at the top left corner of every cell of a map of `shape`: (rows * columns * A, 4).

    Order as in `grid_anchors`. `size` is that of the padded pictures (height, width): cells lie a whole
    number of pixels apart, size // shape, as in torchvision's `AnchorGenerator`.
    """
    rows, columns = shape
    y = torch.arange(rows, dtype=base.dtype, device=base.device) * (size[0] // rows)
    x = torch.arange(columns, dtype=base.dtype, device=base.device) * (size[1] // columns)
    return _at(y, x, base)


def _at(y: Tensor, x: Tensor, base: Tensor) -> Tensor:
    """Boxes (A, 4) moved to every point of rows y (R,) and columns x (C,): (R * C * A, 4), row by row."""
    y, x = torch.meshgrid(y, x, indexing="ij")
    points = torch.stack([x, y, x, y], dim=-1)
    return (points[:, :, None] + base).reshape(-1, 4)
