"""Which boxes come first: the paper's order, and near copies behind.

Uijlings et al., IJCV 2013, section 3.3: the region at position i from the top of its hierarchy has the rank
i U, with U drawn evenly from (0, 1), so that large regions come first but not always; boxes are taken by
ascending rank over all hierarchies, and of equal boxes the first.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neocog.ops.nms import nms
from neocog.proposals.grouping import Hierarchy

Ints = NDArray[np.int32]

APART = (0.6, 0.7, 0.8, 0.9)
"""Overlaps of near copies, chosen on the training splits of BCCD and `scenes`: see docs/proposals.md."""


def ranks(hierarchy: Hierarchy, number: int) -> NDArray[np.float64]:
    """The rank (2 R - 1,) of each region of the hierarchy of that number in its picture."""
    return hierarchy.levels * uniform(number, len(hierarchy))


def uniform(stream: int, count: int) -> NDArray[np.float64]:
    """Numbers (count,) in (0, 1), the same ones for ever: SplitMix64 (Steele et al., 2014) of a counter."""
    with np.errstate(over="ignore"):
        state = np.uint64(stream << 32) + np.arange(1, count + 1, dtype=np.uint64)
        state *= np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    # Half a step off zero and one; 52 bits, so that the sum is exact.
    return ((state >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def in_order(boxes: Ints, rank: NDArray[np.float64]) -> Ints:
    """Boxes (n, 4) by ascending rank, each once; of equal ranks what comes first. Corners below 16,384."""
    ordered = boxes[np.argsort(rank, kind="stable")]
    corners = ordered.astype(np.int64)
    keys = ((corners[:, 0] << 14 | corners[:, 1]) << 14 | corners[:, 2]) << 14 | corners[:, 3]
    first = np.unique(keys, return_index=True)[1]
    kept: Ints = ordered[np.sort(first)]
    return kept


def near_copies_behind(boxes: Tensor) -> Tensor:
    """An order (n,) int64 of boxes (n, 4) float32: first those that no earlier one overlaps by more than 0.6,
    then of the rest those that none before overlaps by more than 0.7, then 0.8, then 0.9, then the rest.

    None is lost, and within each part the order stays.
    """
    order = torch.arange(len(boxes))
    falling = -order.float()
    for overlap in APART:
        stays = nms(boxes[order], falling, overlap)
        goes = torch.ones(len(order), dtype=torch.bool)
        goes[stays] = False
        order = torch.cat([order[stays], order[goes]])
    return order
