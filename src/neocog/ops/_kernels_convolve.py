"""Numba kernels of direct convolution, compiled once and kept on disk; imported on first use.

An output is made tile by tile. The part of the input that a tile sees is copied, with zeros where there is
no input, into a buffer that stays in the cache. There every tap of the kernel is one offset into flat memory:
a tile is a sum of shifted, weighted copies of one long run, whatever the number of dimensions. What the run
gives between the end of a row and the next is not used. Nine taps share one load and one store of the sum.

A complex number is two real ones side by side, and a complex kernel a real kernel on the input and another on
the input times i, so that only real numbers are ever multiplied. `contract` lets a product and a sum be one
instruction, and nothing else: the order of the sum is that of the taps, the same on any number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Numbers = NDArray[Any]
Ints = NDArray[np.int64]
Triple = tuple[int, int, int]
RUN = 2048  # sums of a run that stay in the first cache while all taps pass


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def convolve_tiles(
    inputs: Numbers,
    kernels: Numbers,
    lengths: Ints,
    input_of: Ints,
    kernel_of: Ints,
    out: Numbers,
    begin: int,
    end: int,
) -> None:
    """Fill the tiles from `begin` to `end` of out (B, D, H, W, c), c real numbers a cell: 1, or 2 if complex.

    inputs (I, D', H', W', c); kernels (K, p, taps) real, in p parts (2: real and imaginary), the last tap
    first; example b takes input input_of[b] and kernel kernel_of[b]. `lengths` are those of a kernel, where
    out begins in the full convolution, and those of a tile: three each.
    """
    size, start = (lengths[0], lengths[1], lengths[2]), (lengths[3], lengths[4], lengths[5])
    tile = (lengths[6], lengths[7], lengths[8])
    numbers = out.shape[4]
    parts = kernels.shape[1]
    deep, high, wide = tile[0] + size[0] - 1, tile[1] + size[1] - 1, tile[2] + size[2] - 1
    room = deep * high * wide * numbers
    seen = np.empty(parts * room, out.dtype)
    sums = np.empty(tile[1] * wide * numbers, out.dtype)
    offsets = _offsets(size, high, wide, numbers, room, parts)
    tiles_d, tiles_h = -(-out.shape[1] // tile[0]), -(-out.shape[2] // tile[1])
    tiles_w = -(-out.shape[3] // tile[2])
    for index in range(begin, end):
        rest, w = index // tiles_w, index % tiles_w * tile[2]
        rest, h = rest // tiles_h, rest % tiles_h * tile[1]
        b, d = rest // tiles_d, rest % tiles_d * tile[0]
        corner = (d + start[0] - size[0] + 1, h + start[1] - size[1] + 1, w + start[2] - size[2] + 1)
        taps = kernels[kernel_of[b]].reshape(-1)
        rows, cells = min(tile[1], out.shape[2] - h), min(tile[2], out.shape[3] - w)
        source = inputs[input_of[b]]
        if deep * high * parts == 1 and _within(corner, wide, source.shape):  # a row needs no copy
            row = source[corner[0], corner[1], corner[2] :].reshape(-1)
            _sum(row, taps, offsets, out[b, d, h, w : w + cells].reshape(-1))
            continue
        _see(source, corner, (deep, high, wide), seen[:room])
        if parts == 2:
            _times_i(seen[:room], seen[room:])
        length = ((rows - 1) * wide + cells) * numbers
        for i in range(min(tile[0], out.shape[1] - d)):
            _sum(seen[i * high * wide * numbers :], taps, offsets, sums[:length])
            for j in range(rows):
                at = j * wide * numbers
                _copy(sums[at : at + cells * numbers], out[b, d + i, h + j, w : w + cells].reshape(-1))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _within(corner: Triple, wide: int, shape: tuple[int, int, int, int]) -> bool:
    """Whether `wide` cells of a row from the corner all lie in an input of this shape."""
    inside = 0 <= corner[0] < shape[0] and 0 <= corner[1] < shape[1]
    return inside and corner[2] >= 0 and corner[2] + wide <= shape[2]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _offsets(size: Triple, high: int, wide: int, numbers: int, room: int, parts: int) -> Ints:
    """Where each tap reads, in numbers from the place of its sum."""
    result = np.empty(parts * size[0] * size[1] * size[2], np.int64)
    at = 0
    for part in range(parts):
        for d in range(size[0]):
            for h in range(size[1]):
                for w in range(size[2]):
                    result[at] = ((d * high + h) * wide + w) * numbers + part * room
                    at += 1
    return result


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _see(source: Numbers, corner: Triple, shape: Triple, seen: Numbers) -> None:
    """Copy the box of `shape` at `corner` of source (D, H, W, c) into `seen`; 0 where there is no source."""
    numbers = source.shape[3]
    left = min(max(-corner[2], 0), shape[2])
    right = max(min(source.shape[2] - corner[2], shape[2]), left)
    for i in range(shape[0]):
        d = corner[0] + i
        for j in range(shape[1]):
            h = corner[1] + j
            at = (i * shape[1] + j) * shape[2] * numbers
            line = seen[at : at + shape[2] * numbers]
            if 0 <= d < source.shape[0] and 0 <= h < source.shape[1] and left < right:
                line[: left * numbers] = 0
                cells = source[d, h, corner[2] + left : corner[2] + right].reshape(-1)
                _copy(cells, line[left * numbers :])
                line[right * numbers :] = 0
            else:
                line[:] = 0


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _copy(source: Numbers, target: Numbers) -> None:
    """Numba's own assignment of a slice guards against overlap, and is several times slower."""
    for k in range(len(source)):
        target[k] = source[k]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _times_i(values: Numbers, out: Numbers) -> None:
    for k in range(0, len(values), 2):
        out[k], out[k + 1] = -values[k + 1], values[k]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _sum(seen: Numbers, taps: Numbers, offsets: Ints, sums: Numbers) -> None:
    """sums[j] = sum over t of taps[t] seen[offsets[t] + j]."""
    for low in range(0, len(sums), RUN):
        run = sums[low : low + RUN]
        view = seen[low:]
        t = 0
        while t + 9 <= len(taps):
            _add_nine(view, taps[t:], offsets[t:], run, t == 0)
            t += 9
        while t + 3 <= len(taps):
            _add_three(view, taps[t:], offsets[t:], run, t == 0)
            t += 3
        while t < len(taps):
            _add_one(view, taps[t], offsets[t], run, t == 0)
            t += 1


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_nine(seen: Numbers, taps: Numbers, offsets: Ints, run: Numbers, first: bool) -> None:
    k0, k1, k2 = taps[0], taps[1], taps[2]
    k3, k4, k5 = taps[3], taps[4], taps[5]
    k6, k7, k8 = taps[6], taps[7], taps[8]
    s0, s1, s2 = seen[offsets[0] :], seen[offsets[1] :], seen[offsets[2] :]
    s3, s4, s5 = seen[offsets[3] :], seen[offsets[4] :], seen[offsets[5] :]
    s6, s7, s8 = seen[offsets[6] :], seen[offsets[7] :], seen[offsets[8] :]
    if first:
        for j in range(len(run)):
            one = k0 * s0[j] + k1 * s1[j] + k2 * s2[j]
            two = k3 * s3[j] + k4 * s4[j] + k5 * s5[j]
            run[j] = one + two + (k6 * s6[j] + k7 * s7[j] + k8 * s8[j])
    else:
        for j in range(len(run)):
            one = k0 * s0[j] + k1 * s1[j] + k2 * s2[j]
            two = k3 * s3[j] + k4 * s4[j] + k5 * s5[j]
            run[j] += one + two + (k6 * s6[j] + k7 * s7[j] + k8 * s8[j])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_three(seen: Numbers, taps: Numbers, offsets: Ints, run: Numbers, first: bool) -> None:
    k0, k1, k2 = taps[0], taps[1], taps[2]
    s0, s1, s2 = seen[offsets[0] :], seen[offsets[1] :], seen[offsets[2] :]
    if first:
        for j in range(len(run)):
            run[j] = k0 * s0[j] + k1 * s1[j] + k2 * s2[j]
    else:
        for j in range(len(run)):
            run[j] += k0 * s0[j] + k1 * s1[j] + k2 * s2[j]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_one(seen: Numbers, tap: Any, offset: int, run: Numbers, first: bool) -> None:
    shifted = seen[offset:]
    if first:
        for j in range(len(run)):
            run[j] = tap * shifted[j]
    else:
        for j in range(len(run)):
            run[j] += tap * shifted[j]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def peaks(bits: Numbers, mask: int, box: Triple, out: Numbers) -> None:
    """The largest masked number of each box of bits (B, D, H, W); out (B, D", H", W") starts as zeros.

    Without the sign bit, floating numbers have the order of their bits as integers, and a maximum of integers
    is one vector instruction whatever the order. The last box along an axis takes what is left.
    """
    _, deep, high, wide = out.shape
    for b in range(bits.shape[0]):
        for i in range(bits.shape[1]):
            for j in range(bits.shape[2]):
                row, tops = bits[b, i, j], out[b, min(i // box[0], deep - 1), min(j // box[1], high - 1)]
                for k in range(wide):
                    end = len(row) if k == wide - 1 else (k + 1) * box[2]
                    tops[k] = max(tops[k], _peak(row[k * box[2] : end], mask))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _peak(bits: Numbers, mask: int) -> Any:
    top = bits[0] & mask
    for k in range(1, len(bits)):
        top = max(top, bits[k] & mask)
    return top
