"""Boxes as offsets from a reference box or a grid cell, and back.

`BoxCoder`: Girshick et al. 2014 (R-CNN), appendix C: dx = (gx - ax) / aw, dy = (gy - ay) / ah,
dw = log(gw / aw), dh = log(gh / ah), each divided by its standard deviation so that all four are of one
size. `decode` is the exact inverse of `encode`, as in the authors' MATLAB pair (their Python port is one
pixel off at x1, y1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from neocog.ops.boxes import from_centre, to_centre

MAX_LOG_SCALE = math.log(1000 / 16)
"""Largest dw, dh that `decode` accepts: an untrained network must not overflow exp."""


@dataclass(frozen=True)
class BoxCoder:
    """Offsets (dx, dy, dw, dh) divided by `deviations`.

    (0.1, 0.1, 0.2, 0.2) is the region head's fixed normalisation in py-faster-rcnn and SSD's "variances";
    (1, 1, 1, 1) is the RPN's.
    """

    deviations: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)

    def encode(self, boxes: Tensor, references: Tensor) -> Tensor:
        """Deltas (N, 4) that turn references (N, 4) into boxes (N, 4); all sides must be positive."""
        box, reference = to_centre(boxes), to_centre(references)
        shift = (box[..., :2] - reference[..., :2]) / reference[..., 2:]
        scale = torch.log(box[..., 2:] / reference[..., 2:])
        return torch.cat([shift, scale], dim=-1) / boxes.new_tensor(self.deviations)

    def decode(self, deltas: Tensor, references: Tensor) -> Tensor:
        """Boxes (N, 4) from deltas (N, 4) and references (N, 4), in the references' precision."""
        deltas = deltas.to(references.dtype) * references.new_tensor(self.deviations)
        reference = to_centre(references)
        centre = reference[..., :2] + deltas[..., :2] * reference[..., 2:]
        size = reference[..., 2:] * deltas[..., 2:].clamp(max=MAX_LOG_SCALE).exp()
        return from_centre(torch.cat([centre, size], dim=-1))


@dataclass(frozen=True)
class CellCoder:
    """Boxes against a grid cell (Redmon et al. 2016, YOLO): where in the cell the centre lies, and the roots
    of width and height as shares of `side`.

    The root makes the same error weigh more in a small box; the network predicts it as it is, since the
    gradient of a root taken later would explode near 0.
    """

    stride: int  # pixels a side of a cell
    side: int  # pixels a side of the picture

    def encode(self, boxes: Tensor, cells: Tensor) -> Tensor:
        """(x, y, root of width, root of height) (N, 4) of boxes (N, 4) in cells (N, 2) (column, row)."""
        box = to_centre(boxes)
        return torch.cat([box[..., :2] / self.stride - cells, (box[..., 2:] / self.side).sqrt()], dim=-1)

    def decode(self, offsets: Tensor, cells: Tensor) -> Tensor:
        """Boxes (..., 4) from offsets (..., 4) and cells (..., 2); a root below 0 counts as if above."""
        centre = (offsets[..., :2] + cells) * self.stride
        return from_centre(torch.cat([centre, offsets[..., 2:].square() * self.side], dim=-1))


@dataclass(frozen=True)
class PriorCoder:
    """Boxes against a grid cell and a prior size (Redmon and Farhadi 2017, YOLOv2): a centre that cannot
    leave its room, and the logarithm of what the prior is to be multiplied by.

    The room lies around the middle of the cell and is `reach` cells wide: 1, the cell itself, in the paper;
    more for cells that answer for objects of their neighbours too.
    """

    stride: int  # pixels a side of a cell
    reach: float = 1.0

    def encode(self, boxes: Tensor, cells: Tensor, priors: Tensor) -> Tensor:
        """(x, y, log width, log height) (N, 4) of boxes (N, 4) in cells (N, 2) (column, row).

        x and y are what the sigmoid must give, in [0, 1]; priors (N, 2) are widths and heights in pixels.
        """
        box = to_centre(boxes)
        room = (box[..., :2] / self.stride - cells - 0.5) / self.reach + 0.5
        return torch.cat([room, torch.log(box[..., 2:] / priors)], dim=-1)

    def decode(self, offsets: Tensor, cells: Tensor, priors: Tensor) -> Tensor:
        """Boxes (..., 4) from offsets (..., 4), x and y before the sigmoid."""
        centre = (offsets[..., :2].sigmoid() - 0.5) * self.reach + 0.5 + cells
        size = priors * offsets[..., 2:].clamp(max=MAX_LOG_SCALE).exp()
        return from_centre(torch.cat([centre * self.stride, size], dim=-1))
