"""Locally connected layers: a convolution's windows, with weights of their own at every position.

Put in the place of a network's first convolution, they and a fully connected layer show what sharing weights
saves: of N outputs with k x k windows, N k^2 C weights, and N times all inputs, in place of k^2 C a filter.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.errors import UsageError
from neocog.ops.arithmetic import conv_out

First = Literal["convolution", "local", "dense"]

MOST_WEIGHTS = 500_000_000
"""That a layer in the place of a convolution may have: 2 GB, before gradients."""

Pair = tuple[int, int]


class LocallyConnected2d(nn.Module):
    """Each position of the output has filters of its own: (B, inputs, *size) to (B, outputs, h, w).

    `weight` is (h w, outputs, inputs kh kw), `bias` as long as the output. What a `Conv2d` of the same
    numbers computes is the case in which all positions have the same filters. Made for one size of input.
    """

    def __init__(
        self,
        size: Pair,
        inputs: int,
        outputs: int,
        kernel: Pair,
        stride: Pair = (1, 1),
        padding: Pair = (0, 0),
        dilation: Pair = (1, 1),
        *,
        bias: bool = True,
    ) -> None:
        """Raises ValueError when not even one window fits."""
        super().__init__()
        self.size, self.kernel = size, kernel
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.cells = _cells(size, kernel, stride, padding, dilation)
        positions, window = math.prod(self.cells), inputs * math.prod(kernel)
        self.weight = nn.Parameter(torch.empty(positions, outputs, window))
        # In one dimension, as optimizers let weights of more than one decay.
        self.bias = nn.Parameter(torch.zeros(outputs * positions)) if bias else None
        nn.init.normal_(self.weight, std=math.sqrt(2 / window))  # He et al. 2015, arXiv:1502.01852

    def forward(self, x: Tensor) -> Tensor:
        """Raises UsageError for an input of another size."""
        _check_size(x, self.size)
        windows = F.unfold(x, self.kernel, self.dilation, self.padding, self.stride)  # (B, window, positions)
        found = torch.bmm(windows.permute(2, 0, 1), self.weight.transpose(1, 2))  # (positions, B, outputs)
        maps = found.permute(1, 2, 0).reshape(x.shape[0], -1, *self.cells)
        return maps if self.bias is None else maps + self.bias.view(maps.shape[1:])

    def extra_repr(self) -> str:
        positions, outputs, window = self.weight.shape
        return f"{positions} positions, {outputs} outputs of {window} inputs each"


class Dense2d(nn.Module):
    """A fully connected layer from a map to a map: (B, inputs, *size) to (B, outputs, *cells)."""

    def __init__(self, size: Pair, inputs: int, outputs: int, cells: Pair, *, bias: bool = True) -> None:
        super().__init__()
        self.size, self.cells, self.outputs = size, cells, outputs
        self.linear = nn.Linear(inputs * math.prod(size), outputs * math.prod(cells), bias=bias)
        nn.init.kaiming_normal_(self.linear.weight, nonlinearity="relu")
        if bias:
            nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Raises UsageError for an input of another size."""
        _check_size(x, self.size)
        found: Tensor = self.linear(x.flatten(1))
        return found.view(x.shape[0], self.outputs, *self.cells)


def replace_first(network: nn.Module, first: First, side: int) -> None:
    """Put a locally connected or a fully connected layer in the place of the first convolution, in place.

    It has the input and output of the convolution on pictures of `side` x `side` pixels, the only ones that
    the network takes from then on. Raises UsageError where it would have more than MOST_WEIGHTS weights.
    """
    if first == "convolution":
        return
    name, conv = next((n, module) for n, module in network.named_modules() if isinstance(module, nn.Conv2d))
    size, geometry = (side, side), _geometry(conv)
    cells = _cells(size, *geometry)
    seen = math.prod(size) if first == "dense" else math.prod(geometry[0])
    weights = conv.out_channels * math.prod(cells) * conv.in_channels * seen
    if weights > MOST_WEIGHTS:
        raise UsageError(
            f"first={first}: the first layer would have {weights:,} weights at {side} x {side} px, and may "
            f"have {MOST_WEIGHTS:,}: choose a smaller size, or a network of smaller pictures"
        )
    widths, bias = (conv.in_channels, conv.out_channels), conv.bias is not None
    layer: nn.Module
    if first == "local":
        layer = LocallyConnected2d(size, *widths, *geometry, bias=bias)
    else:
        layer = Dense2d(size, *widths, cells, bias=bias)
    parent, _, last = name.rpartition(".")
    network.get_submodule(parent).register_module(last, layer)


def _geometry(conv: nn.Conv2d) -> tuple[Pair, Pair, Pair, Pair]:
    """Kernel, stride, padding and dilation, each by rows and columns."""
    numbers: tuple[Any, ...] = (conv.kernel_size, conv.stride, conv.padding, conv.dilation)
    return numbers


def _cells(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    rows, columns = (
        conv_out(*numbers) for numbers in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    return rows, columns


def _check_size(x: Tensor, size: Pair) -> None:
    if tuple(x.shape[-2:]) != size:
        raise UsageError(
            f"a layer without shared weights takes pictures of {size[1]} x {size[0]} px only, "
            f"not {x.shape[-1]} x {x.shape[-2]}"
        )
