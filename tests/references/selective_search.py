"""Selective search written for clarity: every step from its definition, nothing kept or updated.

Slow: for pictures of a few hundred pixels.
"""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from neocog.proposals.grouping import PixelBins, Terms

Labels = NDArray[np.int32]
NEIGHBOURS = ((0, 1), (1, -1), (1, 0), (1, 1))


def slow_segment(image: NDArray[np.float32], scale: float, least: int) -> Labels:
    """The graph segmentation of a picture (H, W, C), unsmoothed, by its definition."""
    height, width, _ = image.shape
    edges = []
    for y, x in product(range(height), range(width)):
        for dy, dx in NEIGHBOURS:
            if y + dy < height and 0 <= x + dx < width:
                squares = np.float32(0)
                for step in image[y, x] - image[y + dy, x + dx]:
                    squares += step * step
                edges.append((np.sqrt(squares), y * width + x, (y + dy) * width + x + dx))
    edges.sort(key=lambda edge: edge[0])  # stable: of equal weights in the order above
    component = list(range(height * width))
    inside = dict.fromkeys(component, np.float32(0))  # heaviest edge of the minimum spanning tree
    members = {p: [p] for p in component}

    def join(a: int, b: int, weight: np.float32) -> None:
        for p in members.pop(b):
            component[p] = a
            members[a].append(p)
        inside[a] = weight

    for weight, p, q in edges:
        a, b = component[p], component[q]
        if a != b and all(
            weight <= inside[c] + np.float32(scale) / np.float32(len(members[c])) for c in (a, b)
        ):
            join(a, b, weight)
    for _, p, q in edges:
        a, b = component[p], component[q]
        if a != b and min(len(members[a]), len(members[b])) < least:
            join(a, b, np.float32(0))
    return in_reading_order(np.array(component).reshape(height, width))


def in_reading_order(labels: NDArray[np.integer]) -> Labels:
    """The same regions, numbered by where they first appear."""
    names: dict[int, int] = {}
    flat = [names.setdefault(label, len(names)) for label in labels.ravel().tolist()]
    return np.array(flat, np.int32).reshape(labels.shape)


def slow_group(labels: Labels, bins: PixelBins, terms: Terms) -> list[tuple[int, int, float]]:
    """The merges (earlier region, later region, similarity in float32) of the hierarchy, in order.

    Regions are sets of pixels; every similarity is computed afresh from pixels before every merge.
    """
    flat = labels.ravel()
    regions = {int(label): np.flatnonzero(flat == label) for label in np.unique(flat)}
    joined = {frozenset((int(a), int(b))) for a, b in _touching(labels)}
    merges = []
    fresh = len(regions)
    while len(regions) > 1:
        best = max(
            (
                (_similarity(regions[low], regions[high], labels.shape, bins, terms), -high, -low)
                for low, high in map(sorted, joined)
            )
        )
        alike, high, low = best[0], -best[1], -best[2]
        merges.append((low, high, float(alike)))
        regions[fresh] = np.sort(np.concatenate([regions.pop(low), regions.pop(high)]))
        renamed = (frozenset(fresh if r in (low, high) else r for r in pair) for pair in joined)
        joined = {pair for pair in renamed if len(pair) == 2}
        fresh += 1
    return merges


def _touching(labels: Labels) -> list[tuple[int, int]]:
    height, width = labels.shape
    found = []
    for y, x in product(range(height), range(width)):
        for dy, dx in NEIGHBOURS:
            if y + dy < height and 0 <= x + dx < width and labels[y, x] != labels[y + dy, x + dx]:
                found.append((labels[y, x], labels[y + dy, x + dx]))
    return found


def _similarity(
    a: NDArray[np.intp], b: NDArray[np.intp], shape: tuple[int, ...], bins: PixelBins, terms: Terms
) -> np.float32:
    area = shape[0] * shape[1]
    total = 0.0
    for used, values in ((terms.colour, bins.colour), (terms.texture, bins.texture)):
        if used:
            first, second = (_shares(values[region]) for region in (a, b))
            total += int(np.minimum(first, second).sum()) / (65535 * values.shape[1])
    both = len(a) + len(b)
    if terms.size:
        total += 1.0 - both / area
    if terms.fill:
        y, x = np.divmod(np.concatenate([a, b]), shape[1])
        total += 1.0 - ((np.ptp(x) + 1) * (np.ptp(y) + 1) - both) / area
    return np.float32(total)


def _shares(values: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The histograms of these pixels, in parts of 65535 of their number, rounded."""
    counts = np.bincount(values.ravel(), minlength=256).astype(np.float32)
    scale = np.float32(65535) / np.float32(len(values))
    shares: NDArray[np.int64] = (counts * scale + np.float32(0.5)).astype(np.int64)
    return shares


def tree_of(merges: list[tuple[int, int, float]], labels: Labels) -> NDArray[np.int32]:
    """Boxes (2 R - 1, 4) of the regions that these merges make."""
    regions = [labels == label for label in range(int(labels.max()) + 1)]
    for low, high, _ in merges:
        regions.append(regions[low] | regions[high])
    boxes = []
    for region in regions:
        rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
        boxes.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    return np.array(boxes, np.int32)


def slow_orientation(across: float, down: float, turn: int, reach: float) -> int:
    """The bin, of ten between -reach and reach, of the derivative in the direction of turn / 8 of pi."""
    slope = across * np.cos(np.pi * turn / 8) + down * np.sin(np.pi * turn / 8)
    borders = list(np.linspace(-reach, reach, 11))
    for number, (low, high) in enumerate(pairwise(borders)):
        if low <= slope < high:
            return number
    return 0 if slope < 0 else 9
