"""Position-sensitive region pooling: every bin of a region reads maps of its own.

Dai et al. 2016 (R-FCN), arXiv:1605.06409, section 2; the rule of the average is that of the authors'
`psroi_pooling_layer.cu`. In both poolings a bin is a sum of cells, each weighed along both axes; so they
share a pair of kernels, and two matrix products in plain torch.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neocog.ops.roi_align import corners, in_cells
from neocog.ops.roi_input import (
    AVERAGE,
    SHORTEST,
    channels_last,
    check_regions,
    divided,
    half_away,
    huge,
    use_kernels,
)


def ps_roi_pool(
    maps: Tensor, boxes: Tensor, batch_index: Tensor, output_size: tuple[int, int], spatial_scale: float
) -> Tensor:
    """Average, for each bin of a grid over each box, the maps that belong to the bin.

    maps (B, rows columns C, H, W) float: channel (i columns + j) C + c is the one that bin (i, j) reads for
    c. (The authors' is (c rows + i) columns + j; with a bin's channels side by side in memory, pooling is
    several times faster.) boxes (R, 4) x0 y0 x1 y1 in pixels of the network's input; batch_index (R,) int64
    in [0, B); output_size (rows, columns); spatial_scale cells per pixel. Returns (R, C, rows, columns) with
    the channels last in memory, float32 for half precision maps; differentiable in the maps only.

    Box corners are rounded to pixels, half away from zero, and both ends belong to the region; in cells
    nothing is rounded. A bin covers all the cells that it touches, so neighbours may share one; what lies
    outside the map is cut off, and a bin without cells gives 0. Raises ValueError for other shapes, channels
    that do not divide into bins, or an index outside the batch.
    """
    _check(maps, boxes, batch_index, output_size)
    maps, regions = _touched(maps, boxes, spatial_scale)
    return _weigh(maps, regions, batch_index, output_size, AVERAGE)


def ps_roi_pool_torch(
    maps: Tensor, boxes: Tensor, batch_index: Tensor, output_size: tuple[int, int], spatial_scale: float
) -> Tensor:
    """`ps_roi_pool` in plain torch, for any device and for export."""
    maps, regions = _touched(maps, boxes, spatial_scale)
    return _weigh_torch(maps, regions, batch_index, output_size, AVERAGE)


def ps_roi_align(
    maps: Tensor,
    boxes: Tensor,
    batch_index: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int = 0,
) -> Tensor:
    """`ps_roi_pool` with RoIAlign's bilinear samples in place of whole cells: nothing is rounded.

    The samples of a bin, and sampling_ratio, are those of `roi_align` with cell centres at half cells.
    """
    _check(maps, boxes, batch_index, output_size)
    maps, regions = in_cells(maps, boxes, spatial_scale, aligned=True)
    return _weigh(maps, regions, batch_index, output_size, sampling_ratio)


def ps_roi_align_torch(
    maps: Tensor,
    boxes: Tensor,
    batch_index: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int = 0,
) -> Tensor:
    """`ps_roi_align` in plain torch, for any device; for export with a sampling_ratio above 0."""
    maps, regions = in_cells(maps, boxes, spatial_scale, aligned=True)
    return _weigh_torch(maps, regions, batch_index, output_size, sampling_ratio)


def _check(maps: Tensor, boxes: Tensor, batch_index: Tensor, output_size: tuple[int, int]) -> None:
    check_regions(maps, boxes, batch_index, output_size)
    rows, columns = output_size
    if maps.shape[1] % (rows * columns):
        raise ValueError(f"{maps.shape[1]} maps do not divide into {rows} x {columns} bins")


def _touched(maps: Tensor, boxes: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Maps in float32 or float64, and boxes (R, 4) of whole pixels in units of cells."""
    if maps.dtype in (torch.bfloat16, torch.float16):
        maps = maps.float()
    pixels = half_away(boxes.detach().to(maps.dtype).nan_to_num(0).clamp(-1e6, 1e6))
    return maps, torch.cat([pixels[:, :2], pixels[:, 2:] + 1], dim=1) * scale


def _weigh(
    maps: Tensor, regions: Tensor, batch_index: Tensor, output_size: tuple[int, int], samples: int
) -> Tensor:
    by_device = _Weigh.apply if use_kernels(maps) else _weigh_torch
    return by_device(maps, regions, batch_index, output_size, samples)


class _Weigh(torch.autograd.Function):
    """The Numba kernels as one differentiable operation."""

    @staticmethod
    def forward(
        ctx: Any,
        maps: Tensor,
        regions: Tensor,
        batch_index: Tensor,
        output_size: tuple[int, int],
        samples: int,
    ) -> Tensor:
        from neocog.ops import _kernels_ps_roi

        ctx.save_for_backward(regions, batch_index)
        ctx.shape, ctx.samples = maps.shape, samples
        out = huge((len(regions), *output_size, maps.shape[1] // math.prod(output_size)), maps.dtype)
        where = regions.contiguous().numpy(), batch_index.contiguous().numpy()
        _kernels_ps_roi.gather(channels_last(maps).numpy(), *where, samples, out.numpy())
        return out.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        from neocog.ops import _kernels_ps_roi

        regions, batch_index = ctx.saved_tensors
        b, d, h, w = ctx.shape
        total = huge((b, h, w, d), grad.dtype).zero_()
        where = regions.contiguous().numpy(), batch_index.contiguous().numpy()
        _kernels_ps_roi.scatter(channels_last(grad).numpy(), *where, ctx.samples, total.numpy())
        return total.permute(0, 3, 1, 2), None, None, None, None


def _weigh_torch(
    maps: Tensor, regions: Tensor, batch_index: Tensor, output_size: tuple[int, int], samples: int
) -> Tensor:
    """Two matrix products, along the rows and along the columns.

    For the first the pictures of the batch stand below one another.
    """
    (b, d, h, w), r = maps.shape, regions.shape[0]  # len() of a tensor would be a constant in an export
    high, wide = output_size
    c = d // (high * wide)
    by_axis = _averages if samples == AVERAGE else partial(_bilinear, samples=samples)
    rows = by_axis(regions[:, 1], regions[:, 3], high, h)
    cols = by_axis(regions[:, 0], regions[:, 2], wide, w)
    own = batch_index[:, None] == torch.arange(b, device=maps.device)
    stacked = (own[:, None, :, None] * rows[:, :, None]).flatten(2)  # (R, high, B H)
    cells = maps.view(b, high, wide, c, h, w).permute(1, 0, 4, 5, 2, 3).reshape(high, b * h, w * wide * c)
    kind = maps.device.type
    with torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext():
        lines = (stacked.transpose(0, 1) @ cells).view(high, r, w, wide, c)
        bins = cols[:, :, None] @ lines.permute(1, 3, 2, 0, 4).flatten(3)  # (R, wide, 1, high C)
    return bins.view(r, wide, high, c).permute(0, 3, 2, 1)


def _averages(start: Tensor, end: Tensor, bins: int, limit: int) -> Tensor:
    """Weights (R, bins, limit) that average the cells which each bin touches along one axis."""
    size = divided((end - start).clamp(min=SHORTEST), bins)
    edges = start[:, None] + torch.arange(bins + 1, device=start.device, dtype=start.dtype) * size[:, None]
    first, last = edges[:, :-1].floor().clamp(0, limit), edges[:, 1:].ceil().clamp(0, limit)
    cells = torch.arange(limit, device=start.device, dtype=start.dtype)
    inside = (cells >= first[..., None]) & (cells < last[..., None])
    return inside / (last - first).clamp(min=1)[..., None]


def _bilinear(start: Tensor, end: Tensor, bins: int, limit: int, samples: int) -> Tensor:
    """Weights (R, bins, limit) of the bilinear samples of each bin along one axis."""
    cells, weights = (value.permute(1, 2, 0) for value in corners(start, end, bins, samples, limit))
    return weights.new_zeros(start.shape[0], bins, limit).scatter_add(2, cells, weights)
