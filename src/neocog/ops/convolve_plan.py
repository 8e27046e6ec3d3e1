"""What a convolution must compute, from shapes alone: axes, batch, and part of the full result."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

Shape = tuple[int, ...]
Mode = Literal["full", "valid", "same"]
Axes = int | Iterable[int] | None


@dataclass(frozen=True, eq=False)
class Geometry:
    """Two inputs whose axes are put in one order: those that only broadcast, then those convolved.

    `geometry` remembers them, so what is derived from one can be remembered by its identity.
    """

    order: tuple[int, ...]
    """The axes of the inputs in this order."""
    batches: tuple[Shape, Shape]
    """The broadcasting axes of each input."""
    sizes: tuple[Shape, Shape]
    """The convolved axes of each input."""
    start: Shape
    """Where the result begins in the full convolution, along each convolved axis."""
    size: Shape
    """The length of the result along each convolved axis."""
    batch: Shape
    """The broadcast shape of the other axes."""

    @cached_property
    def ordered(self) -> bool:
        """Whether the axes stand in this order already."""
        return self.order == tuple(sorted(self.order))

    @cached_property
    def inverse(self) -> tuple[int, ...]:
        """Undoes `order`."""
        return tuple(sorted(range(len(self.order)), key=self.order.__getitem__))

    @cached_property
    def taps(self) -> int:
        """Products in a sum: the size of the smaller input."""
        return min(math.prod(self.sizes[0]), math.prod(self.sizes[1]))

    @cached_property
    def outputs(self) -> int:
        """Numbers in the result."""
        return math.prod(self.batch) * math.prod(self.size)


@lru_cache(maxsize=1024)
def geometry(shape1: Shape, shape2: Shape, mode: Mode, axes: Shape | None) -> Geometry:
    """The convolution of arrays of these shapes. Raises ValueError for what has no result.

    In mode "valid" one input must be at least as long as the other along every convolved axis; which one does
    not matter, as convolution is commutative.
    """
    if mode not in ("full", "valid", "same"):
        raise ValueError(f"mode must be 'full', 'valid' or 'same', not {mode!r}")
    if len(shape1) != len(shape2):
        raise ValueError(f"in1 and in2 should have the same number of dimensions, not {shape1} and {shape2}")
    if 0 in shape1 + shape2:
        raise ValueError(f"in1 and in2 must not be empty, but have the shapes {shape1} and {shape2}")
    along = tuple(range(len(shape1))) if axes is None else axes
    others = tuple(a for a in range(len(shape1)) if a not in along)
    if any(shape1[a] != shape2[a] and 1 not in (shape1[a], shape2[a]) for a in others):
        raise ValueError(f"in1 and in2 do not broadcast outside axes {along}: {shape1} and {shape2}")
    pairs = [(shape1[a], shape2[a]) for a in along]
    spans = [_span(mode, *pair) for pair in pairs]
    if mode == "valid" and any(n < m for n, m in pairs) and any(n > m for n, m in pairs):
        raise ValueError(
            f"in mode 'valid' one input must be at least as large as the other everywhere: {shape1}, {shape2}"
        )
    return Geometry(
        others + along,
        (tuple(shape1[a] for a in others), tuple(shape2[a] for a in others)),
        (tuple(n for n, _ in pairs), tuple(m for _, m in pairs)),
        tuple(first for first, _ in spans),
        tuple(length for _, length in spans),
        tuple(max(shape1[a], shape2[a]) for a in others),
    )


def _span(mode: Mode, n: int, m: int) -> tuple[int, int]:
    """Where the result starts in the full one of n + m - 1, and its length, along one axis."""
    if mode == "same":
        return (m - 1) // 2, n
    if mode == "valid":
        return min(n, m) - 1, abs(n - m) + 1
    return 0, n + m - 1


def normal_axes(axes: Axes, dimensions: int) -> Shape | None:
    """Axes as rising indices from 0. Raises ValueError if they are none, not whole, absent or repeated."""
    if axes is None:
        return None
    try:
        listed = [operator.index(a) for a in (axes if isinstance(axes, Iterable) else (axes,))]
    except TypeError:
        raise ValueError(f"axes must be a whole number or several, not {axes!r}") from None
    if not listed:
        raise ValueError("axes must not be empty")
    if any(not -dimensions <= a < dimensions for a in listed):
        raise ValueError(f"axes {listed} are not all among the {dimensions} of the inputs")
    result = tuple(sorted(a % dimensions for a in listed))
    if len(set(result)) < len(result):
        raise ValueError(f"axes {listed} repeat one")
    return result
