"""Numba kernels that bin samples by B-splines, compiled once and kept on disk; imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@njit(cache=True, nogil=True)
def splines(place: float, order: int, values: Floats) -> int:
    """Fill values (order + 1,) with order! times the B-splines that reach a place, given in cells.

    Returns the grid point that the first stands on. By the recursion of de Boor (1972) for evenly spaced
    knots and an odd order, its divisions left out.
    """
    cell = int(np.floor(place))
    t = place - cell
    values[0] = 1.0
    for degree in range(1, order + 1):
        values[degree] = t * values[degree - 1]
        for j in range(degree - 1, 0, -1):
            values[j] = (t + degree - j) * values[j - 1] + (j + 1 - t) * values[j]
        values[0] *= 1 - t
    return cell - order // 2


@njit(cache=True, nogil=True)
def bin_line(places: Floats, shares: Floats, order: int, counts: Floats) -> None:
    """Add samples at places (1, N), in cells, to counts (M,), order! times."""
    values = np.empty(order + 1)
    for n in range(places.shape[1]):
        first = splines(places[0, n], order, values)
        for i in range(order + 1):
            counts[first + i] += shares[n] * values[i]


@njit(cache=True, nogil=True)
def bin_plane(places: Floats, shares: Floats, order: int, counts: Floats) -> None:
    """Add samples at places (2, N), in cells, to counts (M0, M1), order! squared times."""
    rows, columns = np.empty(order + 1), np.empty(order + 1)
    for n in range(places.shape[1]):
        top = splines(places[0, n], order, rows)
        left = splines(places[1, n], order, columns)
        for i in range(order + 1):
            share = shares[n] * rows[i]
            for j in range(order + 1):
                counts[top + i, left + j] += share * columns[j]
