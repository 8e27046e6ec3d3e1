"""Numba kernel of hierarchical grouping: merge the two most similar neighbours until one region is left.

Imported on first use. Histograms are counted in whole numbers and compared in whole parts of 65535, so
neither the order of merging nor that of adding changes a similarity.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Shares = NDArray[np.uint16]
Keys = NDArray[np.uint64]
Real32 = NDArray[np.float32]
Compared = tuple[Shares, Ints, Ints, tuple[int, int, int], tuple[bool, bool], int]
"""Shares, sizes and boxes (2R - 1, ...) of the regions, and `parts`, `terms` and `area` of `group`."""

FULL = 65535  # one whole histogram
FAR = 2**31 - 1  # above every region


@njit(cache=True, nogil=True)
def group(
    counts: Ints,
    parts: tuple[int, int, int],
    sizes: Ints,
    boxes: Ints,
    parents: Ints,
    alike: Real32,
    pairs: Ints,
    terms: tuple[bool, bool],
    area: int,
) -> None:
    """Fill rows R.. of sizes (2R - 1,) and boxes (2R - 1, 4), and parents and similarities (2R - 1,).

    counts (R, B): histograms of R regions; parts: how many of their bins are of colour, and how many values
    of colour and of texture a pixel has (0: not compared); pairs (P, 2): neighbours, higher before lower, in
    ascending order; terms: whether size and fill are compared; area of the picture in pixels.
    """
    regions, many = len(counts), len(sizes)
    own, shares = _histograms(counts, sizes)
    # Neighbours as lists, ascending; what has merged stays in them and is passed over.
    node = np.empty((8 * len(pairs) + 2 * regions + 16, 2), np.int32)  # a region, and the next node
    ends = np.full((many, 2), -1, np.int32)  # first and last node of each region
    heap, pushed = np.empty(len(node), np.uint64), np.empty_like(node)  # keys, and the pairs by number
    compared = (shares, sizes, boxes, parts, terms, area)
    state = np.zeros(3, np.int64)  # nodes used, pairs pushed, keys in the heap
    for high, low in pairs:
        _meet(high, low, node, ends, heap, pushed, state, compared)
    merged = regions
    while merged < many:
        best = _pop(heap, state)
        a, b = pushed[_serial(best)]
        if parents[a] >= 0 or parents[b] >= 0:
            continue
        parents[a], parents[b], alike[merged] = merged, merged, _value(best)
        _merge(a, b, merged, own, sizes, boxes)
        _share(own[merged], sizes[merged], shares[merged])
        if state[0] + 2 * regions > len(node):
            node, heap, pushed = _grown(node), _grown_keys(heap), _grown(pushed)
        for near in _common_neighbours(node, ends[a, 0], ends[b, 0], parents):
            _meet(merged, near, node, ends, heap, pushed, state, compared)
        merged += 1


@njit(cache=True, nogil=True)
def _histograms(counts: Ints, sizes: Ints) -> tuple[Ints, Shares]:
    """Counts (2R - 1, B) with room for merged regions, and their shares."""
    own = np.zeros((len(sizes), counts.shape[1]), np.int32)
    own[: len(counts)] = counts
    shares = np.empty(own.shape, np.uint16)
    for region in range(len(counts)):
        _share(own[region], sizes[region], shares[region])
    return own, shares


@njit(cache=True, nogil=True)
def _common_neighbours(node: Ints, first: int, second: int, parents: Ints) -> Ints:
    """The regions, ascending, in either of two ascending lists that have not merged."""
    found = np.empty(16, np.int32)
    count = 0
    while first >= 0 or second >= 0:
        left = node[first, 0] if first >= 0 else np.int32(FAR)
        right = node[second, 0] if second >= 0 else np.int32(FAR)
        near = min(left, right)
        if left == near:
            first = node[first, 1]
        if right == near:
            second = node[second, 1]
        if parents[near] < 0:
            if count == len(found):
                found = np.append(found, found)
            found[count] = near
            count += 1
    return found[:count]


@njit(cache=True, nogil=True)
def _meet(
    high: int,
    low: int,
    node: Ints,
    ends: Ints,
    heap: Keys,
    pushed: Ints,
    state: NDArray[np.int64],
    compared: Compared,
) -> None:
    """Make two regions neighbours: enter each in the other's list, and the pair in the heap."""
    _append(node, ends, state[0], high, low)
    _append(node, ends, state[0] + 1, low, high)
    state[0] += 2
    pushed[state[1], 0], pushed[state[1], 1] = high, low
    _push(heap, state[2], _key(_similarity(high, low, compared), state[1]))
    state[1] += 1
    state[2] += 1


@njit(cache=True, nogil=True)
def _share(own: Ints, size: int, out: Shares) -> None:
    """Counts as parts of 65535 of the pixels, rounded."""
    scale = np.float32(FULL) / np.float32(size)
    for i in range(len(own)):
        out[i] = np.uint16(np.int32(np.float32(own[i]) * scale + np.float32(0.5)))


@njit(cache=True, nogil=True)
def _merge(a: int, b: int, to: int, own: Ints, sizes: Ints, boxes: Ints) -> None:
    sizes[to] = sizes[a] + sizes[b]
    boxes[to, 0], boxes[to, 1] = min(boxes[a, 0], boxes[b, 0]), min(boxes[a, 1], boxes[b, 1])
    boxes[to, 2], boxes[to, 3] = max(boxes[a, 2], boxes[b, 2]), max(boxes[a, 3], boxes[b, 3])
    first, second, row = own[a], own[b], own[to]
    for i in range(len(row)):
        row[i] = first[i] + second[i]


@njit(cache=True, nogil=True)
def _similarity(a: int, b: int, compared: Compared) -> float:
    """The sum of the terms that are compared, each in [0, 1]."""
    shares, sizes, boxes, parts, terms, area = compared
    total = 0.0
    colours, per_colour, per_texture = parts
    if per_colour:
        total += _common(shares[a, :colours], shares[b, :colours]) / (FULL * per_colour)
    if per_texture:
        total += _common(shares[a, colours:], shares[b, colours:]) / (FULL * per_texture)
    both = sizes[a] + sizes[b]
    if terms[0]:
        total += 1.0 - both / area
    if terms[1]:
        width = max(boxes[a, 2], boxes[b, 2]) - min(boxes[a, 0], boxes[b, 0])
        height = max(boxes[a, 3], boxes[b, 3]) - min(boxes[a, 1], boxes[b, 1])
        total += 1.0 - (width * height - both) / area
    return total


@njit(cache=True, nogil=True)
def _common(first: Shares, second: Shares) -> int:
    total = 0
    for i in range(len(first)):
        total += min(first[i], second[i])
    return total


@njit(cache=True, nogil=True)
def _append(node: Ints, ends: Ints, used: int, region: int, neighbour: int) -> None:
    node[used, 0], node[used, 1] = neighbour, -1
    if ends[region, 0] < 0:
        ends[region, 0] = used
    else:
        node[ends[region, 1], 1] = used
    ends[region, 1] = used


@njit(cache=True, nogil=True)
def _key(value: float, serial: int) -> np.uint64:
    """Orders by similarity in float32, which is never negative; of equal ones what came first is higher."""
    bits = np.array([value], np.float32).view(np.uint32)[0]
    return (np.uint64(bits) << np.uint64(32)) | (np.uint64(0xFFFFFFFF) - np.uint64(serial))


@njit(cache=True, nogil=True)
def _serial(key: np.uint64) -> int:
    return int(np.uint64(0xFFFFFFFF) - (key & np.uint64(0xFFFFFFFF)))


@njit(cache=True, nogil=True)
def _value(key: np.uint64) -> np.float32:
    return np.float32(np.array([key >> np.uint64(32)], np.uint32).view(np.float32)[0])


@njit(cache=True, nogil=True)
def _push(heap: Keys, size: int, key: np.uint64) -> None:
    at = size
    while at > 0:
        above = (at - 1) >> 1
        if heap[above] >= key:
            break
        heap[at] = heap[above]
        at = above
    heap[at] = key


@njit(cache=True, nogil=True)
def _pop(heap: Keys, state: NDArray[np.int64]) -> np.uint64:
    """Take the highest key out."""
    size = state[2]
    state[2] -= 1
    best, key = heap[0], heap[size - 1]
    at, below = 0, 1
    while below < size - 1:
        if below + 1 < size - 1 and heap[below + 1] > heap[below]:
            below += 1
        if heap[below] <= key:
            break
        heap[at] = heap[below]
        at, below = below, 2 * below + 1
    heap[at] = key
    return np.uint64(best)


@njit(cache=True, nogil=True)
def _grown(array: Ints) -> Ints:
    larger = np.empty((2 * len(array), array.shape[1]), np.int32)
    larger[: len(array)] = array
    return larger


@njit(cache=True, nogil=True)
def _grown_keys(array: Keys) -> Keys:
    larger = np.empty(2 * len(array), np.uint64)
    larger[: len(array)] = array
    return larger
