"""Anchors against the table that py-faster-rcnn prints (inclusive boxes there)."""

from __future__ import annotations

import torch

from neocog.ops.anchors import base_anchors, grid_anchors

INCLUSIVE = [  # x1, y1, x2, y2 of the nine anchors, 0-based, at the cell whose base is (0, 0, 15, 15)
    (-84, -40, 99, 55),
    (-176, -88, 191, 103),
    (-360, -184, 375, 199),
    (-56, -56, 71, 71),
    (-120, -120, 135, 135),
    (-248, -248, 263, 263),
    (-36, -80, 51, 95),
    (-80, -168, 95, 183),
    (-168, -344, 183, 359),
]


def test_the_nine_anchors_of_the_paper() -> None:
    first = grid_anchors(base_anchors(), (1, 1), 16)
    half_open = torch.tensor(INCLUSIVE, dtype=torch.float32) + torch.tensor([0.0, 0.0, 1.0, 1.0])
    assert first.tolist() == half_open.tolist()


def test_grid_order_is_row_column_anchor() -> None:
    base = base_anchors()
    grid = grid_anchors(base, (3, 4), 16)
    assert grid.shape == (3 * 4 * 9, 4)
    row, column, anchor = 2, 1, 5
    expected = base[anchor] + torch.tensor([8.0, 8.0, 8.0, 8.0]) + torch.tensor([16.0, 32.0, 16.0, 32.0])
    assert grid[(row * 4 + column) * 9 + anchor].tolist() == expected.tolist()


def test_counts_of_the_paper() -> None:
    """600 x 1000 pixels: 38 x 63 cells with ceil pooling, 21,546 anchors, 8,151 of them inside."""
    anchors = grid_anchors(base_anchors(), (38, 63), 16)
    x0, y0, x1, y1 = anchors.unbind(1)
    inside = (x0 >= 0) & (y0 >= 0) & (x1 <= 1000) & (y1 <= 600)
    assert (len(anchors), int(inside.sum())) == (21_546, 8_151)
