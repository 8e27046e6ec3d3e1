"""Position-sensitive region pooling: every bin of a region reads maps of its own.

Dai et al. 2016 (R-FCN), arXiv:1605.06409, section 2; the rule of the average is that of the authors'
`psroi_pooling_layer.cu`. Both poolings are sums of cells by the product of a weight along each axis, so they
share a pair of kernels, and two matrix products in plain torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neocog.ops.roi_align import corners
from neocog.ops.roi_input import channels_last, check_regions, half_away, huge, use_kernels

SHORTEST = 0.1
"""Least width and height in cells of a region that is averaged."""


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
    return _weigh(maps, batch_index, *_averages(maps, boxes, output_size, spatial_scale))


def ps_roi_pool_torch(
    maps: Tensor, boxes: Tensor, batch_index: Tensor, output_size: tuple[int, int], spatial_scale: float
) -> Tensor:
    """`ps_roi_pool` in plain torch, for any device and for export."""
    return _weigh_torch(maps, batch_index, *_averages(maps, boxes, output_size, spatial_scale))


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
    return _weigh(maps, batch_index, *_samples(maps, boxes, output_size, spatial_scale, sampling_ratio))


def ps_roi_align_torch(
    maps: Tensor,
    boxes: Tensor,
    batch_index: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int = 0,
) -> Tensor:
    """`ps_roi_align` in plain torch, for any device; for export with a sampling_ratio above 0."""
    return _weigh_torch(maps, batch_index, *_samples(maps, boxes, output_size, spatial_scale, sampling_ratio))


def _check(maps: Tensor, boxes: Tensor, batch_index: Tensor, output_size: tuple[int, int]) -> None:
    check_regions(maps, boxes, batch_index, output_size)
    rows, columns = output_size
    if maps.shape[1] % (rows * columns):
        raise ValueError(f"{maps.shape[1]} maps do not divide into {rows} x {columns} bins")


def _averages(
    maps: Tensor, boxes: Tensor, output_size: tuple[int, int], scale: float
) -> tuple[Tensor, Tensor]:
    """Weights (R, rows, H) and (R, columns, W) that average the cells each bin touches."""
    pixels = half_away(boxes.detach().to(_real(maps)).nan_to_num(0).clamp(-1e6, 1e6))
    start, end = pixels[:, :2] * scale, (pixels[:, 2:] + 1) * scale

    def axis(start: Tensor, end: Tensor, bins: int, limit: int) -> Tensor:
        size = (end - start).clamp(min=SHORTEST) / bins
        edges = (
            start[:, None] + torch.arange(bins + 1, device=boxes.device, dtype=start.dtype) * size[:, None]
        )
        first, last = edges[:, :-1].floor().clamp(0, limit), edges[:, 1:].ceil().clamp(0, limit)
        cells = torch.arange(limit, device=boxes.device, dtype=start.dtype)
        inside = (cells >= first[..., None]) & (cells < last[..., None])
        return inside / (last - first).clamp(min=1)[..., None]

    height, width = maps.shape[2:]
    return (
        axis(start[:, 1], end[:, 1], output_size[0], height),
        axis(start[:, 0], end[:, 0], output_size[1], width),
    )


def _samples(
    maps: Tensor, boxes: Tensor, output_size: tuple[int, int], scale: float, sampling_ratio: int
) -> tuple[Tensor, Tensor]:
    """Weights (R, rows, H) and (R, columns, W) of the bilinear samples of each bin."""
    regions = boxes.detach().to(_real(maps)) * scale - 0.5

    def axis(start: Tensor, end: Tensor, bins: int, limit: int) -> Tensor:
        cells, weights = (v.permute(1, 2, 0) for v in corners(start, end, bins, sampling_ratio, limit))
        return weights.new_zeros(len(boxes), bins, limit).scatter_add(2, cells, weights)

    height, width = maps.shape[2:]
    return (
        axis(regions[:, 1], regions[:, 3], output_size[0], height),
        axis(regions[:, 0], regions[:, 2], output_size[1], width),
    )


def _real(maps: Tensor) -> torch.dtype:
    return torch.float64 if maps.dtype == torch.float64 else torch.float32


def _weigh(maps: Tensor, batch_index: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    if not use_kernels(maps):
        return _weigh_torch(maps, batch_index, rows, cols)
    return _Weigh.apply(maps.to(rows.dtype), batch_index, rows, cols)  # type: ignore


class _Weigh(torch.autograd.Function):
    """The Numba kernels as one differentiable operation."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, batch_index: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
        from neocog.ops import _kernels_ps_roi

        ctx.save_for_backward(batch_index, rows, cols)
        ctx.shape = maps.shape
        count, high, wide = len(rows), rows.shape[1], cols.shape[1]
        out = huge((count, high, wide, maps.shape[1] // (high * wide)), maps.dtype)
        bins = rows.contiguous().numpy(), cols.contiguous().numpy()
        index = batch_index.contiguous().numpy()
        _kernels_ps_roi.gather(channels_last(maps).numpy(), index, *bins, out.numpy())
        return out.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        from neocog.ops import _kernels_ps_roi

        batch_index, rows, cols = ctx.saved_tensors
        b, d, h, w = ctx.shape
        total = huge((b, h, w, d), grad.dtype).zero_()
        bins = rows.contiguous().numpy(), cols.contiguous().numpy()
        index = batch_index.contiguous().numpy()
        _kernels_ps_roi.scatter(channels_last(grad).numpy(), index, *bins, total.numpy())
        return total.permute(0, 3, 1, 2), None, None, None


def _weigh_torch(maps: Tensor, batch_index: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """Weigh along the rows, then along the columns; the pictures of a batch stand below one another."""
    b, d, h, w = maps.shape
    high, wide = rows.shape[1], cols.shape[1]
    cells = maps.to(rows.dtype).permute(0, 2, 3, 1).reshape(b * h, w, high, wide, d // (high * wide))
    own = batch_index[:, None] == torch.arange(b, device=maps.device)
    stacked = (own[:, None, :, None] * rows[:, :, None]).flatten(2)  # (R, rows, B H)
    with torch.autocast(maps.device.type, enabled=False):
        lines = torch.einsum("riy,yxijc->rixjc", stacked, cells)
        return torch.einsum("rjx,rixjc->rcij", cols, lines)
