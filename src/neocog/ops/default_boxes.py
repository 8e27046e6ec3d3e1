"""SSD's default boxes: a few shapes at every cell of several feature maps, larger on coarser maps.

Liu et al. 2016 (SSD), arXiv:1512.02325, section 2.2, and the authors' `prior_box_layer.cpp`, number for
number: 8,732 boxes for SSD300. They are not clipped to the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from neocog.ops.anchors import grid_anchors


def box_shapes(small: float, large: float, ratios: Sequence[float]) -> Tensor:
    """Widths and heights (2 + 2 * ratios, 2) of the boxes of one map, in the unit of `small` and `large`.

    A square of side `small`; one of sqrt(small * large), which lies between this map's and the next one's;
    then for each ratio, width / height, a box of the area of the first and its upright twin.
    """
    between = math.sqrt(small * large)
    shapes = [(small, small), (between, between)]
    for ratio in ratios:
        long, short = small * math.sqrt(ratio), small / math.sqrt(ratio)
        shapes += [(long, short), (short, long)]
    return torch.tensor(shapes, dtype=torch.float32)


def grid_boxes(shapes: Tensor, cells: tuple[int, int], step: float) -> Tensor:
    """Boxes (rows * columns * A, 4) of these shapes (A, 2) at every cell of a map of (rows, columns).

    Order: row, column, shape. The centre of cell (i, j) is (step * (j + 1/2), step * (i + 1/2)), `step` in
    pixels.
    """
    return grid_anchors(torch.cat([-shapes / 2, shapes / 2], dim=1), cells, step)
