"""Sizes that boxes have in common, for anchors to start from.

Redmon and Farhadi 2017 (YOLOv2), arXiv:1612.08242, section 2: k-means with the distance 1 - IoU, of boxes
laid one upon the other, so that large boxes do not count for more than small ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Sizes = NDArray[np.float64]

STARTS = 10
"""Runs of k-means from other first centres; the best of them counts."""

MOST_ROUNDS = 1000


def shape_iou(sizes: Sizes, centres: Sizes) -> Sizes:
    """IoU (N, k) of boxes of these widths and heights (N, 2) and (k, 2) that share a corner."""
    shared = np.minimum(sizes[:, None], centres[None]).prod(axis=2)
    overlaps: Sizes = shared / (sizes.prod(axis=1)[:, None] + centres.prod(axis=1)[None] - shared)
    return overlaps


def cluster_sizes(sizes: Sizes, count: int) -> Sizes:
    """`count` widths and heights (count, 2), smallest area first, that these boxes (N, 2) are nearest to.

    The centres of clusters are means. The same boxes always give the same. Raises ValueError for fewer
    different sizes than centres, and for one that is not positive.
    """
    sizes = np.asarray(sizes, np.float64).reshape(-1, 2)
    different = len(np.unique(sizes, axis=0))
    if different < count:
        raise ValueError(f"{count} sizes are to be found among {different} different ones")
    if not (sizes > 0).all():
        raise ValueError("every box must have a width and a height above 0")
    rng = np.random.default_rng(0)
    found = [_cluster(sizes, _scattered(sizes, count, rng)) for _ in range(STARTS)]
    best = max(found, key=lambda centres: shape_iou(sizes, centres).max(axis=1).mean())
    by_area: Sizes = best[np.argsort(best.prod(axis=1), kind="stable")]
    return by_area


def _scattered(sizes: Sizes, count: int, rng: np.random.Generator) -> Sizes:
    """First centres among the boxes, each drawn the more likely, the farther it is from the others."""
    centres: Sizes = sizes[rng.integers(len(sizes))][None]
    while len(centres) < count:
        distance = (1 - shape_iou(sizes, centres).max(axis=1)).clip(min=0) ** 2
        centres = np.concatenate([centres, sizes[rng.choice(len(sizes), p=distance / distance.sum())][None]])
    return centres


def _cluster(sizes: Sizes, centres: Sizes) -> Sizes:
    """Lloyd's algorithm: each box to its nearest centre, each centre to the mean of its boxes, in turn.

    A centre that is nearest to nothing stays where it is.
    """
    before = np.full(len(sizes), -1)
    for _ in range(MOST_ROUNDS):
        nearest = shape_iou(sizes, centres).argmax(axis=1)
        if np.array_equal(before, nearest):
            break
        before = nearest
        centres = np.array(
            [
                sizes[nearest == place].mean(axis=0) if (nearest == place).any() else centre
                for place, centre in enumerate(centres)
            ]
        )
    return centres
