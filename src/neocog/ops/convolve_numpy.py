"""Convolution of NumPy arrays: their types, and what the numbers themselves allow."""

from __future__ import annotations

import math
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neocog.ops import convolve_choice
from neocog.ops.convolve_choice import Choice
from neocog.ops.convolve_cost import START, estimate
from neocog.ops.convolve_direct import TINY, direct, working_type
from neocog.ops.convolve_fft import by_blocks, by_fft
from neocog.ops.convolve_plan import Geometry, Shape

Array = NDArray[Any]


def run(x: Array, h: Array, plan: Geometry, method: str) -> Array:
    """Convolve arrays of numbers as planned."""
    convolve_choice.check(method)
    if not plan.ordered:
        x, h = x.transpose(plan.order), h.transpose(plan.order)
    kind, threads = _common_type(x, h), torch.get_num_threads()
    work, asked = working_type(kind), method
    if method == "auto":
        method, _, _, computed_in = _choose(x, h, plan, kind, threads)
    threads = _worth(plan, kind, method, threads)
    if method == "direct":
        out = direct(x.astype(kind, copy=False), h.astype(kind, copy=False), plan, threads)
    else:
        if kind.kind in "biu":
            work = np.dtype(np.float64)
        elif asked == "auto":
            work = np.dtype(computed_in)
        out = _by_transforms(x.astype(work, copy=False), h.astype(work, copy=False), plan, method, threads)
        if asked != "auto" and not np.isfinite(out.flat[0]):
            told = f"method '{method}' spreads numbers that are not finite over the result; 'direct' does not"
            warnings.warn(told, RuntimeWarning, stacklevel=3)
        out = (np.rint(out, out) if kind.kind in "biu" else out).astype(kind, copy=False)
    return out if plan.ordered else out.transpose(plan.inverse)


def _common_type(x: Array, h: Array) -> np.dtype[Any]:
    return x.dtype if x.dtype is h.dtype else np.result_type(x, h)


@lru_cache(maxsize=1024)
def _worth(plan: Geometry, kind: np.dtype[Any], method: str, threads: int) -> int:
    """As many threads as are worth their start."""
    seconds = estimate(plan, working_type(kind).name, 1).seconds
    one = seconds.get(method, seconds["fft"])
    return threads if one / threads + START[method] < one else 1


def _by_transforms(x: Array, h: Array, plan: Geometry, method: str, threads: int) -> Array:
    lengths = estimate(plan, x.dtype.name, threads).lengths
    if method == "fft" or not lengths:  # no block would be shorter than everything
        return by_fft(x, h, plan, threads)
    return by_blocks(x, h, plan, lengths, threads)


def choose(x: Array, h: Array, plan: Geometry) -> Choice:
    """The way that method "auto" goes."""
    x, h = x.transpose(plan.order), h.transpose(plan.order)
    return _choose(x, h, plan, _common_type(x, h), torch.get_num_threads())


@lru_cache(maxsize=1024)
def _unseen(plan: Geometry, kind: np.dtype[Any], threads: int) -> Choice | None:
    """The choice where it does not depend on the numbers."""
    if kind.char in "?gG":
        return Choice("direct", f"{kind.name} is always summed directly", {}, kind.name)
    work = working_type(kind).name
    guess = estimate(plan, work, threads)
    if plan.taps * plan.outputs <= TINY:
        return Choice("direct", "it is too little work for anything else", guess.seconds, work)
    return (
        Choice("direct", "it should be the fastest", guess.seconds, work)
        if guess.fastest == "direct"
        else None
    )


def _choose(x: Array, h: Array, plan: Geometry, kind: np.dtype[Any], threads: int) -> Choice:
    """Of inputs in order."""
    if choice := _unseen(plan, kind, threads):
        return choice
    work = working_type(kind)
    guess = estimate(plan, work.name, threads)
    if kind.kind in "iu":
        return convolve_choice.for_integers(guess, work.name, lambda: _rounds_right(x, h, plan))
    shorter = min(plan.sizes, key=math.prod)

    def quietest() -> float:
        each = (_quietest(v, sizes, shorter, work) for v, sizes in zip((x, h), plan.sizes, strict=True))
        return float(np.min(list(each)))

    return convolve_choice.for_floats(
        guess, lambda finer: estimate(plan, finer, threads), work.name, quietest
    )


def _rounds_right(x: Array, h: Array, plan: Geometry) -> bool:
    """Whether a transform in float64 errs by less than a quarter, so that rounding gives the exact sum.

    The error of a transform of N numbers is below a few eps log2 N of the product of the inputs' norms
    (Higham, "Accuracy and stability of numerical algorithms", 2002, chapter 24).
    """
    norms = _largest(x) * _largest(h) * math.sqrt(math.prod(plan.sizes[0]) * math.prod(plan.sizes[1]))
    full = math.prod(n + m - 1 for n, m in zip(*plan.sizes, strict=True))
    return norms * 2.0**-53 * 8 * (math.log2(full) + 1) < 0.25


def _largest(values: Array) -> float:
    return float(max(int(values.max()), -int(values.min())))


def _quietest(values: Array, sizes: Shape, shorter: Shape, work: np.dtype[Any]) -> float:
    """The smallest peak of a box of values (batch, sizes) over its example's peak; NaN if any is not finite.

    A box is half as long as the shorter input along each axis, so that an output with nothing loud in its sum
    has a whole quiet box under it. In double precision a quiet part does no harm, and is not looked for.
    """
    if np.finfo(work).bits == 64:
        with np.errstate(over="ignore", invalid="ignore"):
            finite = bool(np.isfinite(values.sum())) or bool(np.isfinite(values).all())  # a sum can overflow
        return 1.0 if finite else math.nan
    from neocog.ops import _kernels_convolve

    numbers = np.ascontiguousarray(values, work if values.dtype.kind == "c" else np.float32)
    lead = (1,) * (2 - len(sizes))
    bits = numbers.reshape(-1, math.prod(sizes[:-2]), *lead, *sizes[-2:]).view(np.int32)
    box = [max(1, m // 2) for m in shorter]
    deep = box[-3] if len(box) == 3 else 1
    boxes: Any = (deep, *lead, *box[-2:-1], box[-1] * numbers.itemsize // 4)
    counts = (max(1, n // b) for n, b in zip(bits.shape[1:], boxes, strict=True))
    tops = np.zeros((len(bits), *counts), np.int32)
    _kernels_convolve.peaks(bits, np.iinfo(np.int32).max, boxes, tops)
    peaks = tops.view(np.float32).reshape(len(bits), -1)
    top = peaks.max(1)
    if not np.isfinite(top).all():
        return math.nan
    return float((peaks.min(1)[top > 0] / top[top > 0]).min(initial=1.0))
