"""Selective search: boxes that may hold an object, from the picture alone.

Uijlings, van de Sande, Gevers and Smeulders, "Selective Search for Object Recognition", IJCV 2013. Regions of
a graph segmentation are grouped into hierarchies under several colour spaces, scales and similarities; every
region gives its box, and boxes near the top of a hierarchy come first, at random.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from neocog.ops.ranges import check_range
from neocog.proposals.colour import Space, convert
from neocog.proposals.grouping import Hierarchy, Terms, describe, group, pixel_bins
from neocog.proposals.segmentation import segment_scales
from neocog.types import Proposals

Mode = Literal["fast", "quality"]

CTSF = Terms()
TSF = Terms(colour=False)
FILL = Terms(colour=False, texture=False, size=False)
SIZE = Terms(colour=False, texture=False, fill=False)


@dataclass(frozen=True)
class Strategies:
    """What hierarchies a mode has: every colour space with every scale and every similarity."""

    spaces: tuple[Space, ...]
    terms: tuple[Terms, ...]
    scales: tuple[int, ...]  # k, and also the least size of a region in pixels


STRATEGIES: dict[Mode, Strategies] = {
    "fast": Strategies(("hsv", "lab"), (CTSF, TSF), (50, 100)),
    "quality": Strategies(("hsv", "lab", "rgi", "h", "i"), (CTSF, TSF, FILL, SIZE), (50, 100, 150, 300)),
}


@dataclass(frozen=True)
class SearchOptions:
    """How `selective_search` looks."""

    mode: Mode = "fast"
    longest: int = 500  # larger pictures are shrunk to this many pixels a side first; never enlarged
    shortest: float = 0.04  # boxes with a side below this share of the picture's longer side are dropped
    most: int = 2000  # boxes kept, best first

    def __post_init__(self) -> None:
        if self.mode not in STRATEGIES:
            raise ValueError(f"mode must be one of {', '.join(STRATEGIES)}, got {self.mode!r}")
        check_range(self, 16, 8192, "longest")
        check_range(self, 0, 1, "shortest")
        check_range(self, 1, 1_000_000, "most")


def selective_search(image: NDArray[np.uint8], options: SearchOptions = SearchOptions()) -> Proposals:
    """Proposals of a picture (H, W, 3) uint8 RGB: boxes in its pixels, scores in (0, 1] descending.

    A pure function of pixels and options. Raises ValueError for another type or shape.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"expected uint8 of shape (H, W, 3), got {image.dtype} of shape {image.shape}")
    small = _shrunk(image, options.longest)
    boxes, ranks = [], []
    for number, hierarchy in enumerate(hierarchies(small, STRATEGIES[options.mode])):
        boxes.append(hierarchy.boxes)
        ranks.append(hierarchy.levels * _uniform(number, len(hierarchy)))
    return _best(np.concatenate(boxes), np.concatenate(ranks), small.shape, image.shape, options)


def hierarchies(image: NDArray[np.uint8], strategies: Strategies) -> Iterator[Hierarchy]:
    """One hierarchy for each space, scale and similarity, in that order, of a picture (H, W, 3) uint8 RGB."""
    for space in strategies.spaces:
        colours = convert(image, space)
        bins = pixel_bins(colours)
        for labels in segment_scales(colours, strategies.scales, strategies.scales):
            regions = describe(labels, bins)
            for terms in strategies.terms:
                yield group(regions, terms)


def _shrunk(image: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """The picture with no side above `longest`."""
    height, width = image.shape[:2]
    if max(height, width) <= longest:
        return image
    from PIL import Image

    scale = longest / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def _uniform(hierarchy: int, count: int) -> NDArray[np.float64]:
    """Numbers (count,) in (0, 1), the same ones for ever: SplitMix64 (Steele et al., 2014) of a counter."""
    with np.errstate(over="ignore"):
        state = np.uint64(hierarchy << 32) + np.arange(1, count + 1, dtype=np.uint64)
        state *= np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return ((state >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def _best(
    boxes: NDArray[np.int32],
    ranks: NDArray[np.float64],
    small: tuple[int, ...],
    shape: tuple[int, ...],
    options: SearchOptions,
) -> Proposals:
    """The boxes of lowest rank, each once, in pixels of the picture of that shape."""
    least = options.shortest * max(small[:2])
    large = np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) >= least
    boxes, ranks = boxes[large], ranks[large]
    order = np.argsort(ranks, kind="stable")
    sides = boxes[order].astype(np.int64)
    keys = ((sides[:, 0] << 13 | sides[:, 1]) << 13 | sides[:, 2]) << 13 | sides[:, 3]
    kept = np.sort(np.unique(keys, return_index=True)[1])[: options.most]
    chosen = order[kept]
    scale = np.array([shape[1] / small[1], shape[0] / small[0]] * 2)
    limits = np.array([shape[1], shape[0]] * 2)
    found = np.minimum(boxes[chosen] * scale, limits).astype(np.float32)
    scores = (1 / (1 + ranks[chosen])).astype(np.float32)
    return Proposals(torch.from_numpy(found), torch.from_numpy(scores))
