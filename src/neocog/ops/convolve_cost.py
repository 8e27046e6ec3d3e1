"""How long each way of convolving should take, from shapes and type: a model fitted to measurements.

`benchmarks/fit_convolve.py` measures the ways on many shapes and writes `convolve_table.py`: seconds for each
unit of the work counted here. Counting costs microseconds, and is remembered for shapes seen before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy import fft

from neocog.ops.convolve_direct import tile_of
from neocog.ops.convolve_fft import LANES, count_blocks, lengths_at_once, together
from neocog.ops.convolve_plan import Geometry, Shape
from neocog.ops.convolve_table import SECONDS

LARGE = 400_000  # bytes that are transformed together and no longer fit the second cache with their transform
HUGE = 2**24  # and that lie in main memory
FACTORS = (1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # of a block to the shorter input, along one axis
START = {"direct": 5e-5, "fft": 5e-5, "overlap-add": 2.5e-4}
"""Seconds that it costs to share work among threads: Python holds blocks up between their transforms."""
CLEARLY = 1.05  # times faster that blocks must promise to be: they depend more on the state of the memory


@dataclass(frozen=True)
class Estimate:
    """Seconds of every way that is open, and the blocks' lengths if overlap-add is."""

    seconds: dict[str, float]
    lengths: Shape | None

    @cached_property
    def fastest(self) -> str:
        """But blocks only if they are so clearly."""
        return min(self.seconds, key=lambda way: self.seconds[way] * (CLEARLY if way == "overlap-add" else 1))


@lru_cache(maxsize=1024)
def estimate(plan: Geometry, kind: str, threads: int) -> Estimate:
    """Of the computation in a type: float32, float64, complex64, complex128, int32 or int64.

    With "torch " before it (and no integers), of torch's own operations.
    """
    dims = min(len(plan.size), 3)
    seconds = {"direct": _seconds("direct", kind, dims, direct_work(plan), threads)}
    if kind.startswith("int"):
        kind = "float64"
    real = "float" in kind
    at_once = lengths_at_once(plan, real)
    seconds["fft"] = _seconds("fft", kind, dims, fft_work(plan, at_once, kind), threads if dims > 1 else 1)
    choices = {
        lengths: _seconds("overlap-add", kind, dims, work, min(threads, int(work[1])))
        for lengths in block_lengths(plan, at_once)
        if (work := blocks_work(plan, lengths, kind))
    }
    best = min(choices, key=choices.__getitem__, default=None)
    if best:
        seconds["overlap-add"] = choices[best]
    return Estimate(seconds, best)


def _seconds(method: str, kind: str, dims: int, work: tuple[float, ...], threads: int) -> float:
    rates = SECONDS[method, kind, dims]
    one = sum(rate * units for rate, units in zip(rates, work, strict=True))
    return min(one, one / threads + START[method])


def direct_work(plan: Geometry) -> tuple[float, ...]:
    """1, outputs, and products with those that are not used, at the ends of a tile's rows."""
    lead = (1,) * (3 - len(plan.size))
    kernel = min(plan.sizes, key=math.prod)
    if len(plan.size) > 3:
        return 1.0, plan.outputs * plan.taps * 10.0, float(plan.outputs * plan.taps)
    _, high, wide = tile_of(lead + plan.size, lead + kernel)
    unused = (kernel[-1] - 1) / wide if high > 1 else 0.0
    return 1.0, float(plan.outputs), plan.outputs * plan.taps * (1 + unused)


def fft_work(plan: Geometry, lengths: Shape, kind: str) -> tuple[float, ...]:
    """1, butterflies, numbers passed, and those of them beyond the second cache and beyond all."""
    work = passed = 0.0
    counts = [math.prod(b) for b in (*plan.batches, plan.batch)]
    for count, sizes in zip(counts, (*plan.sizes, plan.size), strict=True):
        more, passes = _transform(sizes, lengths)
        work, passed = work + count * more, passed + count * passes
    return 1.0, work, passed, *_beyond(passed, _numbers(lengths, plan.sizes), kind)


def blocks_work(plan: Geometry, lengths: Shape, kind: str) -> tuple[float, ...]:
    """1, steps of the loop, and as of one transform."""
    kernel = min(plan.sizes, key=math.prod)
    steps_of = tuple(n - m + 1 if n else size for n, m, size in zip(lengths, kernel, plan.size, strict=True))
    counts = count_blocks(plan.size, steps_of)
    steps = math.prod(counts[:-1]) * -(-counts[-1] // together(lengths))
    blocks = math.prod(counts) * math.prod(plan.batch)
    numbers = _numbers(lengths, plan.sizes) * (LANES if len(lengths) == 1 else 1)
    one, passes = _transform(tuple(n or size for n, size in zip(lengths, plan.size, strict=True)), lengths)
    own, own_passes = _transform(kernel, lengths)
    passed = 2 * blocks * passes + own_passes
    return 1.0, float(steps), 2 * blocks * one + own, passed, *_beyond(passed, numbers, kind)


def _beyond(passed: float, numbers: int, kind: str) -> tuple[float, float]:
    size = numbers * np.dtype(kind.removeprefix("torch ")).itemsize
    return passed if size > LARGE else 0.0, passed if size > HUGE else 0.0


def _numbers(lengths: Shape, sizes: tuple[Shape, Shape]) -> int:
    return math.prod(n or max(pair) for n, pair in zip(lengths, zip(*sizes, strict=True), strict=True))


def _transform(sizes: Shape, lengths: Shape) -> tuple[float, float]:
    """Butterflies and numbers passed of a transform, whose axes are padded one after the other."""
    numbers, work, passed = math.prod(sizes), 0.0, 0.0
    for n, length in zip(reversed(sizes), reversed(lengths), strict=True):
        if length:
            numbers = numbers // n * length
            work += numbers * math.log2(length)
            passed += numbers
    return work, passed


def block_lengths(plan: Geometry, at_once: Shape) -> list[Shape]:
    """Lengths of blocks worth a thought: the same multiple of the shorter input along every axis, and of one
    dimension also what just fills the lanes."""
    long, short = sorted(plan.sizes, key=math.prod, reverse=True)
    if any(n < m for n, m in zip(long, short, strict=True)) or not any(at_once):
        return []
    wanted = [tuple(int(factor * m) + 8 for m in short) for factor in FACTORS]
    if len(short) == 1:
        wanted += [(-(-plan.size[0] // (LANES * fill)) + short[0] - 1,) for fill in (1, 2, 3, 4)]
    found = {
        tuple(
            whole and min(whole, int(fft.next_fast_len(n, True)))
            for whole, n in zip(at_once, lengths, strict=True)
        )
        for lengths in wanted
    }
    return sorted(found - {at_once})
