"""Direct convolution of NumPy arrays: the sums of the definition, exact for integers."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neocog.ops.convolve_plan import Geometry
from neocog.ops.threads import share

Array = NDArray[Any]
Ints = NDArray[np.int64]
Triple = tuple[int, int, int]
TINY = 6000  # products, up to which NumPy's own convolution of two sequences is the cheapest
SHORT = 20_000  # the same for float32 and float64 and under 12 taps, which NumPy has unrolled
ROW = 4096  # cells of a tile's row; longer ones are cut
CELLS = 16384  # of a tile, about: what it sees should stay in the second cache


def direct(x: Array, h: Array, plan: Geometry, threads: int) -> Array:
    """The result (batch, size) of inputs (batches, sizes) of one type, in that type.

    Integers wrap around as NumPy's do; booleans are or-ed; float16 is summed in float32.
    """
    kind = x.dtype
    most = SHORT if plan.taps < 12 and kind.char in "fd" else TINY // (4 if kind.kind == "c" else 1)
    if len(plan.order) == 1 and plan.taps * plan.outputs <= most:
        return np.convolve(x, h)[plan.start[0] : plan.start[0] + plan.size[0]]
    if len(plan.size) > 3 or kind.char in "gG":
        return _by_taps(x, h, plan)
    out = _by_tiles(x, h, plan, working_type(kind), threads)
    return out.astype(kind, copy=False) if kind.kind != "b" else out != 0


@lru_cache
def working_type(kind: np.dtype[Any]) -> np.dtype[Any]:
    """The type a kernel is compiled for in which sums of `kind` come out right, wrapped around or not.

    For a long double, of which there is none, it is double.
    """
    if kind.kind == "f":
        return np.dtype(np.float64 if kind.itemsize >= 8 else np.float32)
    if kind.kind == "c":
        return np.dtype(np.complex128 if kind.itemsize >= 16 else np.complex64)
    return np.dtype(np.int64 if kind.itemsize == 8 else np.int32)


def _by_tiles(x: Array, h: Array, plan: Geometry, kind: np.dtype[Any], threads: int) -> Array:
    from neocog.ops import _kernels_convolve

    layout = _layout(plan)
    if layout.swapped:
        x, h = h, x
    kernels = h.astype(kind, copy=False).reshape(-1, 1, plan.taps)[:, :, ::-1]
    out: Array = np.empty(plan.batch + plan.size, kind)
    real, numbers = kind, 1
    if kind.kind == "c":
        kernels = np.concatenate([kernels.real, kernels.imag], 1)
        real, numbers = kernels.dtype, 2
    run = partial(
        _kernels_convolve.convolve_tiles,
        np.ascontiguousarray(x, kind).view(real).reshape(*layout.inputs, numbers),
        np.ascontiguousarray(kernels),
        layout.lengths,
        layout.input_of,
        layout.kernel_of,
        out.view(real).reshape(*layout.outputs, numbers),
    )
    share(run, layout.tiles, threads)
    return out


class _Layout(NamedTuple):
    """What the kernel needs to know of a geometry."""

    swapped: bool
    """The smaller of the inputs is the kernel."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    """Shapes (batch, depth, height, width)."""
    lengths: Ints
    """Sizes of the kernel, start of the result, and cells of a tile, three each."""
    input_of: Ints
    kernel_of: Ints
    """For each example, which of the inputs and kernels it takes, by broadcasting."""
    tiles: int


@lru_cache(maxsize=1024)
def _layout(plan: Geometry) -> _Layout:
    swapped = math.prod(plan.sizes[0]) < math.prod(plan.sizes[1])
    lead = (1,) * (3 - len(plan.size))
    size, kernel = (lead + plan.sizes[i] for i in (int(swapped), 1 - int(swapped)))
    outputs = (math.prod(plan.batch), *lead, *plan.size)
    tile = tile_of(outputs[1:], kernel)
    start = (0,) * len(lead) + plan.start
    places = [
        np.ascontiguousarray(np.broadcast_to(np.arange(math.prod(one)).reshape(one), plan.batch)).reshape(-1)
        for one in plan.batches
    ]
    return _Layout(
        swapped,
        (math.prod(plan.batches[int(swapped)]), *size),
        outputs,
        np.array([*kernel, *start, *tile]),
        places[int(swapped)],
        places[1 - int(swapped)],
        outputs[0] * math.prod(-(-n // step) for n, step in zip(outputs[1:], tile, strict=True)),
    )


def tile_of(shape: Any, kernel: Any) -> Triple:
    """Cells of a tile each way: enough that copying what it sees, kernel - 1 more each way, costs little."""
    wide = min(shape[2], ROW)
    high = min(shape[1], max(CELLS // wide, 2 * kernel[1]))
    deep = min(shape[0], max(4, 2 * kernel[0]))
    return deep, high, wide


def _by_taps(x: Array, h: Array, plan: Geometry) -> Array:
    """A shifted and weighted copy a tap: any number of dimensions and any type, in plain NumPy."""
    if math.prod(plan.sizes[0]) < math.prod(plan.sizes[1]):
        x, h = h, x
    dims = len(plan.size)
    out = np.zeros(plan.batch + plan.size, x.dtype)
    for tap in np.ndindex(h.shape[h.ndim - dims :]):
        reads: list[Any] = [...]
        writes: list[Any] = [...]
        for place, first, length, n in zip(tap, plan.start, plan.size, x.shape[x.ndim - dims :], strict=True):
            low = max(place - first, 0)
            high = max(min(n + place - first, length), low)
            writes.append(slice(low, high))
            reads.append(slice(low + first - place, high + first - place))
        weight: Any = (..., *tap, *(None,) * dims)
        out[tuple(writes)] += h[weight] * x[tuple(reads)]
    return out
