"""Pooling along one, two or three axes: the largest value with where it stood and the way back, and the mean.

The places are called switches (Zeiler and Fergus 2014, arXiv:1311.2901; Noh et al. 2015, arXiv:1505.04366).
Maps are (B, C, L), (B, C, H, W) or (B, C, D, H, W). A kernel, stride, padding or dilation is one number for
all axes or a sequence of one for each; a stride that is not given is the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor, int64
from torch.nn import functional as F

from neocog.ops.arithmetic import conv_out

Axes = int | Sequence[int]

_MAX = {1: F.max_pool1d_with_indices, 2: F.max_pool2d_with_indices, 3: F.max_pool3d_with_indices}
_MEAN = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def max_pool(
    maps: Tensor,
    kernel: Axes,
    stride: Axes | None = None,
    padding: Axes = 0,
    *,
    dilation: Axes = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """The largest value of each window of maps, and its flat position in its map (int64), both (B, C, ...).

    Of equal values the first in reading order counts, and padding never does. `ceil_mode` rounds sizes up
    (`arithmetic.conv_out`). Raises ValueError for maps of another number of axes, options out of range, more
    padding than half the kernel, and maps smaller than a window.
    """
    kernel, stride, padding, dilation = _options(maps, kernel, stride, padding, dilation, ceil_mode)
    pooled, switches = _MAX[maps.ndim - 2](maps, kernel, stride, padding, dilation, ceil_mode)
    return pooled, switches


def mean_pool(
    maps: Tensor,
    kernel: Axes,
    stride: Axes | None = None,
    padding: Axes = 0,
    *,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of maps (B, C, ...), which are of floating point.

    Padding counts as zeros, or with `count_include_pad` off not at all; what `ceil_mode` has windows see
    beyond the padding never counts. Raises ValueError as `max_pool`, and TypeError for integers.
    """
    if not maps.is_floating_point():
        raise TypeError(f"maps are {maps.dtype}, and means need floating point")
    kernel, stride, padding, _ = _options(maps, kernel, stride, padding, 1, ceil_mode)
    pooled: Tensor = _MEAN[maps.ndim - 2](maps, kernel, stride, padding, ceil_mode, count_include_pad)
    return pooled


def unpool(values: Tensor, switches: Tensor, size: Axes) -> Tensor:
    """Values (B, C, ...) at the places that `switches` name in maps (B, C, *size), and 0 elsewhere.

    Where windows overlapped and chose the same place, their values are added: it is the transpose of the
    pooling, as a linear map with these switches. Raises ValueError for switches that are not int64 of the
    values' shape, or that name a place beyond `size`.
    """
    size = _each("size", size, _axes(values), least=1)
    if switches.dtype != int64 or switches.shape != values.shape:
        raise ValueError(
            f"switches are {switches.dtype} {tuple(switches.shape)}, "
            f"and the values need int64 {tuple(values.shape)}"
        )
    flat = values.new_zeros(*values.shape[:2], prod(size))
    try:
        flat.scatter_add_(2, switches.flatten(2), values.flatten(2))
    except RuntimeError as error:  # looking for it beforehand would make a GPU wait
        raise ValueError(f"switches name places beyond maps of {' x '.join(map(str, size))}") from error
    return flat.view(*values.shape[:2], *size)


def _axes(maps: Tensor) -> int:
    """The number of axes that are pooled along. Raises ValueError for a shape that is not one of maps."""
    if maps.ndim not in (3, 4, 5) or 0 in maps.shape[1:]:
        raise ValueError(f"maps {tuple(maps.shape)} are none of (B, C, L), (B, C, H, W) and (B, C, D, H, W)")
    return maps.ndim - 2


def _each(name: str, value: Axes, axes: int, least: int) -> tuple[int, ...]:
    """An option as one number an axis. Raises ValueError for another length or a number below `least`."""
    each = tuple(value) if isinstance(value, Sequence) else (value,) * axes
    if len(each) != axes or any(not isinstance(one, int) or one < least for one in each):
        raise ValueError(f"{name} is {value}; give a whole number >= {least}, or one for each of {axes} axes")
    return each


def _options(
    maps: Tensor, kernel: Axes, stride: Axes | None, padding: Axes, dilation: Axes, ceil_mode: bool
) -> tuple[tuple[int, ...], ...]:
    """Kernel, stride, padding and dilation as one number an axis. Raises ValueError where they do not fit."""
    axes = _axes(maps)
    options = (
        _each("kernel", kernel, axes, least=1),
        _each("stride", kernel if stride is None else stride, axes, least=1),
        _each("padding", padding, axes, least=0),
        _each("dilation", dilation, axes, least=1),
    )
    for size, window, step, pad, spread in zip(maps.shape[2:], *options, strict=True):
        if pad > window // 2:  # else a window might see nothing but padding
            raise ValueError(f"padding is {pad}; give at most half the kernel of {window}")
        conv_out(size, window, step, pad, spread, ceil_mode)  # raises where not even one window fits
    return options
