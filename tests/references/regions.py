"""Region poolings as their definitions have them: one region, bin, channel and cell at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np


def slow_roi_pool(
    features: np.ndarray, boxes: np.ndarray, batch: np.ndarray, size: tuple[int, int], scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pooled (R, C, ph, pw) and each winner's cell y * W + x (-1: none), in the precision of the boxes."""
    channels, height, width = features.shape[1:]
    pooled = np.zeros((len(boxes), channels, *size), features.dtype)
    winners = np.full(pooled.shape, -1)
    for r, (x0, y0, x1, y1) in enumerate(boxes * boxes.dtype.type(scale)):
        rows = _bin_cells(y0, y1, size[0], height)
        cols = _bin_cells(x0, x1, size[1], width)
        for i, j, c in np.ndindex(*size, channels):
            best = -math.inf
            for y in rows[i]:
                for x in cols[j]:
                    if features[batch[r], c, y, x] > best:
                        best = features[batch[r], c, y, x]
                        pooled[r, c, i, j], winners[r, c, i, j] = best, y * width + x
    return pooled, winners


def _bin_cells(start: np.floating, end: np.floating, bins: int, length: int) -> list[list[int]]:
    """Cells of each bin along one axis."""
    real = type(start)
    first, last = _half_away(start), _half_away(end)
    size = real(max(last - first + 1, 1)) / real(bins)
    return [
        [
            cell
            for cell in range(math.floor(real(k) * size) + first, math.ceil(real(k + 1) * size) + first)
            if 0 <= cell < length
        ]
        for k in range(bins)
    ]


def _half_away(value: np.floating) -> int:
    """C's round."""
    return int(math.copysign(math.floor(abs(float(value)) + 0.5), value))


def slow_ps_roi_pool(
    maps: np.ndarray, boxes: np.ndarray, batch: np.ndarray, size: tuple[int, int], scale: float
) -> np.ndarray:
    """Averages (R, C, ph, pw) by the table of R-FCN's `psroi_pooling_layer.cu`, in the boxes' precision.

    The channels of maps (B, C ph pw, H, W) are the authors': (c ph + i) pw + j.
    """
    real = boxes.dtype.type
    height, width = maps.shape[2:]
    channels = maps.shape[1] // (size[0] * size[1])
    pooled = np.zeros((len(boxes), channels, *size), maps.dtype)
    for r, (x0, y0, x1, y1) in enumerate(boxes):
        starts = [real(_half_away(v)) * real(scale) for v in (y0, x0)]
        ends = [(real(_half_away(v)) + real(1)) * real(scale) for v in (y1, x1)]
        sizes = [
            max(end - start, real(0.1)) / real(n) for start, end, n in zip(starts, ends, size, strict=True)
        ]
        for i, j, c in np.ndindex(*size, channels):
            first = [
                math.floor(real(k) * step + start)
                for k, step, start in zip((i, j), sizes, starts, strict=True)
            ]
            last = [
                math.ceil(real(k + 1) * step + start)
                for k, step, start in zip((i, j), sizes, starts, strict=True)
            ]
            cells = [
                float(maps[batch[r], (c * size[0] + i) * size[1] + j, y, x])
                for y in range(first[0], last[0])
                for x in range(first[1], last[1])
                if 0 <= y < height and 0 <= x < width
            ]
            if cells:
                pooled[r, c, i, j] = sum(cells) / len(cells)
    return pooled


def slow_ps_roi_align(
    maps: np.ndarray, boxes: np.ndarray, batch: np.ndarray, size: tuple[int, int], scale: float, samples: int
) -> np.ndarray:
    """Of RoIAlign on all the authors' channels, for each bin what lies in its own (R, C, ph, pw)."""
    whole = slow_roi_align(maps, boxes, batch, size, scale, samples, aligned=True)
    channels = maps.shape[1] // (size[0] * size[1])
    out = np.zeros((len(boxes), channels, *size))
    for i, j, c in np.ndindex(*size, channels):
        out[:, c, i, j] = whole[:, (c * size[0] + i) * size[1] + j, i, j]
    return out


def slow_roi_align(
    features: np.ndarray,
    boxes: np.ndarray,
    batch: np.ndarray,
    size: tuple[int, int],
    scale: float,
    samples: int,
    aligned: bool,
) -> np.ndarray:
    """Average of bilinear samples (R, C, ph, pw), in double precision."""
    out = np.zeros((len(boxes), features.shape[1], *size))
    for r, box in enumerate(boxes.astype(np.float64)):
        x0, y0, x1, y1 = box * scale - (0.5 if aligned else 0.0)
        if not aligned:
            x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        for i, j in np.ndindex(*size):
            ys = list(_positions(y0, y1, size[0], i, samples))
            xs = list(_positions(x0, x1, size[1], j, samples))
            values = [_bilinear(features[batch[r]], y, x) for y in ys for x in xs]
            if values:
                out[r, :, i, j] = np.mean(values, axis=0)
    return out


def _positions(start: float, end: float, bins: int, index: int, samples: int) -> Iterator[float]:
    size = (end - start) / bins
    count = samples or math.ceil(size)
    for k in range(count):
        yield start + index * size + (k + 0.5) * size / count


def _bilinear(image: np.ndarray, y: float, x: float) -> np.ndarray:
    """Value (C,) at a point of image (C, H, W), its border cells extended by one cell, 0 beyond."""
    height, width = image.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return np.zeros(len(image))
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    v, u = y - top, x - left
    upper = (1 - u) * image[:, top, left] + u * image[:, top, right]
    lower = (1 - u) * image[:, bottom, left] + u * image[:, bottom, right]
    return (1 - v) * upper + v * lower
