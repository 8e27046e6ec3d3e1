"""Convolution of torch tensors: the same results, on the tensors' device, with gradients of any order.

Without gradients a CPU tensor is convolved as a NumPy array on the same memory. Otherwise the result is made
of torch's own differentiable operations: its convolution on a CPU, a sum of shifted copies elsewhere (a GPU's
own convolution may round its factors to TF32, and takes no integers), and its Fourier transform.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional as F

from neocog.ops import convolve_choice, convolve_numpy
from neocog.ops.convolve_choice import Choice
from neocog.ops.convolve_cost import Estimate, estimate
from neocog.ops.convolve_fft import lengths_at_once
from neocog.ops.convolve_plan import Geometry, Shape

HALVES = (torch.float16, torch.bfloat16)
FEW = 64  # taps, up to which shifted copies are taken on a GPU: two launches each
_CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)
_POOLS = (F.max_pool1d, F.max_pool2d, F.max_pool3d)


def run(x: Tensor, h: Tensor, plan: Geometry, method: str) -> Tensor:
    """Convolve tensors as planned."""
    kind = torch.result_type(x, h)
    if _as_arrays(x, h):
        return torch.from_numpy(convolve_numpy.run(x.to(kind).numpy(), h.to(kind).numpy(), plan, method))
    convolve_choice.check(method)
    x, h = _in_order(x, h, plan)
    if method == "auto":
        method, _, _, name = _choose(x, h, plan)
        x, h = x.to(getattr(torch, name)), h.to(getattr(torch, name))
    if method == "direct":
        out = direct(x, h, plan)
    elif x.is_floating_point() or x.is_complex():
        out = _transformed(x, h, plan, method)
    else:
        out = _transformed(x.double(), h.double(), plan, method).round()
    return out.to(kind).permute(plan.inverse)


def choose(x: Tensor, h: Tensor, plan: Geometry) -> Choice:
    """The way that method "auto" goes."""
    if _as_arrays(x, h):
        kind = torch.result_type(x, h)
        return convolve_numpy.choose(x.to(kind).numpy(), h.to(kind).numpy(), plan)
    return _choose(*_in_order(x, h, plan), plan)


def _as_arrays(x: Tensor, h: Tensor) -> bool:
    """Whether NumPy can see the numbers, and nothing but the numbers is asked for."""
    if any(v.device.type != "cpu" or v.dtype == torch.bfloat16 or v.is_conj() or v.is_neg() for v in (x, h)):
        return False
    graded = torch.is_grad_enabled() and (x.requires_grad or h.requires_grad)
    return not graded and all(forward_ad.unpack_dual(v).tangent is None for v in (x, h))  # type: ignore[no-untyped-call]


def _in_order(x: Tensor, h: Tensor, plan: Geometry) -> tuple[Tensor, Tensor]:
    """The axes that broadcast first, then those convolved, in the type of the sums."""
    kind = torch.result_type(x, h)
    work = torch.float32 if kind in HALVES else torch.int32 if kind == torch.bool else kind
    return x.permute(plan.order).to(work), h.permute(plan.order).to(work)


def _choose(x: Tensor, h: Tensor, plan: Geometry) -> Choice:
    name = str(x.dtype).removeprefix("torch.")
    if not (x.is_floating_point() or x.is_complex()):
        return Choice("direct", "integers are summed exactly", {}, name)
    on_cpu = x.device.type == "cpu"

    def guess(kind: str) -> Estimate:
        if on_cpu:
            return estimate(plan, f"torch {kind}", torch.get_num_threads())
        return Estimate({"direct": float(plan.taps), "fft": float(FEW)}, None)

    shorter = min(plan.sizes, key=math.prod)

    def quietest() -> float:
        return float(torch.stack([_quietest(v.detach(), shorter) for v in (x, h)]).min())

    choice = convolve_choice.for_floats(guess(name), guess, name, quietest)
    return choice if on_cpu else choice._replace(seconds={})


def _quietest(values: Tensor, shorter: Shape) -> Tensor:
    """As that of arrays: see `convolve_numpy`."""
    dims = min(len(shorter), 3)
    sizes = tuple(values.shape[values.ndim - len(shorter) :])
    boxes = [max(1, m // 2) for m in shorter[-dims:]]
    if len(sizes) > dims:  # the first of them are one long axis
        sizes, boxes[0] = (math.prod(sizes[:-2]), *sizes[-2:]), 1
    flat = values.abs().reshape(-1, 1, *sizes)
    pooled = _POOLS[dims - 1](flat, boxes, ceil_mode=True).flatten(1)
    top = pooled.amax(1)
    relative = torch.where(top > 0, pooled.amin(1) / top, 1.0)
    return torch.where(top.isfinite(), relative, math.nan).min()


def direct(x: Tensor, h: Tensor, plan: Geometry) -> Tensor:
    """The sums of the definition."""
    dims = len(plan.size)
    if math.prod(x.shape[x.ndim - dims :]) < math.prod(h.shape[h.ndim - dims :]):
        x, h = h, x
    taps = tuple(h.shape[h.ndim - dims :])
    corner = [first - m + 1 for first, m in zip(plan.start, taps, strict=True)]
    seen = _pad(x, corner, [n + m - 1 for n, m in zip(plan.size, taps, strict=True)])
    if dims <= 3 and x.device.type == "cpu" and (x.is_floating_point() or x.is_complex()):
        count, shape = math.prod(plan.batch), seen.shape[seen.ndim - dims :]
        inputs = seen.expand(*plan.batch, *shape).reshape(1, count, *shape)
        kernels = h.expand(*plan.batch, *taps).reshape(count, 1, *taps).flip(tuple(range(2, 2 + dims)))
        return _CONVOLUTIONS[dims - 1](inputs, kernels, groups=count).reshape(plan.batch + plan.size)
    out = torch.zeros(plan.batch + plan.size, dtype=x.dtype, device=x.device)
    for tap in itertools.product(*map(range, taps)):
        begin = [m - 1 - place for m, place in zip(taps, tap, strict=True)]
        out = out + _crop(seen, begin, plan.size) * h[(..., *tap, *(None,) * dims)]
    return out


def _transformed(x: Tensor, h: Tensor, plan: Geometry, method: str) -> Tensor:
    if method == "overlap-add":
        name = str(x.dtype).removeprefix("torch.")
        if lengths := estimate(plan, f"torch {name}", torch.get_num_threads()).lengths:
            return by_blocks(x, h, plan, lengths)
    return by_fft(x, h, plan)


def by_fft(x: Tensor, h: Tensor, plan: Geometry) -> Tensor:
    """One transform."""
    lengths = lengths_at_once(plan, not x.is_complex())
    return _crop(_multiplied(x, h, lengths), plan.start, plan.size)


def by_blocks(x: Tensor, h: Tensor, plan: Geometry, lengths: Shape) -> Tensor:
    """Overlapping blocks, as `convolve_fft.by_blocks` has them, all at once."""
    dims = len(lengths)
    if math.prod(plan.sizes[0]) < math.prod(plan.sizes[1]):
        x, h = h, x
    before = [m - 1 for m in h.shape[h.ndim - dims :]]
    steps = [n - m if n else size for n, m, size in zip(lengths, before, plan.size, strict=True)]
    counts = [-(-size // step) for size, step in zip(plan.size, steps, strict=True)]
    spans = [count * step + m for count, step, m in zip(counts, steps, before, strict=True)]
    blocks = _pad(x, [first - m for first, m in zip(plan.start, before, strict=True)], spans)
    axis = blocks.ndim - dims
    for step, m in zip(steps, before, strict=True):
        blocks = blocks.unfold(axis, step + m, step)  # its cells become the last axis
        axis += 1
    kernel = h[(..., *(None,) * dims, *(slice(None),) * dims)]
    done = _crop(_multiplied(blocks, kernel, lengths), before, steps)
    ahead = done.ndim - 2 * dims
    mixed = (ahead + dims * (k % 2) + k // 2 for k in range(2 * dims))  # counts and steps in turn
    whole = [count * step for count, step in zip(counts, steps, strict=True)]
    joined = done.permute(*range(ahead), *mixed).reshape(*plan.batch, *whole)
    return _crop(joined, [0] * dims, plan.size)


def _multiplied(x: Tensor, h: Tensor, lengths: Shape) -> Tensor:
    """The circular convolution of these lengths along the last axes; a plain product along those with 0."""
    axes = [axis for axis, n in enumerate(lengths, -len(lengths)) if n]
    shape = [n for n in lengths if n]
    if not axes:
        return x * h
    forward, backward = torch.fft.rfftn, torch.fft.irfftn
    if x.is_complex():
        forward, backward = torch.fft.fftn, torch.fft.ifftn
    product: Tensor = backward(forward(x, shape, axes) * forward(h, shape, axes), shape, axes)
    return product


def _pad(x: Tensor, start: Sequence[int], size: Sequence[int]) -> Tensor:
    """`size` numbers from `start`, which may lie before the first or after the last, along the last axes."""
    sides = []
    for n, first, length in zip(x.shape[x.ndim - len(size) :], start, size, strict=True):
        sides += [first + length - n, -first]
    return F.pad(x, sides[::-1])


def _crop(x: Tensor, start: Sequence[int], size: Sequence[int]) -> Tensor:
    for axis, (first, n) in enumerate(zip(start, size, strict=True), -len(size)):
        x = x.narrow(axis, first, n)
    return x
