"""Convolution and correlation of arrays and tensors of any number of dimensions, as SciPy defines them.

    convolve(f, g)[n]  = sum over m of f[m] g[n - m]
    correlate(f, g)[n] = sum over m of f[m + n] conj(g[m])

NumPy arrays, and whatever turns into one, give NumPy arrays; with a torch tensor on either side the result is
a tensor on its device, with gradients of any order. Long work on a CPU has `torch.get_num_threads()` threads.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from neocog.ops import convolve_numpy, convolve_torch
from neocog.ops.convolve_choice import Choice
from neocog.ops.convolve_plan import Axes, Geometry, Mode, geometry, normal_axes

Method = Literal["auto", "direct", "fft", "overlap-add"]
Array = NDArray[Any]
Values = TypeVar("Values", Array, Tensor)


@overload
def convolve(in1: Tensor, in2: Any, mode: Mode = ..., method: Method = ..., axes: Axes = ...) -> Tensor: ...
@overload
def convolve(in1: Any, in2: Tensor, mode: Mode = ..., method: Method = ..., axes: Axes = ...) -> Tensor: ...
@overload
def convolve(
    in1: ArrayLike, in2: ArrayLike, mode: Mode = ..., method: Method = ..., axes: Axes = ...
) -> Array: ...
def convolve(in1: Any, in2: Any, mode: Mode = "full", method: Method = "auto", axes: Axes = None) -> Any:
    """The convolution of inputs with the same number of dimensions: `scipy.signal.convolve`, and `axes`.

    mode: "full", everything, n + m - 1 along an axis; "same", the middle of it, as large as in1; "valid",
    what needs no zeros around, max - min + 1: one input must be at least as large along every axis.
    method: "direct", the sums; "fft", one transform; "overlap-add", transforms of blocks; "auto", the fastest
    by a fitted model, but never one that would be wrong: see `choose_method`.
    axes: along which to convolve, all by default; along others the inputs are broadcast, in every mode.

    The result has the type of the product of the inputs. Integers are exact unless the result does not fit,
    and then wrap around; booleans are or-ed; float16 is summed in float32. With method "fft" or "overlap-add"
    integers above 2^53 are rounded, and a number that is not finite may spread over the whole result (NumPy
    inputs then warn). Raises ValueError for shapes, a mode, method or axes that do not fit and for empty
    inputs, and TypeError for arrays of objects or anything else but numbers.
    """
    x, h = _both(in1, in2)
    if x.ndim == h.ndim == 0:
        return x * h
    run = convolve_torch.run if isinstance(x, Tensor) else convolve_numpy.run
    return run(x, h, _plan(x, h, mode, axes), method)


@overload
def correlate(in1: Tensor, in2: Any, mode: Mode = ..., method: Method = ..., axes: Axes = ...) -> Tensor: ...
@overload
def correlate(in1: Any, in2: Tensor, mode: Mode = ..., method: Method = ..., axes: Axes = ...) -> Tensor: ...
@overload
def correlate(
    in1: ArrayLike, in2: ArrayLike, mode: Mode = ..., method: Method = ..., axes: Axes = ...
) -> Array: ...
def correlate(in1: Any, in2: Any, mode: Mode = "full", method: Method = "auto", axes: Axes = None) -> Any:
    """The cross-correlation of two inputs: `convolve` with the conjugate of in2, reversed along `axes`.

    In mode "full", lag 0 is at m - 1 along an axis, m the length of in2. It is what a convolutional layer of
    a network computes. See `convolve` for arguments and errors, and `scipy.signal.correlate`.
    """
    x, h = _both(in1, in2)
    along = normal_axes(axes, h.ndim)
    if isinstance(h, Tensor):
        h = h.flip(tuple(range(h.ndim)) if along is None else along)
        return convolve(x, h.conj_physical() if h.is_complex() else h, mode, method, axes)
    h = np.flip(h, along)
    return convolve(x, h.conj() if h.dtype.kind == "c" else h, mode, method, axes)


def choose_method(in1: Any, in2: Any, mode: Mode = "full", axes: Axes = None) -> Choice:
    """Which method "auto" takes for these inputs, why, and the estimated seconds of each.

    The fastest by the model, except: booleans, integers whose transform could round to a neighbour, and
    inputs that are not all finite (a transform would spread them over everything) go direct. A float32 or
    complex64 input with a part 50 times quieter than its peak, where the rounding of a transform would exceed
    1e-4 of the result, goes direct or by transforms in double precision. Raises as `convolve` does.
    """
    x, h = _both(in1, in2)
    if x.ndim == h.ndim == 0:
        return Choice("direct", "two numbers have one product", {}, str((x * h).dtype).removeprefix("torch."))
    choose = convolve_torch.choose if isinstance(x, Tensor) else convolve_numpy.choose
    return choose(x, h, _plan(x, h, mode, axes))


def _both(in1: Any, in2: Any) -> tuple[Any, Any]:
    """Both inputs as arrays, or, if either is a tensor, both as tensors on one device."""
    if isinstance(in1, Tensor) or isinstance(in2, Tensor):
        device = in1.device if isinstance(in1, Tensor) else in2.device
        x, h = (
            v if isinstance(v, Tensor) else torch.as_tensor(_numbers(v), device=device) for v in (in1, in2)
        )
        if x.device != h.device:
            raise ValueError(f"in1 and in2 must be on one device, not on {x.device} and {h.device}")
        return x, h
    return _numbers(in1), _numbers(in2)


def _numbers(values: Any) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in "buifc":
        raise TypeError(f"convolve takes booleans, integers, floating or complex numbers, not {array.dtype}")
    return array


def _plan(x: Values, h: Values, mode: Mode, axes: Axes) -> Geometry:
    return geometry(tuple(x.shape), tuple(h.shape), mode, normal_axes(axes, x.ndim))
