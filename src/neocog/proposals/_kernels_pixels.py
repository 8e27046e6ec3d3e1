"""Numba kernels over pixels: separable filters, bins and region statistics; imported on first use.

Neither `fastmath` nor threads: results are the same bits every time.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Real32 = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int32]
TURNS = 8  # orientations of the texture, over half a turn
TEXTURE_BINS = 10  # bins of each


@njit(cache=True, nogil=True)
def filter_rows(image: Real32, taps: Real32) -> Real32:
    """Correlate each row of (H, W, C) with `taps` (odd in number); outside, the row is mirrored."""
    height, width, channels = image.shape
    reach = len(taps) // 2
    out = np.empty_like(image)
    padded = np.empty((width + 2 * reach) * channels, np.float32)
    length = width * channels
    for y in range(height):
        for x in range(-reach, width + reach):
            source = _mirrored(x, width)
            for c in range(channels):
                padded[(x + reach) * channels + c] = image[y, source, c]
        line = out[y].reshape(length)
        _weighted(padded, channels, taps, line)
    return out


@njit(cache=True, nogil=True)
def _weighted(padded: Real32, step: int, taps: Real32, line: Real32) -> None:
    line[:] = taps[0] * padded[: len(line)]
    for t in range(1, len(taps)):
        tap, moved = taps[t], padded[t * step : t * step + len(line)]
        for i in range(len(line)):
            line[i] += tap * moved[i]


@njit(cache=True, nogil=True)
def filter_columns(image: Real32, taps: Real32) -> Real32:
    """Correlate each column of (H, W, C) with `taps` (odd in number); outside, the column is mirrored."""
    height, width, channels = image.shape
    reach, length = len(taps) // 2, width * channels
    rows = image.reshape(height, length)
    out = np.empty((height, length), np.float32)
    for y in range(height):
        line = out[y]
        line[:] = taps[0] * rows[_mirrored(y - reach, height)]
        for t in range(1, len(taps)):
            tap, moved = taps[t], rows[_mirrored(y + t - reach, height)]
            for i in range(length):
                line[i] += tap * moved[i]
    return out.reshape(height, width, channels)


@njit(cache=True, nogil=True)
def _mirrored(at: int, length: int) -> int:
    """The place inside that lies mirrored at the border, which runs between pixels: c b a | a b c | c b a."""
    while at < 0 or at >= length:
        at = -at - 1 if at < 0 else 2 * length - 1 - at
    return at


@njit(cache=True, nogil=True)
def orientation_bins(across: Real32, down: Real32, reach: float, out: Bytes) -> None:
    """Fill out (H W, C * 8) with 10 (8 c + o) + bin of the derivative of channel c in direction o / 8 of pi.

    across, down (H W, C): the derivatives along x and y. Ten equal bins lie between -reach and reach, and the
    outer ones take what is beyond.
    """
    half = np.float32(TEXTURE_BINS / 2)
    scale = np.float32(half / reach)
    cosines, sines = np.empty(TURNS, np.float32), np.empty(TURNS, np.float32)
    for turn in range(TURNS):
        cosines[turn] = scale * math.cos(math.pi * turn / TURNS)
        sines[turn] = scale * math.sin(math.pi * turn / TURNS)
    for p in range(across.shape[0]):
        for c in range(across.shape[1]):
            base = c * TURNS
            for turn in range(TURNS):
                place = cosines[turn] * across[p, c] + sines[turn] * down[p, c] + half
                place = min(max(place, np.float32(0)), np.float32(TEXTURE_BINS - 1))
                out[p, base + turn] = np.uint8(np.int32(place) + TEXTURE_BINS * (base + turn))


@njit(cache=True, nogil=True)
def count_bins(labels: Ints, bins: Bytes, counts: Ints, first: int) -> None:
    """Add to counts (R, B), at column `first` + bin, the bins (P, n) of every pixel of region labels (P,)."""
    for p in range(len(labels)):
        row, mine = counts[labels[p]], bins[p]
        for j in range(len(mine)):
            row[first + mine[j]] += 1


@njit(cache=True, nogil=True)
def extents(labels: Ints, count: int) -> tuple[Ints, Ints]:
    """Sizes (R,) in pixels and tight boxes (R, 4) x0 y0 x1 y1, half-open, of the regions of labels (H, W)."""
    height, width = labels.shape
    sizes = np.zeros(count, np.int32)
    boxes = np.zeros((count, 4), np.int32)
    boxes[:, 0], boxes[:, 1] = width, height
    for y in range(height):
        x = 0
        while x < width:
            label, start = labels[y, x], x
            while x < width and labels[y, x] == label:
                x += 1
            box = boxes[label]
            sizes[label] += x - start
            box[0], box[2] = min(box[0], start), max(box[2], x)
            box[1], box[3] = min(box[1], y), max(box[3], y + 1)
    return sizes, boxes


@njit(cache=True, nogil=True)
def neighbours(labels: Ints, count: int) -> Ints:
    """Pairs (P, 2) of regions with pixels side by side or corner to corner: higher, lower, in that order."""
    height, width = labels.shape
    starts = np.zeros(count + 1, np.int64)
    found = _borders(labels, starts, np.empty(0, np.int32), False)
    lower = np.empty(found, np.int32)
    for region in range(count - 1, -1, -1):
        starts[region + 1] = starts[region]
    starts[0] = 0
    for region in range(count):
        starts[region + 1] += starts[region]
    ends = starts[:-1].copy()
    _borders(labels, ends, lower, True)
    return _unique_pairs(lower, starts)


@njit(cache=True, nogil=True)
def _borders(labels: Ints, places: NDArray[np.int64], lower: Ints, write: bool) -> int:
    """Count, or write, the lower label at each border of two pixels, by the higher label."""
    height, width = labels.shape
    found = 0
    for y in range(height):
        for x in range(width):
            here = labels[y, x]
            for side in range(4):
                y1 = y + (1 if side else 0)
                x1 = x + (1 if side == 0 else side - 2)
                if y1 >= height or x1 < 0 or x1 >= width or labels[y1, x1] == here:
                    continue
                there = labels[y1, x1]
                high = max(here, there)
                if write:
                    lower[places[high]] = min(here, there)
                places[high] += 1
                found += 1
    return found


@njit(cache=True, nogil=True)
def _unique_pairs(lower: Ints, starts: NDArray[np.int64]) -> Ints:
    count = len(starts) - 1
    pairs = np.empty((len(lower), 2), np.int32)
    seen = np.full(count, -1, np.int32)
    filled = 0
    for high in range(count):
        first = filled
        for i in range(starts[high], starts[high + 1]):
            low = lower[i]
            if seen[low] != high:
                seen[low] = high
                pairs[filled, 0], pairs[filled, 1] = high, low
                filled += 1
        pairs[first:filled, 1].sort()
    return pairs[:filled].copy()


def gaussian(sigma: float, order: int = 0) -> NDArray[np.floating[Any]]:
    """Taps of a Gaussian, or of its derivative (order 1), cut at four sigma, for correlation.

    The Gaussian sums to one; the derivative gives the slope a pixel (1 on a ramp that rises by 1 a pixel).
    """
    reach = int(4 * sigma + 0.5)
    x = np.arange(-reach, reach + 1, dtype=np.float64)
    bell = np.exp(-0.5 * (x / sigma) ** 2)
    bell /= bell.sum()
    if order:
        bell = bell * x
        bell /= (bell * x).sum()
    return bell.astype(np.float32)
