"""Stacks of layers that a page puts together: what fits on what, as a network, and what it costs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from neocog.ops.arithmetic import conv_out

MOST = 48
"""Layers of a stack: VGG-16 has 39."""

Side = Annotated[int, Field(ge=1, le=512)]
Kernel = Annotated[int, Field(ge=1, le=15)]
Stride = Annotated[int, Field(ge=1, le=8)]
Padding = Annotated[int, Field(ge=0, le=8)]

Shape = tuple[int, ...]
"""(C, H, W) of maps, or (N,) of a row of numbers."""


class _Layer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Convolution(_Layer):
    """`filters` kernels, each as deep as the maps that it reads, with a bias."""

    kind: Literal["conv"]
    filters: Annotated[int, Field(ge=1, le=4096)]
    kernel: Kernel
    stride: Stride = 1
    padding: Padding = 0
    dilation: Annotated[int, Field(ge=1, le=8)] = 1


class Pooling(_Layer):
    """The largest value of each window, or the mean; a mean counts the zeros of the padding."""

    kind: Literal["max", "mean"]
    kernel: Kernel
    stride: Stride = 2
    padding: Padding = 0


class Cellwise(_Layer):
    """ReLU, or batch normalisation: every value stays in its place."""

    kind: Literal["relu", "norm"]


class Flatten(_Layer):
    """Maps as a row of numbers."""

    kind: Literal["flatten"]


class Dense(_Layer):
    """Every output sees every input."""

    kind: Literal["dense"]
    outputs: Annotated[int, Field(ge=1, le=10_000)]


class Dropout(_Layer):
    """In training, this many per cent of the values are set to zero."""

    kind: Literal["dropout"]
    percent: Annotated[int, Field(ge=0, le=95)] = 50


Layer = Annotated[Convolution | Pooling | Cellwise | Flatten | Dense | Dropout, Field(discriminator="kind")]


class Stack(_Layer):
    """Layers on a square picture."""

    channels: Literal[1, 3] = 3
    side: Side = 32
    layers: Annotated[list[Layer], Field(max_length=MOST)]

    @property
    def input(self) -> Shape:
        """Of one picture."""
        return self.channels, self.side, self.side


class Fault(BaseModel):
    """The first layer that does not fit, counted from 0, and why."""

    layer: int
    reason: str


def build(stack: Stack, device: str) -> tuple[nn.Sequential, Fault | None]:
    """The layers up to the first that does not fit. On "meta" they take no memory."""
    shape, built = stack.input, nn.Sequential()
    for index, layer in enumerate(stack.layers):
        try:
            shape, module = _after(layer, shape, device)
        except ValueError as error:
            return built, Fault(layer=index, reason=str(error))
        built.append(module)
    return built, None


def _after(layer: Layer, shape: Shape, device: str) -> tuple[Shape, nn.Module]:
    """The shape after a layer, and its module. Raises ValueError where it does not fit."""
    maps, features = len(shape) == 3, shape[0]
    place: dict[str, Any] = {"device": device}
    if isinstance(layer, Dense):
        if maps:
            raise ValueError("a dense layer reads a row of numbers: flatten the maps first")
        return (layer.outputs,), nn.Linear(features, layer.outputs, **place)
    if isinstance(layer, Flatten):
        if not maps:
            raise ValueError("there is nothing to flatten: this is a row of numbers already")
        return (features * shape[1] * shape[2],), nn.Flatten()
    if isinstance(layer, Dropout):
        return shape, nn.Dropout(layer.percent / 100)
    if isinstance(layer, Cellwise):
        if layer.kind == "relu":
            return shape, nn.ReLU()
        return shape, (nn.BatchNorm2d if maps else nn.BatchNorm1d)(features, **place)
    if not maps:
        what = "a convolution" if isinstance(layer, Convolution) else "pooling"
        raise ValueError(f"{what} reads maps, and after flattening there are none")
    if isinstance(layer, Pooling):
        if 2 * layer.padding > layer.kernel:
            raise ValueError(f"a padding of {layer.padding} is more than half of a window of {layer.kernel}")
        sizes = layer.kernel, layer.stride, layer.padding
        side = conv_out(shape[1], *sizes)
        return (features, side, side), (nn.MaxPool2d if layer.kind == "max" else nn.AvgPool2d)(*sizes)
    options = layer.kernel, layer.stride, layer.padding, layer.dilation
    side = conv_out(shape[1], *options)
    return (layer.filters, side, side), nn.Conv2d(features, layer.filters, *options, **place)


def seeded(network: nn.Module, seed: int) -> None:
    """Draw the weights anew, by He et al. 2015 (arXiv:1502.01852): the signal keeps its size through ReLU."""
    drawn = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=drawn)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
