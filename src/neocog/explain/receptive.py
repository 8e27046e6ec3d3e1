"""What a cell of a map can see of the picture: its receptive field, measured on the network itself.

The network runs with every convolution and pooling replaced by a plain average over the same window, and
nothing else in between. What then has a gradient is what can be seen at all, whatever the weights are, and
whichever branches, strides and dilations it goes through. `neocog.ops.summary` finds the same by arithmetic;
it has no rule for the upsampling of a pyramid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from neocog.backbones.backbone import Backbone
from neocog.errors import UsageError
from neocog.explain.backward import LEAKY_RELUS, RELUS

CELLS = 8
"""Neighbouring cells that are measured: after an upsampling they differ, and the mean is taken."""

_MOST, _WIDTH = 2048, 256  # pixels of the picture that is measured on: height at most, and width

_CONVOLUTIONS = {torch.conv2d, F.conv2d}
_POOLS = {F.max_pool2d, F.max_pool2d_with_indices, torch.max_pool2d}
_PASSED = {F.batch_norm, torch.batch_norm, F.local_response_norm, F.dropout}


@dataclass(frozen=True, slots=True)
class Field:
    """Where the cells of a map look, along both axes. Pixels, continuous: pixel c covers [c, c + 1)."""

    stride: float  # from one cell to the next
    offset: float  # the centre of what the first cell sees
    size: float  # how much a cell sees

    def box(self, row: int, column: int) -> tuple[float, float, float, float]:
        """x0 y0 x1 y1 of what a cell sees; may reach beyond the picture."""
        x, y = (self.offset + place * self.stride for place in (column, row))
        return x - self.size / 2, y - self.size / 2, x + self.size / 2, y + self.size / 2

    def cell(self, row: int, column: int) -> tuple[float, float, float, float]:
        """x0 y0 x1 y1 of a square of one stride about the middle of what a cell sees."""
        x, y = (self.offset + place * self.stride for place in (column, row))
        return x - self.stride / 2, y - self.stride / 2, x + self.stride / 2, y + self.stride / 2


def over_pixels(
    cells: Tensor, strides: tuple[float, float], offsets: tuple[float, float], size: tuple[int, int]
) -> Tensor:
    """Values of cells (C, h, w) read bilinearly at every pixel of a picture: (C, *size).

    Cell (i, j) has its centre at y = offsets[0] + i strides[0] and x = offsets[1] + j strides[1], in pixels
    where pixel c covers [c, c + 1). Beyond the outer centres the outer cells go on.
    """
    (rows, columns), (height, width) = cells.shape[-2:], size
    y = torch.arange(height, device=cells.device, dtype=cells.dtype)[:, None] + 0.5
    x = torch.arange(width, device=cells.device, dtype=cells.dtype) + 0.5
    down = (2 * (y - offsets[0]) / strides[0] + 1) / rows - 1
    across = (2 * (x - offsets[1]) / strides[1] + 1) / columns - 1
    grid = torch.stack([across.expand(height, width), down.expand(height, width)], dim=-1)[None]
    return F.grid_sample(cells[None], grid, padding_mode="border", align_corners=False)[0]


class _Averages(TorchFunctionMode):
    """Convolutions and poolings as averages of one channel; activations and normalisations as nothing."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        if func in _CONVOLUTIONS:
            return _averaged(*args, **given)
        if func in _POOLS:
            pooled = _pooled(*args, **given)
            return (pooled, pooled) if func is F.max_pool2d_with_indices else pooled
        if func in _PASSED or func in RELUS | LEAKY_RELUS:
            return args[0]
        return func(*args, **given)


def _averaged(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    height, width = weight.shape[2:]
    kernel = input.new_full((1, 1, height, width), 1 / (height * width))
    return F.conv2d(input.mean(dim=1, keepdim=True), kernel, None, stride, padding, dilation)


def _pooled(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    **_: Any,
) -> Tensor:
    return F.avg_pool2d(input, kernel_size, stride, padding, ceil_mode)


def receptive_field(backbone: Backbone, level: str) -> Field:
    """What the cells of the map `level` see, away from the border. Raises UsageError for no such map.

    Measured along the height of a picture of up to 2,048 pixels: a larger field is given as that. Kernels are
    taken for square.
    """
    backbone.require(level)
    stride, side = backbone.strides[level], 256
    while True:
        seen, first = _seen(backbone, level, side)
        whole = all(low > 0 and high < side for low, high in seen)
        if whole or side >= _MOST:
            break
        side *= 2
    centres = [(low + high) / 2 - (first + number) * stride for number, (low, high) in enumerate(seen)]
    size = max(high - low for low, high in seen)
    return Field(float(stride), sum(centres) / len(centres), float(size))


def field_of(backbone: Backbone, level: str, size: tuple[int, int], margin: int = 0) -> Field:
    """`receptive_field`; for a network that takes pictures of one (height, width) alone, the whole of it.

    `margin`: pixels that were put around the picture before the backbone saw it.
    """
    try:
        field = receptive_field(backbone, level)
    except UsageError:
        stride = float(backbone.strides[level])
        field = Field(stride, stride / 2, float(2 * max(size)))
    return replace(field, offset=field.offset - margin)


def _seen(backbone: Backbone, level: str, side: int) -> tuple[list[tuple[int, int]], int]:
    """First and last row that cells in the middle of a picture see, half-open, and the first cell's row."""
    device = backbone.mean.device
    blank = torch.zeros(1, 3, side, _WIDTH, dtype=torch.float64, device=device, requires_grad=True)
    with torch.enable_grad(), _Averages():
        cells = backbone(blank, until=level).maps[level].mean(dim=1)[0]
    rows, columns = cells.shape
    count = min(CELLS, rows)
    first = (rows - count) // 2
    found = []
    for row in range(first, first + count):
        (back,) = torch.autograd.grad(cells[row, columns // 2], blank, retain_graph=True)
        lit = torch.nonzero(back[0, 0].any(dim=1))
        found.append((int(lit[0]), int(lit[-1]) + 1))
    return found, first
