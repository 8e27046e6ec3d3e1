"""Graph segmentation.

Felzenszwalb and Huttenlocher, "Efficient Graph-Based Image Segmentation", IJCV 2004.

Agreement with scikit-image's `felzenszwalb` (which wants colours in 0..1 and divides its scale by 255): the
same labels wherever both get the same smoothed colours and no two edges weigh the same; with equal edges,
which it takes in no stated order, 10 photographs of 640 x 480 and 10 generated scenes gave a Rand index of
0.99999 or more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int32]

SIGMA = 0.8
"""Smoothing before the colours are compared, in pixels: the paper's."""


def segment(image: NDArray[np.float32], scale: float, least: int, sigma: float = SIGMA) -> Labels:
    """Labels (H, W) int32, 0, 1, ... in reading order, of the regions of a picture.

    image (H, W, C) float32, in units of which `scale` speaks (selective search: 0..255); scale: k of the
    paper, larger for larger regions; least: components of fewer pixels are merged away; sigma: of the
    Gaussian smoothing in pixels, 0 for none. Raises ValueError for another shape or a value out of range.

    Pixels are joined to their eight neighbours by edges weighted with the Euclidean distance of the smoothed
    colours. Edges are taken lightest first, and of equal weights by the pixel that comes first in reading
    order, then right, below left, below, below right.
    """
    labels: Labels = segment_scales(image, [scale], [least], sigma)[0]
    return labels


def segment_scales(
    image: NDArray[np.float32], scales: Sequence[float], least: Sequence[int], sigma: float = SIGMA
) -> Labels:
    """`segment` at several scales, labels (K, H, W): the edges are sorted once, which is much of the work."""
    if image.ndim != 3 or image.size == 0 or not np.isfinite(image).all():
        raise ValueError(f"expected a picture (H, W, C) of finite numbers, got shape {image.shape}")
    if len(scales) != len(least) or not scales or min(scales) < 0 or min(least) < 0 or not 0 <= sigma <= 100:
        raise ValueError(
            f"expected scales, as many least sizes and a sigma in [0, 100], got {scales}, {least}, {sigma}"
        )
    from neocog.proposals import _kernels_segment as kernels

    smooth = smoothed(image, sigma)
    names, weights = kernels.sorted_edges(smooth)
    return kernels.components(
        names, weights, smooth.shape[:2], np.asarray(scales, np.float32), np.asarray(least, np.int32)
    )


def smoothed(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """The picture (H, W, C) under a Gaussian cut at four sigma, mirrored at its borders."""
    from neocog.proposals import _kernels_pixels as kernels

    image = np.ascontiguousarray(image, np.float32)
    if sigma == 0:
        return image
    taps = kernels.gaussian(sigma)
    return kernels.filter_columns(kernels.filter_rows(image, taps), taps)
