"""RoI max-pooling of Fast R-CNN (Girshick 2015): the maximum of each bin of a fixed grid over a region."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neocog.ops.roi_input import (
    channels_last,
    check_regions,
    divided,
    half_away,
    huge,
    is_traced,
    use_kernels,
)


def roi_pool(
    features: Tensor, boxes: Tensor, batch_index: Tensor, output_size: tuple[int, int], spatial_scale: float
) -> Tensor:
    """Pool each box of its image into a grid of `output_size` (rows, columns), by the rule of Fast R-CNN.

    features (B, C, H, W) float; boxes (R, 4) x0 y0 x1 y1 in pixels of the network's input; batch_index (R,)
    int64 in [0, B); spatial_scale cells per pixel (1/16 for VGG-16). Returns (R, C, rows, columns) with the
    channels last in memory, float32 for half precision features; differentiable in the features only.

    Box corners are rounded to cells, half away from zero, and both ends belong to the region, at least one
    cell; bin j of n covers floor(j w / n) to ceil((j + 1) w / n) - 1, so neighbours may share a cell; what
    lies outside the map is cut off, and a bin without cells gives 0. Of equal cells the first in reading
    order gets the gradient. Raises ValueError for other shapes or an index outside the batch.
    """
    check_regions(features, boxes, batch_index, output_size)
    if features.dtype in (torch.bfloat16, torch.float16):
        features = features.float()
    rows, cols = _bins(boxes.detach().to(features.dtype), output_size, spatial_scale, features.shape[2:])
    if not use_kernels(features):
        return _pool_torch(features, batch_index, rows, cols)
    return _RoIPool.apply(features, batch_index, rows, cols)  # type: ignore


def roi_pool_torch(
    features: Tensor, boxes: Tensor, batch_index: Tensor, output_size: tuple[int, int], spatial_scale: float
) -> Tensor:
    """`roi_pool` in plain torch, for any device and for export."""
    if features.dtype in (torch.bfloat16, torch.float16):
        features = features.float()
    rows, cols = _bins(boxes.detach().to(features.dtype), output_size, spatial_scale, features.shape[2:])
    return _pool_torch(features, batch_index, rows, cols)


def _bins(
    boxes: Tensor, output_size: tuple[int, int], scale: float, limits: torch.Size
) -> tuple[Tensor, Tensor]:
    """First row and row after the last of each bin (2, R, ph) int64, and the same of columns (2, R, pw)."""
    x0, y0, x1, y1 = half_away((boxes * scale).nan_to_num(0).clamp(-1e6, 1e6)).unbind(1)

    def edges(start: Tensor, end: Tensor, bins: int, limit: int) -> Tensor:
        size = divided((end - start + 1).clamp(min=1), bins)
        steps = torch.arange(bins + 1, device=boxes.device, dtype=boxes.dtype) * size[:, None]
        ends = torch.stack([steps[:, :-1].floor(), steps[:, 1:].ceil()])
        return (ends + start[:, None]).clamp(0, limit).long()

    return edges(y0, y1, output_size[0], limits[0]), edges(x0, x1, output_size[1], limits[1])


class _RoIPool(torch.autograd.Function):
    """The Numba kernels as one differentiable operation; winners are kept only if a gradient is wanted."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, batch_index: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
        from neocog.ops import _kernels_roi

        cells, batch = channels_last(features).numpy(), batch_index.contiguous().numpy()
        bins = rows.contiguous().numpy(), cols.contiguous().numpy()
        shape = (rows.shape[1], rows.shape[2], cols.shape[2], features.shape[1])
        pooled = huge(shape, features.dtype)
        if ctx.needs_input_grad[0]:
            winners = huge(shape, torch.int32)
            _kernels_roi.max_pool_winners(cells, batch, *bins, pooled.numpy(), winners.numpy())
            ctx.shape = features.shape
            ctx.save_for_backward(batch_index, winners)
        else:
            _kernels_roi.max_pool(cells, batch, *bins, pooled.numpy())
        return pooled.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        from neocog.ops import _kernels_roi

        batch_index, winners = ctx.saved_tensors
        b, c, h, w = ctx.shape
        total = huge((b, h * w, c), grad.dtype).zero_()
        slope, batch = channels_last(grad).numpy(), batch_index.contiguous().numpy()
        _kernels_roi.max_pool_backward(slope, batch, winners.numpy(), total.numpy())
        return total.view(b, h, w, c).permute(0, 3, 1, 2), None, None, None


def _pool_torch(features: Tensor, batch_index: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """Maxima over windows of 1, 2, 4, ... cells, once for the map; each bin is then four of those windows."""
    b, c, h, w = features.shape
    flat = channels_last(features).flatten(0, 2)  # (B H W, C)
    graded = torch.is_grad_enabled() and features.requires_grad
    with torch.no_grad():
        pooled, *winners = _best(flat.detach().view(b, h, w, c), batch_index, rows, cols, graded)
    if graded:
        pooled = flat.gather(0, winners[0].flatten(0, 2)).view(pooled.shape)
    filled = (rows[0] < rows[1])[:, :, None] & (cols[0] < cols[1])[:, None]
    return torch.where(filled[..., None], pooled, 0).permute(0, 3, 1, 2)


Table = tuple[Tensor, ...]
"""Values, and where they are wanted their places."""


def _best(cells: Tensor, batch_index: Tensor, rows: Tensor, cols: Tensor, places: bool) -> Table:
    """The largest value (R, ph, pw, C) of each bin of cells (B, H, W, C), and its first place in (B H W)."""
    b, h, w = cells.shape[0], int(cells.shape[1]), int(cells.shape[2])  # a trace holds for one size of map
    tables = []
    tall: Table = (cells,)
    if places:
        tall += (torch.arange(b * h * w, device=cells.device).view(b, h, w, 1).expand(cells.shape),)
    levels_y, levels_x = _levels(rows, h), _levels(cols, w)
    for k in range(levels_y):
        if k:
            tall = _first_best(tall, _shifted(tall, 1, 1 << (k - 1)))
        wide = tall
        for m in range(levels_x):
            if m:
                wide = _first_best(wide, _shifted(wide, 2, 1 << (m - 1)))
            tables.append(wide)
    stacked = [torch.stack(columns).flatten(0, 3) for columns in zip(*tables, strict=True)]

    level_y, ys = _cover(rows, h)
    level_x, xs = _cover(cols, w)
    table = level_y[:, :, None] * levels_x + level_x[:, None]  # (R, ph, pw)
    base = (table * b + batch_index[:, None, None]) * h
    best: Table = ()
    for y in ys:
        for x in xs:
            at = (base + y[:, :, None]) * w + x[:, None]
            found = tuple(one[at] for one in stacked)
            best = _first_best(best, found) if best else found
    return best


def _levels(ends: Tensor, limit: int) -> int:
    """How many window lengths 1, 2, 4, ... the bins need; all of them in a trace, which has no values."""
    if is_traced() or not ends.numel():
        return limit.bit_length()
    return max(int((ends[1] - ends[0]).max()), 1).bit_length()


def _cover(ends: Tensor, limit: int) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Level k and the starts of two windows of 2^k cells that together cover ends[0] to ends[1]."""
    length = (ends[1] - ends[0]).clamp(min=1)
    powers = 2 ** torch.arange(1, limit.bit_length(), device=ends.device)
    level = (length[..., None] >= powers).sum(-1)
    return level, (ends[0].clamp(max=limit - 1), (ends[1] - 2**level).clamp(min=0))


def _shifted(table: Table, dim: int, by: int) -> Table:
    """The tensors read `by` cells further on; the last cell repeats."""
    size = table[0].shape[dim]
    at = (torch.arange(size, device=table[0].device) + by).clamp(max=size - 1)
    return tuple(one.index_select(dim, at) for one in table)


def _first_best(a: Table, b: Table) -> Table:
    """The larger values with their places; of equals, the earlier place."""
    if len(a) == 1:
        return (torch.maximum(a[0], b[0]),)
    take = (b[0] > a[0]) | ((b[0] == a[0]) & (b[1] < a[1]))
    return torch.where(take, b[0], a[0]), torch.where(take, b[1], a[1])
