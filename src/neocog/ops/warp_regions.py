"""R-CNN's crops: each region, with some context around it, warped to one square size.

Girshick et al. 2014, arXiv:1311.2524, appendix A, and the authors' `rcnn_im_crop.m`, mode `warp`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neocog.ops.roi_input import check_regions, use_kernels


def warp_regions(
    images: Tensor, boxes: Tensor, batch_index: Tensor, *, side: int, context: int, fill: Tensor
) -> Tensor:
    """Crops (R, 3, side, side), float32, channels last in memory, of regions of images (B, 3, H, W).

    boxes (R, 4) x0 y0 x1 y1 in pixels of the images, batch_index (R,) int64 in [0, B). The box is warped to
    side - 2 context pixels, width and height each by its own factor, so that `context` pixels of the crop lie
    around it on all sides; its enlarged corners are rounded to whole pixels. Sampled bilinearly at half-pixel
    centres, without antialiasing. What lies outside the picture takes the colour `fill` (3,): the mean that
    the network subtracts, so that it becomes 0. No gradient. Raises ValueError for shapes that do not fit, or
    a context that leaves nothing of the crop.
    """
    check_regions(images, boxes, batch_index, (side, side))
    if not 0 <= 2 * context < side:
        raise ValueError(f"a context of {context} pixels leaves nothing of a crop of {side}")
    with torch.no_grad():
        corners = _enlarged(boxes.float(), side / (side - 2 * context))
        rows = _places(corners[:, 1], corners[:, 3], side, images.shape[2])
        columns = _places(corners[:, 0], corners[:, 2], side, images.shape[3])
        version = _warp_numba if use_kernels(images) else _warp_torch
        return version(images.float(), batch_index, rows, columns, fill.float()).permute(0, 3, 1, 2)


def _enlarged(boxes: Tensor, scale: float) -> Tensor:
    """Boxes (R, 4) `scale` times larger about their centres, on whole pixels, at least one wide."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * scale
    low = (centre - half + 0.5).floor()
    high = torch.maximum((centre + half + 0.5).floor(), low + 1)
    return torch.cat([low, high], dim=1)


def _places(low: Tensor, high: Tensor, side: int, limit: int) -> Tensor:
    """Where the pixels of a crop lie along one axis (R, side): cells from 0 to limit - 1, -1 outside."""
    steps = (torch.arange(side, device=low.device) + 0.5) / side
    places = low[:, None] + steps * (high - low)[:, None]
    outside = (places < 0) | (places >= limit)
    return torch.where(outside, -1.0, (places - 0.5).clamp(0, limit - 1))


def _warp_numba(images: Tensor, batch: Tensor, rows: Tensor, columns: Tensor, fill: Tensor) -> Tensor:
    from neocog.ops import _kernels_warp

    pixels: np.ndarray[Any, Any] = images.permute(0, 2, 3, 1).contiguous().numpy()
    side = rows.shape[1]
    crops = np.empty((len(batch), side, side, images.shape[1]), np.float32)
    places = rows.contiguous().numpy(), columns.contiguous().numpy()
    _kernels_warp.warp(pixels, batch.contiguous().numpy(), *places, fill.contiguous().numpy(), crops)
    return torch.from_numpy(crops)


def _warp_torch(images: Tensor, batch: Tensor, rows: Tensor, columns: Tensor, fill: Tensor) -> Tensor:
    """The same in plain torch, for any device."""
    height, width = images.shape[2:]
    cells = images.permute(0, 2, 3, 1)
    top, left = rows.floor().clamp(min=0).long(), columns.floor().clamp(min=0).long()
    bottom, right = (top + 1).clamp(max=height - 1), (left + 1).clamp(max=width - 1)
    down, across = (rows - top)[:, :, None, None], (columns - left)[:, None, :, None]
    image = batch[:, None, None]

    def row(y: Tensor) -> Tensor:
        near, far = cells[image, y[:, :, None], left[:, None]], cells[image, y[:, :, None], right[:, None]]
        return near + (far - near) * across

    upper = row(top)
    crops = upper + (row(bottom) - upper) * down
    outside = (rows < 0)[:, :, None] | (columns < 0)[:, None]
    return torch.where(outside[..., None], fill, crops)
