"""RoIAlign (He et al. 2017, Mask R-CNN): region pooling by bilinear sampling, nothing rounded to cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neocog.ops.roi_input import (
    MOST_SAMPLES,
    channels_last,
    check_regions,
    divided,
    huge,
    is_traced,
    use_kernels,
)


def roi_align(
    features: Tensor,
    boxes: Tensor,
    batch_index: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> Tensor:
    """Average bilinear samples of each box of its image in a grid of `output_size` (rows, columns).

    features (B, C, H, W) float; boxes (R, 4) x0 y0 x1 y1 in pixels of the network's input; batch_index (R,)
    int64 in [0, B); spatial_scale cells per pixel. A bin averages sampling_ratio x sampling_ratio samples, or
    with 0 one per cell (its size rounded up). `aligned` puts cell centres at half cells, as pixels have
    them; without it centres are at whole numbers and a box is at least one cell (the first publication's
    code). Samples more than a cell outside the map count as 0.

    Returns (R, C, rows, columns) with the channels last in memory, float32 for half precision features;
    differentiable in the features only. Raises ValueError for other shapes or an index outside the batch.
    """
    check_regions(features, boxes, batch_index, output_size)
    features, regions = in_cells(features, boxes, spatial_scale, aligned)
    if not use_kernels(features):
        return _align_torch(features, regions, batch_index, output_size, sampling_ratio)
    rows = torch.arange(len(boxes))
    return _RoIAlign.apply(batch_index, output_size, sampling_ratio, [rows], [regions], features)  # type: ignore


def roi_align_maps(
    maps: Sequence[Tensor],
    which: Tensor,
    boxes: Tensor,
    batch_index: Tensor,
    output_size: tuple[int, int],
    spatial_scales: Sequence[float],
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> Tensor:
    """`roi_align` of each box on one of several maps (B, C, h, w), `which` (R,) int64, of these scales."""
    places = [torch.nonzero(which == place).squeeze(1) for place in range(len(maps))]
    if not use_kernels(maps[0]):
        pooled = [
            roi_align(one, boxes[own], batch_index[own], output_size, scale, sampling_ratio, aligned)
            for one, own, scale in zip(maps, places, spatial_scales, strict=True)
        ]
        return torch.cat(pooled)[torch.cat(places).argsort()]
    for one in maps:
        check_regions(one, boxes, batch_index, output_size)
    cells = [in_cells(one, boxes, scale, aligned) for one, scale in zip(maps, spatial_scales, strict=True)]
    features, regions = zip(*cells, strict=True)
    return _RoIAlign.apply(batch_index, output_size, sampling_ratio, places, regions, *features)  # type: ignore


def roi_align_torch(
    features: Tensor,
    boxes: Tensor,
    batch_index: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> Tensor:
    """`roi_align` in plain torch, for any device; for export with a sampling_ratio above 0."""
    features, regions = in_cells(features, boxes, spatial_scale, aligned)
    return _align_torch(features, regions, batch_index, output_size, sampling_ratio)


def in_cells(features: Tensor, boxes: Tensor, scale: float, aligned: bool) -> tuple[Tensor, Tensor]:
    """Features in float32 or float64, and boxes (R, 4) in units of cells with centres at whole numbers."""
    if features.dtype in (torch.bfloat16, torch.float16):
        features = features.float()
    regions = boxes.detach().to(features.dtype) * scale - (0.5 if aligned else 0.0)
    if not aligned:
        regions = torch.cat([regions[:, :2], torch.maximum(regions[:, 2:], regions[:, :2] + 1)], dim=1)
    return features, regions


class _RoIAlign(torch.autograd.Function):
    """The Numba kernels as one differentiable operation, on one map or on several."""

    @staticmethod
    def forward(
        ctx: Any,
        batch_index: Tensor,
        output_size: tuple[int, int],
        samples: int,
        rows: Sequence[Tensor],
        regions: Sequence[Tensor],
        *maps: Tensor,
    ) -> Tensor:
        """Each map (B, C, h, w) has its own rows of the result, and regions (R, 4), in its cells."""
        from neocog.ops import _kernels_roi

        ctx.save_for_backward(batch_index, *rows, *regions)
        ctx.shapes, ctx.samples = [one.shape for one in maps], samples
        out = huge((len(batch_index), *output_size, maps[0].shape[1]), maps[0].dtype)
        batch = batch_index.contiguous().numpy()
        for one, own, boxes in zip(maps, rows, regions, strict=True):
            where = boxes.contiguous().numpy(), batch, own.numpy()
            _kernels_roi.align(channels_last(one).numpy(), *where, samples, out.numpy())
        return out.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        from neocog.ops import _kernels_roi

        batch_index, *places = ctx.saved_tensors
        count = len(ctx.shapes)
        slope, batch = channels_last(grad).numpy(), batch_index.contiguous().numpy()
        totals = []
        for (b, c, h, w), own, boxes in zip(ctx.shapes, places[:count], places[count:], strict=True):
            total = huge((b, h, w, c), grad.dtype).zero_()
            where = boxes.contiguous().numpy(), batch, own.numpy()
            _kernels_roi.align_backward(slope, *where, ctx.samples, total.numpy())
            totals.append(total.permute(0, 3, 1, 2))
        return None, None, None, None, None, *totals


def _align_torch(
    features: Tensor, regions: Tensor, batch_index: Tensor, output_size: tuple[int, int], samples: int
) -> Tensor:
    """Gather the four corners of one sample of every bin at a time."""
    b, c, h, w = features.shape
    table = channels_last(features).flatten(0, 2)  # (B H W, C)
    ys, wy = corners(regions[:, 1], regions[:, 3], output_size[0], samples, h)
    xs, wx = corners(regions[:, 0], regions[:, 2], output_size[1], samples, w)
    total = table.new_zeros(regions.shape[0], *output_size, c)
    for y, y_weight in zip(ys, wy, strict=True):
        for x, x_weight in zip(xs, wx, strict=True):
            at = (batch_index[:, None, None] * h + y[:, :, None]) * w + x[:, None]
            total = total + table[at] * (y_weight[:, :, None] * x_weight[:, None])[..., None]
    return total.permute(0, 3, 1, 2)


def corners(start: Tensor, end: Tensor, bins: int, samples: int, limit: int) -> tuple[Tensor, Tensor]:
    """Cells (2 S, R, bins) int64 that a bin's S samples lie between along one axis, and their weights."""
    size = divided(end - start, bins)[:, None]  # (R, 1)
    left = start[:, None] + torch.arange(bins, device=start.device, dtype=start.dtype) * size  # (R, bins)
    if samples:
        grid, first, most = torch.full_like(size, samples), torch.zeros_like(left), samples
    else:
        grid = size.ceil().nan_to_num(0).clamp(min=0).clamp(max=MOST_SAMPLES)
        # Samples lie at least half a cell apart, so of a huge box only those about the map are visited.
        first = ((-2 - left) * grid / size).floor().nan_to_num(0, 0, 0).clamp(min=0)
        if is_traced():  # without values: no region that lies in the map has a larger bin
            most = limit // bins + 1
        else:
            most = max(1, min(int(grid.max()), 2 * (limit + 4))) if grid.numel() else 1
    k = first + torch.arange(most, device=start.device, dtype=start.dtype)[:, None, None]  # (S, R, bins)
    at = left + (k + 0.5) * size / grid
    seen = (k < grid) & (at >= -1) & (at <= limit)
    at = at.nan_to_num(0).clamp(min=0).clamp(max=limit - 1)
    low = at.floor()
    share = seen / grid.clamp(min=1)
    cells = torch.cat([low, (low + 1).clamp(max=limit - 1)]).long()
    return cells, torch.cat([(1 - (at - low)) * share, (at - low) * share])
