"""Numba kernels of the graph segmentation: sorted edges and components; imported on first use.

An edge is named 4 p + d: from pixel p (in reading order) to its neighbour to the right (d = 0), below to the
left (1), below (2) or below to the right (3). Edges go by weight, and equal weights by that name.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Real32 = NDArray[np.float32]
Ints = NDArray[np.int32]
DIGIT = 11  # bits sorted at a time


@njit(cache=True, nogil=True)
def sorted_edges(image: Real32) -> tuple[Ints, Real32]:
    """Names (E,) and weights (E,) of all edges of (H, W, C), lightest first: distances of the colours."""
    height, width, channels = image.shape
    names = np.empty(4 * height * width, np.int32)
    weights = np.empty(4 * height * width, np.float32)
    filled = 0
    for y in range(height):
        for x in range(width):
            for side in range(4):
                y1 = y + (1 if side else 0)
                x1 = x + (1 if side == 0 else side - 2)
                if y1 >= height or x1 < 0 or x1 >= width:
                    continue
                square = np.float32(0)
                for c in range(channels):
                    step = image[y, x, c] - image[y1, x1, c]
                    square += step * step
                names[filled] = 4 * (y * width + x) + side
                weights[filled] = np.float32(math.sqrt(square))
                filled += 1
    return _sort(names[:filled], weights[:filled])


@njit(cache=True, nogil=True)
def _sort(names: Ints, weights: Real32) -> tuple[Ints, Real32]:
    """By weight, stable: the bits of floats that are not negative order as the floats do."""
    keys = weights.view(np.uint32)
    other_names, other_keys = np.empty_like(names), np.empty_like(keys)
    size = 1 << DIGIT
    counts = np.zeros((3, size), np.int64)
    for key in keys:
        counts[0, key & (size - 1)] += 1
        counts[1, (key >> DIGIT) & (size - 1)] += 1
        counts[2, key >> (2 * DIGIT)] += 1
    for turn in range(3):
        places = counts[turn]
        total = 0
        for digit in range(size):
            total, places[digit] = total + places[digit], total
        for i in range(len(keys)):
            digit = (keys[i] >> np.uint32(turn * DIGIT)) & np.uint32(size - 1)
            place = places[digit]
            places[digit] = place + 1
            other_keys[place], other_names[place] = keys[i], names[i]
        keys, other_keys = other_keys, keys
        names, other_names = other_names, names
    return names, keys.view(np.float32)


@njit(cache=True, nogil=True)
def components(names: Ints, weights: Real32, shape: tuple[int, int], scales: Real32, least: Ints) -> Ints:
    """Labels (K, H, W) of the segmentations for K scales and least sizes in pixels, over the same edges.

    Components merge where the edge is not above min(Int(A) + k / |A|, Int(B) + k / |B|); then, again over the
    edges in order, wherever one of the two is smaller than the least size. Labels count up in reading order.
    """
    height, width = shape
    count, ways = height * width, len(scales)
    # One row a pixel: the finds of all scales wait for the same line of memory, not for one another.
    up = np.empty((count, ways), np.int32)  # the pixel above in the tree, or minus the size at a root
    limit = np.empty((count, ways), np.float32)  # Int + k / size, at a root
    up[:], limit[:] = -1, scales
    steps = np.array([1, width - 1, width, width + 1])
    refused = np.empty((ways, len(names)), np.int32)
    refusals = np.zeros(ways, np.int64)
    for i in range(len(names)):
        first = names[i] >> 2
        second = first + steps[names[i] & 3]
        weight = weights[i]
        if _siblings(up[first], up[second]):
            continue
        for k in range(ways):
            a, b = _root(up, first, k), _root(up, second, k)
            if a == b:
                continue
            if weight <= limit[a, k] and weight <= limit[b, k]:
                a = _join(up, a, b, k)
                limit[a, k] = weight + scales[k] / np.float32(-up[a, k])
            else:
                refused[k, refusals[k]] = names[i]
                refusals[k] += 1
    labels = np.empty((ways, height, width), np.int32)
    for k in range(ways):
        for name in refused[k, : refusals[k]]:
            a, b = _root(up, name >> 2, k), _root(up, (name >> 2) + steps[name & 3], k)
            if a != b and (-up[a, k] < least[k] or -up[b, k] < least[k]):
                _join(up, a, b, k)
        _number(up, k, labels[k].reshape(count))
    return labels


@njit(cache=True, nogil=True)
def _siblings(first: Ints, second: Ints) -> bool:
    """Whether two pixels hang on the same pixel at every scale: a third of all edges need no more looking."""
    differ = 0
    for k in range(len(first)):
        differ |= (first[k] ^ second[k]) | (first[k] & -(1 << 31))  # roots are negative
    return differ == 0


@njit(cache=True, nogil=True)
def _root(up: Ints, at: int, k: int) -> int:
    while up[at, k] >= 0:
        above = up[at, k]
        if up[above, k] >= 0:
            up[at, k] = up[above, k]  # halves the path
        at = above
    return at


@njit(cache=True, nogil=True)
def _join(up: Ints, a: int, b: int, k: int) -> int:
    if up[a, k] > up[b, k]:
        a, b = b, a
    up[a, k] += up[b, k]
    up[b, k] = a
    return a


@njit(cache=True, nogil=True)
def _number(up: Ints, k: int, labels: Ints) -> None:
    named = np.full(len(labels), -1, np.int32)
    used = 0
    for p in range(len(labels)):
        root = _root(up, p, k)
        if named[root] < 0:
            named[root] = used
            used += 1
        labels[p] = named[root]
