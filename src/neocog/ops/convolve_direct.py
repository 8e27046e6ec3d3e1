"""Direct convolution of NumPy arrays: the sums of the definition, exact for integers."""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neocog.ops.convolve_plan import Geometry

Array = NDArray[Any]
Triple = tuple[int, int, int]
ROW = 4096  # cells of a tile's row; longer ones are cut
CELLS = 16384  # of a tile, about: what it sees should stay in the second cache


def direct(x: Array, h: Array, plan: Geometry, threads: int) -> Array:
    """The result (batch, size) of inputs (batches, sizes) of one type, in that type.

    Integers wrap around as NumPy's do; booleans are or-ed; float16 is summed in float32.
    """
    kind = x.dtype
    if len(plan.size) > 3 or kind.char in "gG":
        return _by_taps(x, h, plan)
    work = working_type(kind)
    x, h = np.ascontiguousarray(x, work), np.ascontiguousarray(h, work)
    if math.prod(plan.sizes[0]) < math.prod(plan.sizes[1]):
        out = _by_tiles(h, x, plan.batch, plan.start, plan.size, threads)
    else:
        out = _by_tiles(x, h, plan.batch, plan.start, plan.size, threads)
    return out.astype(kind, copy=False) if kind.kind != "b" else out != 0


@lru_cache
def working_type(kind: np.dtype[Any]) -> np.dtype[Any]:
    """The type a kernel is compiled for in which sums of `kind` come out right, wrapped around or not."""
    if kind.kind == "f":
        return np.dtype(np.float64 if kind.itemsize == 8 else np.float32)
    if kind.kind == "c":
        return kind
    return np.dtype(np.int64 if kind.itemsize == 8 else np.int32)


def _by_tiles(x: Array, h: Array, batch: tuple[int, ...], start: Any, size: Any, threads: int) -> Array:
    from neocog.ops import _kernels_convolve

    dims = len(size)
    lead = (1,) * (3 - dims)
    real = x.real.dtype
    out = np.empty(batch + tuple(size), x.dtype)
    shape, kernel = lead + x.shape[x.ndim - dims :], lead + h.shape[h.ndim - dims :]
    inputs = x.reshape(-1, *shape).view(real).reshape(-1, *shape, x.itemsize // real.itemsize)
    flipped = h.reshape(-1, math.prod(kernel))[:, ::-1]
    parts = (flipped.real, flipped.imag) if x.dtype.kind == "c" else (flipped,)
    outs = out.reshape(-1, *lead, *size)
    results = outs.view(real).reshape(*outs.shape, inputs.shape[-1])
    tile = tile_of(outs.shape[1:], kernel)
    pairs = (_which(x.shape[: x.ndim - dims], batch), _which(h.shape[: h.ndim - dims], batch))
    arguments: Any = (inputs, np.stack(parts, 1), kernel, (0,) * (3 - dims) + tuple(start), tile, pairs, results)
    tiles = len(outs) * math.prod(-(-n // step) for n, step in zip(outs.shape[1:], tile, strict=True))
    bounds = [tiles * i // threads for i in range(threads + 1)]
    if threads == 1:
        _kernels_convolve.convolve_tiles(*arguments, (0, tiles))
    else:
        with ThreadPoolExecutor(threads) as pool:
            run = partial(_kernels_convolve.convolve_tiles, *arguments)
            list(pool.map(run, itertools.pairwise(bounds)))
    return out


def tile_of(shape: Any, kernel: Any) -> Triple:
    """Cells of a tile each way: enough that copying what it sees, kernel - 1 more each way, costs little."""
    wide = min(shape[2], ROW)
    high = min(shape[1], max(CELLS // wide, 2 * kernel[1]))
    deep = min(shape[0], max(4, 2 * kernel[0]))
    return deep, high, wide


def _which(shape: tuple[int, ...], batch: tuple[int, ...]) -> NDArray[np.int64]:
    """For each example of a batch, which of the arrays of `shape` it takes, by broadcasting."""
    numbers = np.arange(math.prod(shape), dtype=np.int64).reshape(shape)
    return np.ascontiguousarray(np.broadcast_to(numbers, batch)).reshape(-1)


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
