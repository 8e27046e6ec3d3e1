"""Numba kernels of the region poolings, channels last. Imported on first use, because importing Numba is slow."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

MOST_SAMPLES = 1 << 16  # per bin and axis: reached only by a box of half a million cells


@njit(cache=True, nogil=True)
def max_pool(features: NDArray, batch: NDArray, rows: NDArray, cols: NDArray) -> NDArray:
    """(R, ph, pw, C) maxima of features (B, H, W, C); rows (2, R, ph) and cols (2, R, pw): start, end."""
    count, ph, pw, channels = len(batch), rows.shape[2], cols.shape[2], features.shape[3]
    out = np.zeros((count, ph, pw, channels), features.dtype)
    lowest = np.finfo(features.dtype).min
    for r in range(count):
        image = features[batch[r]]
        for i in range(ph):
            for j in range(pw):
                best = out[r, i, j]
                if rows[0, r, i] < rows[1, r, i] and cols[0, r, j] < cols[1, r, j]:
                    best[:] = lowest
                for y in range(rows[0, r, i], rows[1, r, i]):
                    for x in range(cols[0, r, j], cols[1, r, j]):
                        cell = image[y, x]
                        for c in range(channels):
                            best[c] = cell[c] if cell[c] > best[c] else best[c]
    return out


@njit(cache=True, nogil=True)
def max_pool_argmax(
    features: NDArray, batch: NDArray, rows: NDArray, cols: NDArray
) -> tuple[NDArray, NDArray]:
    """`max_pool` and the cell (R, ph, pw, C) int32 each maximum comes from: y * W + x, or -1 if none."""
    count, ph, pw, channels = len(batch), rows.shape[2], cols.shape[2], features.shape[3]
    out = np.zeros((count, ph, pw, channels), features.dtype)
    where = np.full((count, ph, pw, channels), -1, np.int32)
    lowest = np.finfo(features.dtype).min
    for r in range(count):
        image = features[batch[r]]
        for i in range(ph):
            for j in range(pw):
                best, winner = out[r, i, j], where[r, i, j]
                if rows[0, r, i] < rows[1, r, i] and cols[0, r, j] < cols[1, r, j]:
                    best[:] = lowest
                for y in range(rows[0, r, i], rows[1, r, i]):
                    for x in range(cols[0, r, j], cols[1, r, j]):
                        cell, index = image[y, x], np.int32(y * features.shape[2] + x)
                        for c in range(channels):
                            higher = cell[c] > best[c]
                            best[c] = cell[c] if higher else best[c]
                            winner[c] = index if higher else winner[c]
    return out, where


@njit(cache=True, nogil=True)
def max_pool_backward(grad: NDArray, batch: NDArray, where: NDArray, out: NDArray) -> None:
    """Add grad (R, ph, pw, C) to the winning cells of out (B, H * W, C)."""
    count, ph, pw, channels = grad.shape
    for r in range(count):
        image = out[batch[r]]
        for i in range(ph):
            for j in range(pw):
                for c in range(channels):
                    if where[r, i, j, c] >= 0:
                        image[where[r, i, j, c], c] += grad[r, i, j, c]


@njit(cache=True, nogil=True)
def _taps(
    start: float,
    end: float,
    bins: int,
    samples: int,
    length: int,
    first: NDArray,
    cell: NDArray,
    weight: NDArray,
) -> None:
    """Bilinear sampling along one axis: bin i averages cells cell[first[i]:first[i + 1]] with their weights."""
    real = weight.dtype.type
    zero, half = real(0), real(0.5)
    size = (end - start) / real(bins)
    grid = samples if samples > 0 else int(min(math.ceil(size), MOST_SAMPLES))
    n = 0
    for i in range(bins):
        first[i] = n
        for k in range(grid):
            at = start + real(i) * size + (real(k) + half) * size / real(grid)
            if not (real(-1) <= at <= real(length)):
                continue
            at = max(at, zero)
            low = int(at)
            if low >= length - 1:
                low, at = length - 1, real(length - 1)
            right = (at - real(low)) / real(grid)
            left = (real(1) - (at - real(low))) / real(grid)
            for side in range(2):
                share = right if side else left
                if share == zero:
                    continue
                if n > first[i] and cell[n - 1] == low + side:
                    weight[n - 1] += share
                elif n > first[i] + 1 and cell[n - 2] == low + side:
                    weight[n - 2] += share
                else:
                    cell[n], weight[n] = low + side, share
                    n += 1
    first[bins] = n


@njit(cache=True, nogil=True)
def align(features: NDArray, boxes: NDArray, batch: NDArray, out: NDArray, samples: int) -> None:
    """Fill out (R, ph, pw, C), zeros, from features (B, H, W, C) under boxes (R, 4) in cells, corner to corner."""
    count, ph, pw, channels = out.shape
    _, height, width, _ = features.shape
    room_y, room_x = 2 * (ph * max(samples, 1) + 2 * height + 4), 2 * (pw * max(samples, 1) + 2 * width + 4)
    first_y, y, wy = np.empty(ph + 1, np.int64), np.empty(room_y, np.int64), np.empty(room_y, boxes.dtype)
    first_x, x, wx = np.empty(pw + 1, np.int64), np.empty(room_x, np.int64), np.empty(room_x, boxes.dtype)
    for r in range(count):
        _taps(boxes[r, 1], boxes[r, 3], ph, samples, height, first_y, y, wy)
        _taps(boxes[r, 0], boxes[r, 2], pw, samples, width, first_x, x, wx)
        image = features[batch[r]]
        for i in range(ph):
            for j in range(pw):
                total = out[r, i, j]
                for p in range(first_y[i], first_y[i + 1]):
                    for q in range(first_x[j], first_x[j + 1]):
                        value, weight = image[y[p], x[q]], wy[p] * wx[q]
                        for c in range(channels):
                            total[c] += weight * value[c]


@njit(cache=True, nogil=True)
def align_backward(grad: NDArray, boxes: NDArray, batch: NDArray, out: NDArray, samples: int) -> None:
    """Add to out (B, H, W, C) the gradient of features given that of `align`'s result (R, ph, pw, C)."""
    count, ph, pw, channels = grad.shape
    _, height, width, _ = out.shape
    room_y, room_x = 2 * (ph * max(samples, 1) + 2 * height + 4), 2 * (pw * max(samples, 1) + 2 * width + 4)
    first_y, y, wy = np.empty(ph + 1, np.int64), np.empty(room_y, np.int64), np.empty(room_y, boxes.dtype)
    first_x, x, wx = np.empty(pw + 1, np.int64), np.empty(room_x, np.int64), np.empty(room_x, boxes.dtype)
    for r in range(count):
        _taps(boxes[r, 1], boxes[r, 3], ph, samples, height, first_y, y, wy)
        _taps(boxes[r, 0], boxes[r, 2], pw, samples, width, first_x, x, wx)
        image = out[batch[r]]
        for i in range(ph):
            for j in range(pw):
                slope = grad[r, i, j]
                for p in range(first_y[i], first_y[i + 1]):
                    for q in range(first_x[j], first_x[j + 1]):
                        value, weight = image[y[p], x[q]], wy[p] * wx[q]
                        for c in range(channels):
                            value[c] += weight * slope[c]
