"""Convolutions and linear layers with their weights in oneDNN's own layout, and what comes after them inside.

PyTorch brings a convolution's weights into the processor's layout anew for every picture, sends 1x1
convolutions and linear layers to a slower matrix product, and goes over memory once more for each ReLU and
each sum of a residual block. The operators here are PyTorch's own, those that its compiler calls. They are
private, so they are tried out before they are used (`usable`).
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LAYOUT = slice(320, None)
"""Strides and blocks in oneDNN's description of a tensor; before them are bytes that nothing wrote."""

MOST_SIZES, MOST_LAYOUTS = 1024, 8
"""What a convolution keeps: sizes of its input, and copies of its weights."""

SMALLEST = 2**20
"""Multiplications of the smallest product that is worth its overheads in oneDNN."""


class PackedConv(nn.Module):
    """A convolution with packed weights, and on demand a tensor to add and a ReLU behind it.

    Which layout is the fastest depends on the size of the input, and weights in another one are slower than
    unpacked ones by far. So they are packed anew for each size, and kept once for each layout.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.how = [*layer.padding], [*layer.stride], [*layer.dilation], layer.groups
        self.plain_weight, self.bias, self.dtype = layer.weight, layer.bias, layer.weight.dtype
        self._by_size: dict[torch.Size, Tensor] = {}
        self._by_layout: dict[bytes, Tensor] = {}

    def forward(
        self, x: Tensor, other: Tensor | None = None, relu: bool = False, into: bool = False
    ) -> Tensor:
        """(B, C, H, W) to the convolution, plus `other` of its shape, rectified; `into`: perhaps in the place
        of `other`, whose values nobody needs any more."""
        x = x.to(self.dtype)
        weight = self._by_size.get(x.shape)
        if weight is None:
            weight = self._pack(x.shape)
        operators = torch.ops.mkldnn
        if other is None or self.how[3] > 1:  # with groups the operator below adds by itself, and not in bf16
            operator, last = operators._convolution_pointwise.default, _last(relu and other is None)
            alone: Tensor = operator(x, weight, self.bias, *self.how, *last)
            if other is None:
                return alone
            alone += other
            return alone.relu_() if relu else alone
        other = other.to(self.dtype)
        after: tuple[Any, ...] = "add", 1.0, "relu" if relu else None, [], None
        added = operators._convolution_pointwise_ if into else operators._convolution_pointwise
        given = (other, x) if into else (x, other)
        total: Tensor = added.binary(*given, weight, self.bias, *self.how, *after)
        return total

    __call__ = forward  # it has no hooks, and there are fifty of it in a network

    def _pack(self, size: torch.Size) -> Tensor:
        packed = torch.ops.mkldnn._reorder_convolution_weight(self.plain_weight, *self.how, [*size])
        layout = torch.ops.mkldnn._get_mkldnn_serialized_md(packed)[LAYOUT].numpy().tobytes()
        if len(self._by_size) >= MOST_SIZES or len(self._by_layout) >= MOST_LAYOUTS:
            self._by_size, self._by_layout = {}, {}
        kept = self._by_size[size] = self._by_layout.setdefault(layout, packed)
        return kept


class PackedLinear(nn.Module):
    """A linear layer, with packed weights where the product is not small, and on demand a ReLU behind it."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.plain_weight, self.bias, self.outputs = layer.weight, layer.bias, layer.out_features

    @functools.cached_property
    def weight(self) -> Tensor:
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(self.plain_weight)
        return packed

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        """(R, inputs) to (R, outputs)."""
        x = x.to(self.plain_weight.dtype)
        if x.numel() * self.outputs < SMALLEST:
            product = F.linear(x, self.plain_weight, self.bias)
            return product.relu_() if relu else product
        operator = torch.ops.mkldnn._linear_pointwise.default
        result: Tensor = operator(x, self.weight, self.bias, *_last(relu))
        return result


def _last(relu: bool) -> tuple[str, list[Any], str]:
    """What is done to each number of a result: the operator's name, its numbers and its algorithm."""
    return "relu" if relu else "none", [], ""


def packed_form(layer: nn.Module) -> PackedConv | PackedLinear | None:
    """The same layer, packed; None for one that has no such form. Its weights are shared."""
    if type(layer) is nn.Linear:
        return PackedLinear(layer)
    if type(layer) is nn.Conv2d and layer.padding_mode == "zeros" and not isinstance(layer.padding, str):
        return PackedConv(layer)
    return None


@functools.cache
def usable(dtype: torch.dtype) -> bool:
    """Whether this PyTorch has the operators, for numbers of this type, and they compute what they should."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    conv, linear = nn.Conv2d(8, 8, 3, 2, 1).to(dtype), nn.Linear(256, 64).to(dtype)
    draw = torch.Generator().manual_seed(0)
    image = torch.randn(2, 8, 9, 7, generator=draw).to(dtype, memory_format=torch.channels_last)
    rows = torch.randn(SMALLEST // (256 * 64), 256, generator=draw).to(dtype)
    try:
        with torch.inference_mode():
            plain = conv(image)
            other = plain.flip(0)
            wanted = [F.relu(plain), plain + other, F.relu(plain + other), F.relu(linear(rows))]
            ready, product = PackedConv(conv), PackedLinear(linear)
            found = [ready(image, relu=True), ready(image, other), product(rows, relu=True)]
            found.insert(2, ready(image, other.clone(), relu=True, into=True))
    except (AttributeError, RuntimeError, TypeError):  # NotImplementedError is one of them
        return False
    close = 1e-5 if dtype == torch.float32 else 0.05
    return all(torch.allclose(a, b, close, close) for a, b in zip(wanted, found, strict=True))
