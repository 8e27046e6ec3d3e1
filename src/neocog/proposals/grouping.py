"""Hierarchical grouping of selective search: Uijlings et al., IJCV 2013, section 3.1 and 3.2.

The two neighbouring regions that are most alike merge, until the whole picture is one region. How alike two
regions are is a sum of up to four terms, each in [0, 1]: their colour and their texture, by the intersection
of histograms; their size, so that small regions merge early; and how well they fill their common box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]

COLOUR_BINS = 25
TEXTURE_SIGMA = 1.0
TEXTURE_REACH = 40.0


@dataclass(frozen=True)
class Terms:
    """Which terms a similarity has."""

    colour: bool = True
    texture: bool = True
    size: bool = True
    fill: bool = True


@dataclass(frozen=True)
class Regions:
    """The R regions that grouping starts from, and what it compares."""

    labels: Ints  # (H, W), 0..R-1
    sizes: Ints  # (R,) pixels
    boxes: Ints  # (R, 4) x0 y0 x1 y1, tight and half-open
    pairs: Ints  # (P, 2) neighbours, higher before lower, ascending
    counts: Ints  # (R, C 25 + C 80) pixels in each bin of colour, then of texture
    channels: int  # C

    def __len__(self) -> int:
        return len(self.sizes)


@dataclass(frozen=True)
class Hierarchy:
    """A binary tree of regions: R that it starts from, then R - 1 merged ones in the order of merging."""

    boxes: Ints  # (2 R - 1, 4) x0 y0 x1 y1, tight and half-open
    sizes: Ints  # (2 R - 1,) pixels
    parents: Ints  # (2 R - 1,) the region each became part of; -1 for the last, the whole picture
    similarities: NDArray[np.float32]  # (2 R - 1,) of the two that merged; 0 for the first R

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def levels(self) -> Ints:
        """Position (2 R - 1,) from the top: 1 for the whole picture, 2 for what came before it, ..."""
        return np.arange(len(self), 0, -1, dtype=np.int32)


@dataclass(frozen=True)
class PixelBins:
    """The bin of every pixel in each of its histograms."""

    colour: NDArray[np.uint8]  # (H W, C): 25 c + bin
    texture: NDArray[np.uint8]  # (H W, 8 C): 10 (8 c + orientation) + bin


def pixel_bins(image: NDArray[np.float32]) -> PixelBins:
    """Bins of a picture (H, W, C) float32 in 0..255, C up to 3: 25 of colour a channel, and 10 of each of 8
    derivatives of it in directions over half a turn, of a Gaussian of sigma 1."""
    from neocog.proposals import _kernels_pixels as kernels

    height, width, channels = image.shape
    first = np.arange(channels, dtype=np.float32) * COLOUR_BINS
    # Floats just below a border of bins may round up to it: the last bin takes 255 and no more.
    place = np.minimum(image * np.float32(COLOUR_BINS / 256), np.float32(COLOUR_BINS - 0.5)).astype(np.uint8)
    colour = (place + first.astype(np.uint8)).reshape(-1, channels)
    bell, slope = kernels.gaussian(TEXTURE_SIGMA), kernels.gaussian(TEXTURE_SIGMA, 1)
    across = kernels.filter_columns(kernels.filter_rows(image, slope), bell)
    down = kernels.filter_columns(kernels.filter_rows(image, bell), slope)
    texture = np.empty((height * width, kernels.TURNS * channels), np.uint8)
    kernels.orientation_bins(across.reshape(-1, channels), down.reshape(-1, channels), TEXTURE_REACH, texture)
    return PixelBins(colour, texture)


def describe(labels: Ints, bins: PixelBins) -> Regions:
    """Sizes, boxes, neighbours and histograms of the regions of labels (H, W)."""
    from neocog.proposals import _kernels_pixels as kernels

    channels = bins.colour.shape[1]
    count = int(labels.max()) + 1
    sizes, boxes = kernels.extents(labels, count)
    split = COLOUR_BINS * channels
    counts = np.zeros((count, split + kernels.TEXTURE_BINS * kernels.TURNS * channels), np.int32)
    kernels.count_bins(labels.reshape(-1), bins.colour, counts, 0)
    kernels.count_bins(labels.reshape(-1), bins.texture, counts, split)
    return Regions(labels, sizes, boxes, kernels.neighbours(labels, count), counts, channels)


def group(regions: Regions, terms: Terms = Terms()) -> Hierarchy:
    """Merge the most similar neighbours until one region is left.

    Of equal similarities (in float32) that pair merges whose later region is the earlier, then whose other
    is. Merged histograms are the means of the two, weighted with their sizes: counts add.
    """
    from neocog.proposals import _kernels_group as kernels

    count, many = len(regions), 2 * len(regions) - 1
    sizes, boxes = np.zeros(many, np.int32), np.zeros((many, 4), np.int32)
    sizes[:count], boxes[:count] = regions.sizes, regions.boxes
    parents, alike = np.full(many, -1, np.int32), np.zeros(many, np.float32)
    split = COLOUR_BINS * regions.channels
    start, end = 0 if terms.colour else split, None if terms.texture else split
    parts = (
        split if terms.colour else 0,
        regions.channels * terms.colour,
        8 * regions.channels * terms.texture,
    )
    counts = np.ascontiguousarray(regions.counts[:, start:end])
    kernels.group(
        counts,
        parts,
        sizes,
        boxes,
        parents,
        alike,
        regions.pairs,
        (terms.size, terms.fill),
        regions.labels.size,
    )
    return Hierarchy(boxes, sizes, parents, alike)
