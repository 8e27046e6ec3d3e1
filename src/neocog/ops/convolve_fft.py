"""Convolution of NumPy arrays by the fast Fourier transform: all at once, or block by block.

The blocks are those of the overlap method (Stockham 1966; Oppenheim and Schafer, "Discrete-time signal
processing", section 8.7), in its overlap-save form: input blocks overlap, and every output is written once,
so that threads do not meet. A block that fits the cache is transformed faster than a long array.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from neocog.ops.convolve_plan import Geometry, Shape
from neocog.ops.threads import share

Array = NDArray[Any]
GROUP = 2**16  # numbers, of blocks that are transformed together
LANES = 4  # sequences in a vector of float32; of float64 they are two


def by_fft(x: Array, h: Array, plan: Geometry, threads: int) -> Array:
    """The result (batch, size) of floating or complex inputs (batches, sizes) of one type, in that type."""
    lengths = lengths_at_once(plan, x.dtype.kind != "c")
    if not any(lengths):
        return np.ascontiguousarray(_crop(x * h, plan.start, plan.size))
    product = _multiply(_forward(x, lengths, threads), _forward(h, lengths, threads))
    real = x.dtype.kind != "c"
    return np.ascontiguousarray(_backward(product, lengths, real, plan.start, plan.size, threads))


def lengths_at_once(plan: Geometry, real: bool) -> tuple[int, ...]:
    """Good lengths of one transform; 0 along an axis where an input has one cell, which needs none.

    A length may be below that of the full convolution: what wraps around need only miss the wanted part.
    """
    needed = [
        0 if min(n, m) == 1 else max(n, m, n + m - 1 - first, first + size)
        for n, m, first, size in zip(*plan.sizes, plan.start, plan.size, strict=True)
    ]
    last = max((i for i, n in enumerate(needed) if n), default=-1)
    return tuple(n and int(fft.next_fast_len(n, real and i == last)) for i, n in enumerate(needed))


def by_blocks(x: Array, h: Array, plan: Geometry, lengths: Shape, threads: int) -> Array:
    """As `by_fft`, by transforms of these lengths: longer than the shorter input's, or 0 where that is 1.

    Along every axis the same input must be the shorter one, or as long.
    """
    if math.prod(plan.sizes[0]) < math.prod(plan.sizes[1]):
        x, h = h, x
    real, dims = x.dtype.kind != "c", len(lengths)
    before = tuple(m - 1 for m in h.shape[h.ndim - dims :])  # what a block sees before its first output
    steps = tuple(n - m if n else size for n, m, size in zip(lengths, before, plan.size, strict=True))
    counts = count_blocks(plan.size, steps)
    blocks = _blocks(x, before, plan.start, tuple(map(sum, zip(steps, before, strict=True))), steps, counts)
    kernel = np.expand_dims(_forward(h, lengths, 1), -dims - 1)
    out = np.empty(plan.batch + plan.size, x.dtype)
    group = together(lengths)
    jobs = list(itertools.product(*map(range, counts[:-1]), range(0, counts[-1], group)))

    def run(begin: int, end: int) -> None:
        for *index, low in jobs[begin:end]:
            transform(index, low)

    def transform(index: list[int], low: int) -> None:
        high = min(low + group, counts[-1])
        some = blocks[_at(*index, slice(low, high), *(slice(None),) * dims)]
        product = _multiply(_forward(some, lengths, 1), kernel)
        done = _backward(product, lengths, real, before, steps, 1)
        corner = [i * step for i, step in zip(index, steps, strict=False)]
        for i in range(low, high):
            begin = (*corner, i * steps[-1])
            target = out[_at(*(slice(b, b + step) for b, step in zip(begin, steps, strict=True)))]
            target[...] = done[_at(i - low, *map(slice, target.shape[-dims:]))]

    share(run, len(jobs), threads)
    return out


def count_blocks(size: Shape, steps: Shape) -> Shape:
    """How many blocks each way. Of one dimension they fill the lanes, if need be with blocks of zeros.

    SciPy's transform steps through several sequences side by side; a lone one takes as long as all of them.
    """
    counts = tuple(-(-n // step) for n, step in zip(size, steps, strict=True))
    return counts if len(counts) > 1 else (-(-counts[0] // LANES) * LANES,)


def together(lengths: Shape) -> int:
    """How many blocks are transformed at once: what the cache holds, and full lanes."""
    fit = GROUP // math.prod(n or 1 for n in lengths)
    return max(1, fit) if len(lengths) > 1 else max(LANES, fit // LANES * LANES)


def _blocks(x: Array, before: Shape, start: Shape, lengths: Shape, steps: Shape, counts: Shape) -> Array:
    """The overlapping blocks (batch, counts, lengths) of x, zeros around it; a view of one padded copy."""
    dims = len(steps)
    batch = x.shape[: x.ndim - dims]
    spans = tuple((c - 1) * step + n for c, step, n in zip(counts, steps, lengths, strict=True))
    corner = tuple(first - m for first, m in zip(start, before, strict=True))
    part = x[_at(*(slice(max(c, 0), c + span) for c, span in zip(corner, spans, strict=True)))]
    writes = (slice(max(-c, 0), max(-c, 0) + n) for c, n in zip(corner, part.shape[-dims:], strict=True))
    padded = np.zeros(batch + spans, x.dtype)
    padded[_at(*writes)] = part
    ahead, strides = padded.strides[:-dims], padded.strides[-dims:]
    jumps = tuple(stride * step for stride, step in zip(strides, steps, strict=True))
    shape = batch + counts + lengths
    blocks: Array = np.lib.stride_tricks.as_strided(padded, shape, ahead + jumps + strides)
    return blocks


def _forward(x: Array, lengths: Shape, threads: int) -> Array:
    """The transform along the last axes, each padded to its length; axis by axis, so that rows of padding
    are never transformed."""
    first = True
    for axis in range(-1, -len(lengths) - 1, -1):
        if n := lengths[axis]:
            transform = fft.rfft if first and x.dtype.kind != "c" else fft.fft
            x = transform(x, n, axis, overwrite_x=not first, workers=threads)
            first = False
    return x


def _backward(x: Array, lengths: Shape, real: bool, start: Shape, size: Shape, threads: int) -> Array:
    """Undo `_forward`, keeping `size` numbers from `start` along each of the last axes."""
    dims = len(lengths)
    last = max(i for i, n in enumerate(lengths) if n) - dims
    for axis in range(-dims, 0):
        if (n := lengths[axis]) and axis != last:
            x = fft.ifft(x, n, axis, overwrite_x=True, workers=threads)
        if axis != last:
            x = _crop(x, start[axis : axis + 1 or None], size[axis : axis + 1 or None], axis)
    inverse = fft.irfft if real else fft.ifft
    x = inverse(x, lengths[last], last, overwrite_x=True, workers=threads)
    return _crop(x, (start[last],), (size[last],), last)


def _crop(x: Array, start: Shape, size: Shape, axis: int | None = None) -> Array:
    """`size` numbers from `start` along the last axes, or along one."""
    cut = (slice(first, first + n) for first, n in zip(start, size, strict=True))
    after = (slice(None),) * (0 if axis is None else -axis - 1)
    cropped: Array = x[_at(*cut, *after)]
    return cropped


def _at(*last: int | slice) -> Any:
    """An index of the last axes."""
    return (..., *last)


def _multiply(product: Array, other: Array) -> Array:
    """The product of two transforms, in place of the first where it has the shape of the result."""
    if np.broadcast_shapes(product.shape, other.shape) == product.shape:
        product *= other
        return product
    return product * other
