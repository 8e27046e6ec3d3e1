"""Kernel density estimation as a convolution: of the samples, one point mass each, with a kernel.

Samples are binned to a grid once and the grid is convolved, so that the cost hardly depends on how many
samples and points there are (Silverman 1982, algorithm AS 176; Wand 1994). They are binned by B-splines,
and the kernel that the counts are convolved with is its own interpolating spline of the same order. So the
estimate is exactly the sum of one such spline a sample, and differs from direct summation as they do from the
kernel. By how much at most, as a share of the kernel's peak, with c cells to a bandwidth:

| kernel | order | difference |
|---|---|---|
| Gaussian | 5 | 1 / (50 c^6) an axis, between grid points twice that; 4.3e-7 with 6 cells |
| Epanechnikov | 1 | 1 / (20 c^2) an axis, and 1 / (4 c) of the samples in the cells at its rim; twice that |
| box | 1 | the share of the samples in the cells at its rim; in two dimensions about 1 / (25 c) more |

The first is the sharp bound of such interpolation, 61 / 46080 of the sixth derivative. Kernels are local, so
that these are shares of the density's own peak too, but for a small factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neocog.ops.convolve import convolve
from neocog.ops.names import named

Floats = NDArray[np.float64]

MOST_CELLS = 1 << 24
"""Of a grid: 128 MiB."""


@dataclass(frozen=True)
class _Kernel:
    """A kernel of unit covariance in d dimensions, as a function of the squared distance."""

    reach: Callable[[int], float]  # d -> squared distance at which it ends
    value: Callable[[Floats, int], Floats]  # inside, of squared distances, but for a factor
    order: int  # of the splines
    cells: tuple[int, int]  # to a bandwidth, in one dimension and in two


# The Gaussian ends six deviations away, where it is 1.5e-8 of its peak.
KERNELS = {
    "gaussian": _Kernel(lambda d: 36, lambda squared, d: np.exp(-squared / 2), 5, (6, 6)),
    "epanechnikov": _Kernel(lambda d: d + 4, lambda squared, d: 1 - squared / (d + 4), 1, (1024, 32)),
    "box": _Kernel(lambda d: d + 2, lambda squared, d: np.ones_like(squared), 1, (1024, 32)),
}

RULES: dict[str, Callable[[float, int], float]] = {
    "scott": lambda count, d: count ** (-1 / (d + 4)),
    "silverman": lambda count, d: (count * (d + 2) / 4) ** (-1 / (d + 4)),
}
"""Bandwidths as a share of the samples' deviation, from number and dimensions; scipy.stats.gaussian_kde's."""


@dataclass(frozen=True)
class Density:
    """An estimate on a grid."""

    axes: tuple[Floats, ...]  # the grid's places along each dimension, evenly spaced
    values: Floats  # (M,) or (M0, M1): the density there, per unit of length or area
    covariance: Floats  # (d, d) of the kernel
    kernel: str

    def at(self, points: ArrayLike) -> Floats:
        """The density (N,) at points (N,) or (N, 2), by splines between grid points; 0 outside the grid.

        Raises ValueError for points of other shapes, or not finite.
        """
        from scipy.ndimage import map_coordinates

        places = _points(points, "points", len(self.axes))
        steps = [
            (place - axis[0]) / (axis[1] - axis[0]) for place, axis in zip(places, self.axes, strict=True)
        ]
        order = KERNELS[self.kernel].order
        found: Floats = map_coordinates(self.values, steps, order=order, mode="constant").clip(min=0)
        return found


def kernel_density(
    samples: ArrayLike,
    *,
    bandwidth: Literal["scott", "silverman"] | float | Sequence[float] = "scott",
    kernel: Literal["gaussian", "epanechnikov", "box"] = "gaussian",
    weights: ArrayLike | None = None,
    cells: int | None = None,
) -> Density:
    """The density that samples (N,) or (N, 2) come from, on a grid that covers all of it.

    The kernel is round, and stretched to a covariance: with `scott` and `silverman` that of the samples times
    the square of a factor, as in scipy.stats.gaussian_kde; numbers are the standard deviations along the
    axes, in the samples' unit. So a bandwidth means the same for each kernel: a box in one dimension reaches
    from -sqrt(3) to sqrt(3) bandwidths. `weights` (N,) count samples more or less. `cells` is the fineness of
    the grid, in cells to a bandwidth (in two dimensions, to the kernel's width along an axis through its
    middle). The usual ones, 6 for the Gaussian and for the others 1024 in one dimension and 32 in two, and
    what they lead to are told of in the module.

    Raises ValueError for samples that are not finite or have no spread, for weights and bandwidths that are
    not positive, and for a grid of more than `MOST_CELLS`.
    """
    points = _points(samples, "samples")
    dimensions, count = points.shape
    shares = _shares(weights, count)
    covariance = _covariance(points, shares, bandwidth)
    shape = named(KERNELS, kernel, "kernel")
    if cells is not None and not 1 <= cells <= MOST_CELLS:
        raise ValueError(f"cells must lie in [1, {MOST_CELLS}], got {cells}")
    grid = _grid(points, covariance, shape, cells or shape.cells[dimensions - 1])
    places = (points - grid.first[:, None]) / grid.spacing[:, None]
    counts = _binned(places, shares, grid.size, shape.order)
    values = convolve(counts, _taps(shape, covariance, grid), "same").clip(min=0)
    starts = zip(grid.first, grid.spacing, grid.size, strict=True)
    axes = tuple(start + spacing * np.arange(size) for start, spacing, size in starts)
    return Density(axes, values, covariance, kernel)


@dataclass(frozen=True)
class _Grid:
    """Evenly spaced places along each of d dimensions; every field is (d,)."""

    first: Floats
    spacing: Floats
    size: NDArray[np.int_]
    half: NDArray[np.int_]  # grid points from the middle of the kernel to its end


def _grid(points: Floats, covariance: Floats, kernel: _Kernel, cells: int) -> _Grid:
    """The grid that covers the kernel about every point (d, N), with so many cells to a bandwidth."""
    reach = np.sqrt(kernel.reach(len(points)) * np.diag(covariance))
    half = np.ceil(reach * np.sqrt(np.diag(np.linalg.inv(covariance))) * cells)
    spacing = reach / (half + 0.5)  # a box then covers a whole number of cells
    low, high = points.min(axis=1), points.max(axis=1)
    margin = half + kernel.order
    size = np.ceil((high - low) / spacing) + 2 * margin + 1
    if not size.prod() <= MOST_CELLS:
        raise ValueError(
            f"the samples span {' x '.join(f'{one:.3g}' for one in size)} cells, which is too many; give a "
            "larger bandwidth, fewer cells to it, or leave out what lies far away"
        )
    return _Grid(low - margin * spacing, spacing, size.astype(int), half.astype(int))


def _binned(places: Floats, shares: Floats, size: NDArray[np.int_], order: int) -> Floats:
    """Samples at places (d, N), in cells, shared among the grid points around them by B-splines."""
    from neocog.ops._kernels_kde import bin_line, bin_plane

    counts = np.zeros(size)
    add = bin_line if len(size) == 1 else bin_plane
    add(places, shares / math.factorial(order) ** len(size), order, counts)
    return counts


def _taps(kernel: _Kernel, covariance: Floats, grid: _Grid) -> Floats:
    """The coefficients of the kernel's spline, on the grid points around its centre."""
    from scipy.ndimage import spline_filter

    steps = [np.arange(-n, n + 1) * step for n, step in zip(grid.half, grid.spacing, strict=True)]
    offsets = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1)
    squared = np.einsum("...i,ij,...j", offsets, np.linalg.inv(covariance), offsets)
    dimensions = len(steps)
    values: Floats = np.where(squared < kernel.reach(dimensions), kernel.value(squared, dimensions), 0.0)
    values /= values.sum() * grid.spacing.prod()
    taps: Floats = spline_filter(values, kernel.order) if kernel.order > 1 else values
    return taps


def _covariance(points: Floats, shares: Floats, bandwidth: str | float | Sequence[float]) -> Floats:
    """The covariance (d, d) of the kernel."""
    dimensions = len(points)
    if not isinstance(bandwidth, str):
        widths = np.asarray(bandwidth, float)
        if widths.shape not in ((), (dimensions,)) or not ((widths > 0) & np.isfinite(widths)).all():
            raise ValueError(f"bandwidth must be positive, one number or one an axis, got {bandwidth}")
        return np.diag(np.broadcast_to(widths**2, dimensions))
    rule = named(RULES, bandwidth, "bandwidth")
    centred = points - (points @ shares)[:, None]
    unbiased = 1 - (shares**2).sum()  # of equal weights (n - 1) / n
    spread = (centred * shares) @ centred.T
    if unbiased < 1e-12 or not np.linalg.det(spread) > 1e-12 * np.diag(spread).prod():
        raise ValueError("the samples lie in one place or on one line: give the bandwidth as a number")
    factor = rule(1 / (shares**2).sum(), dimensions)
    covariance: Floats = spread / unbiased * factor**2
    return covariance


def _points(values: ArrayLike, name: str, dimensions: int | None = None) -> Floats:
    """Points (N,) or (N, d) as (d, N), each row in one piece."""
    points = np.asarray(values, float)
    found = points.shape[1] if points.ndim == 2 else 1
    if points.ndim not in (1, 2) or found not in ((1, 2) if dimensions is None else (dimensions,)):
        wanted = {None: "(N,) or (N, 2)", 1: "(N,)", 2: "(N, 2)"}[dimensions]
        raise ValueError(f"{name} have the shape {wanted}, got {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError(f"{name} must be finite")
    if dimensions is None and not len(points):
        raise ValueError("a density needs at least one sample")
    return np.ascontiguousarray(points.reshape(len(points), found).T)


def _shares(weights: ArrayLike | None, count: int) -> Floats:
    """Weights of sum 1."""
    if weights is None:
        return np.full(count, 1 / count)
    values = np.asarray(weights, float)
    if values.shape != (count,) or not (np.isfinite(values) & (values >= 0)).all() or not values.sum() > 0:
        raise ValueError(f"weights are {count} numbers of 0 or more, and not all 0")
    shares: Floats = values / values.sum()
    return shares
