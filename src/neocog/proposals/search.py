"""Selective search: boxes that may hold an object, from the picture alone.

Uijlings, van de Sande, Gevers and Smeulders, "Selective Search for Object Recognition", IJCV 2013. Regions of
a graph segmentation are grouped into hierarchies, under several colour spaces, scales and similarities, and
every region of each gives its box.

Modes, scales, least sizes and order are those of the authors' program. Not theirs: Lab and rgI are scaled to
0..255 as `colour.py` says; the texture's derivatives are counted over half a turn, from -40 to 40 levels a
pixel; and with `spread` near copies of a box go behind what is new.
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
from neocog.proposals.ranking import in_order, near_copies_behind, ranks
from neocog.proposals.segmentation import segment_scales
from neocog.types import Proposals

Mode = Literal["fast", "quality"]
Pixels = NDArray[np.uint8]

_ALL = Terms()
_WITHOUT_COLOUR = Terms(colour=False)
_FILL = Terms(colour=False, texture=False, size=False)
_SIZE = Terms(colour=False, texture=False, fill=False)


@dataclass(frozen=True)
class Strategies:
    """What hierarchies there are: every colour space with every scale and every similarity."""

    spaces: tuple[Space, ...]
    scales: tuple[int, ...]  # k of the segmentation, and the least size of its regions in pixels
    terms: tuple[Terms, ...]


STRATEGIES: dict[Mode, Strategies] = {
    "fast": Strategies(("hsv", "lab"), (50, 100), (_ALL, _WITHOUT_COLOUR)),
    "quality": Strategies(
        ("hsv", "lab", "rgi", "h", "i"), (50, 100, 150, 300), (_ALL, _WITHOUT_COLOUR, _FILL, _SIZE)
    ),
}
"""The authors' two modes: 8 hierarchies, and 80."""


@dataclass(frozen=True)
class SearchOptions:
    """How `selective_search` looks, and what it keeps."""

    mode: Mode = "fast"
    longest: int = 500  # larger pictures are shrunk to this many pixels a side first; never enlarged
    shortest: float = 0.04  # boxes with a side below this share of the picture's longer side are dropped
    most: int = 2000  # boxes kept, best first
    spread: bool = True  # near copies of an earlier box go behind; without, the paper's plain order

    def __post_init__(self) -> None:
        if self.mode not in STRATEGIES:
            raise ValueError(f"mode must be one of {', '.join(STRATEGIES)}, got {self.mode!r}")
        check_range(self, 16, 8192, "longest")
        check_range(self, 0, 1, "shortest")
        check_range(self, 1, 1_000_000, "most")


def selective_search(image: Pixels, options: SearchOptions = SearchOptions()) -> Proposals:
    """Proposals of a picture (H, W, 3) uint8 RGB.

    A pure function of pixels and options: what is random in the paper comes from a fixed sequence. Boxes are
    in pixels of the picture given, no two equal; scores fall evenly from 1, and say no more than the order.
    The whole picture is always among the regions, so there is always a box unless `shortest` forbids.

    On one thread, 640 x 480 pixels unshrunk take about 0.25 s in `fast` and 1 s in `quality`
    (`benchmarks/selective_search.py`). Raises ValueError for another type or shape.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"expected uint8 of shape (H, W, 3), got {image.dtype} of shape {image.shape}")
    small = shrunk(image, options.longest)
    least = options.shortest * max(small.shape[:2])
    boxes, rank = [], []
    for number, hierarchy in enumerate(hierarchies(small, STRATEGIES[options.mode])):
        sides = hierarchy.boxes[:, 2:] - hierarchy.boxes[:, :2]
        large = sides.min(axis=1) >= least
        boxes.append(hierarchy.boxes[large])
        rank.append(ranks(hierarchy, number)[large])
    found = torch.from_numpy(in_order(np.concatenate(boxes), np.concatenate(rank))).float()
    if options.spread:
        found = found[near_copies_behind(found)]
    found = _enlarged(found[: options.most], small.shape, image.shape)
    return Proposals(found, 1 - torch.arange(len(found)) / max(len(found), 1))


def hierarchies(image: Pixels, strategies: Strategies = STRATEGIES["fast"]) -> Iterator[Hierarchy]:
    """One hierarchy for each space, scale and similarity, in that order, of a picture (H, W, 3) uint8 RGB.

    Those of one space share its edges and bins, those of one scale too its regions and their histograms.
    """
    for space in strategies.spaces:
        colours = convert(image, space)
        bins = pixel_bins(colours)
        for labels in segment_scales(colours, strategies.scales, strategies.scales):
            regions = describe(labels, bins)
            for terms in strategies.terms:
                yield group(regions, terms)


def shrunk(image: Pixels, longest: int) -> Pixels:
    """The picture (H, W, 3) as it is, or if a side is longer, shrunk (bicubic) until that one fits."""
    height, width = image.shape[:2]
    if max(height, width) <= longest:
        return image
    from PIL import Image

    scale = longest / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def _enlarged(boxes: torch.Tensor, small: tuple[int, ...], large: tuple[int, ...]) -> torch.Tensor:
    """Boxes (n, 4) of the shrunk picture in pixels of the one given, inside it."""
    scale = torch.tensor([large[1] / small[1], large[0] / small[0]] * 2, dtype=torch.float64)
    limits = torch.tensor([large[1], large[0]] * 2, dtype=torch.float64)
    return torch.minimum(boxes.double() * scale, limits).float()
