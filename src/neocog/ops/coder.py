"""Boxes as offsets from a reference box, and back.

Girshick et al. 2014 (R-CNN), appendix C: dx = (gx - ax) / aw, dy = (gy - ay) / ah, dw = log(gw / aw),
dh = log(gh / ah), each divided by its standard deviation so that all four are of one size. `decode` is the
exact inverse of `encode`, as in the authors' MATLAB pair (their Python port is one pixel off at x1, y1).
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
