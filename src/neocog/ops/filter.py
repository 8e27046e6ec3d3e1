"""A picture under a kernel: every output pixel is a weighted sum of the pixels around it."""

from __future__ import annotations

import functools
import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neocog.ops.arithmetic import conv_out, effective_kernel
from neocog.ops.convolve import convolve
from neocog.ops.kernels import Floats, as_kernel, read_kernel, separate
from neocog.ops.names import named

Padding = Literal["zero", "reflect", "replicate", "circular", "none"]
Plane = NDArray[np.floating[Any]]
Pairs = list[tuple[Floats, Floats]]

PADDINGS = {"zero": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap", "none": ""}
"""What lies beyond the edge, and NumPy's word for it: zeros; the picture mirrored about its last pixels;
those pixels again and again; its other side. With `none` nothing does: output is where the kernel fits."""


def filter_image(
    image: ArrayLike,
    kernel: ArrayLike | str,
    *,
    stride: int = 1,
    padding: Padding = "reflect",
    dilation: int = 1,
    correlate: bool = False,
) -> Plane:
    """The image (H, W) or (H, W, C) convolved with the kernel, channel by channel: (H', W') or (H', W', C).

    `kernel` is weights (h, w), or what `read_kernel` reads. Convolution lays the kernel on the image flipped
    about both axes; with `correlate` it lies as it is, as in the layers of a CNN. `dilation` d spreads it to
    every d-th pixel, d (h - 1) + 1 pixels high. `stride` s keeps every s-th row and column, from the first.

    H' is ceil(H / stride) where the image is padded; an even kernel is centred as in scipy.ndimage. The
    answer is float64 for float64 and for integers of 32 bits and more, otherwise float32, and neither rounded
    nor clipped. A kernel that takes fewer weights as a sum of columns and rows is applied as these. Raises
    ValueError for shapes, types and options that do not fit.
    """
    planes = _planes(image)
    _whole("stride", stride)
    _whole("dilation", dilation)
    weights = read_kernel(kernel) if isinstance(kernel, str) else as_kernel(kernel)
    spans = [effective_kernel(size, dilation) for size in weights.shape]
    margins = [(0, 0), (0, 0)]
    if named(PADDINGS, padding, "padding"):
        before = [span // 2 if correlate else (span - 1) // 2 for span in spans]
        margins = [(first, span - 1 - first) for span, first in zip(spans, before, strict=True)]
    for size, span, margin in zip(planes[0].shape, spans, margins, strict=True):
        conv_out(size + sum(margin), span)  # where it does not fit, this says so
    if correlate:
        weights = weights[::-1, ::-1]
    pairs = passes(weights)
    filtered = [
        _filtered(_padded(plane, margins, PADDINGS[padding]), weights, pairs, stride, dilation)
        for plane in planes
    ]
    return filtered[0] if np.ndim(image) == 2 else np.stack(filtered, axis=-1)


def passes(kernel: Floats) -> Pairs:
    """The pairs of a column (h,) and a row (w,) that are cheaper than the kernel (h, w) itself; or none."""
    pairs = separate(kernel)
    return pairs if len(pairs) * sum(kernel.shape) < kernel.size else []


def _filtered(plane: Plane, kernel: Floats, pairs: Pairs, stride: int, dilation: int) -> Plane:
    """The part of a padded plane where the whole kernel fits, at every `stride`-th place."""
    if not pairs:
        return convolve(plane, _spread(kernel, dilation, plane.dtype), "valid")[::stride, ::stride]
    parts = []
    for column, row in pairs:
        down = convolve(plane, _spread(column[:, None], dilation, plane.dtype), "valid")[::stride]
        parts.append(convolve(down, _spread(row[None], dilation, plane.dtype), "valid")[:, ::stride])
    return functools.reduce(np.add, parts)


def _spread(kernel: Floats, dilation: int, kind: np.dtype[Any]) -> Plane:
    """The kernel with zeros between its weights, in the precision of what it is laid on."""
    spread = np.zeros([effective_kernel(size, dilation) for size in kernel.shape], kind)
    spread[::dilation, ::dilation] = kernel
    return spread


def _planes(image: ArrayLike) -> list[Plane]:
    """The channels of an image as planes (H, W) of floating-point numbers."""
    pixels = np.asarray(image)
    if pixels.ndim not in (2, 3) or pixels.dtype.kind not in "biuf" or math.prod(pixels.shape) == 0:
        raise ValueError(
            f"an image is numbers of shape (H, W) or (H, W, C), got {pixels.dtype} of shape {pixels.shape}"
        )
    channels = np.moveaxis(np.atleast_3d(pixels), -1, 0)
    return [np.ascontiguousarray(one, np.result_type(pixels.dtype, np.float32)) for one in channels]


def _padded(plane: Plane, margins: list[tuple[int, int]], mode: str) -> Plane:
    return np.pad(plane, margins, mode) if mode else plane  # type: ignore[call-overload]


def _whole(name: str, value: int) -> None:
    if value != int(value) or value < 1:
        raise ValueError(f"{name} must be a whole number of 1 or more, got {value}")
