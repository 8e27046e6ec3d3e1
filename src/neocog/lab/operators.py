"""What the pages on operators ask: the library's own results, to hold beside what the page computed."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from fastapi import APIRouter
from pydantic import BaseModel, Field

from neocog.ops.arithmetic import conv_parameters, dense_parameters, local_parameters
from neocog.ops.filter import filter_image
from neocog.ops.integral import (
    Function,
    box,
    convolve_functions,
    exponential,
    gaussian,
    sampled,
    step,
    triangle,
)
from neocog.ops.pool import max_pool, mean_pool, unpool

router = APIRouter(tags=["operators"])

Value = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Row = Annotated[list[Value], Field(min_length=1, max_length=512)]
Grid = Annotated[list[Row], Field(min_length=1, max_length=512)]


class Filtering(BaseModel):
    """A picture or map of numbers under a kernel."""

    values: Grid
    """(H, W)."""
    kernel: Annotated[list[Annotated[list[Value], Field(min_length=1, max_length=31)]], Field(max_length=31)]
    """(h, w)."""
    stride: Annotated[int, Field(ge=1, le=64)] = 1
    padding: Literal["none", "zero", "reflect", "replicate", "circular"] = "none"
    dilation: Annotated[int, Field(ge=1, le=64)] = 1
    correlate: bool = True
    """Do not flip the kernel, as the layers of a network."""


class Values(BaseModel):
    """A map of numbers (H, W)."""

    values: list[list[float]]


@router.post("/filter")
def filter_values(asked: Filtering) -> Values:
    """The picture filtered by `neocog.ops.filter.filter_image`."""
    result = filter_image(
        _rectangle("values", asked.values),
        _rectangle("kernel", asked.kernel),
        stride=asked.stride,
        padding=asked.padding,
        dilation=asked.dilation,
        correlate=asked.correlate,
    )
    return Values(values=result.tolist())


class Shape(BaseModel):
    """A function of one variable: a named one, or values at places."""

    kind: Literal["box", "triangle", "exponential", "gaussian", "step", "samples"]
    width: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Of a box or triangle; the standard deviation of a gaussian; 1 / rate of an exponential."""
    centre: Annotated[float, Field(ge=-100, le=100)] = 0.0
    """Or where a step is."""
    x: Annotated[list[Value], Field(max_length=2048)] = []
    y: Annotated[list[Value], Field(max_length=2048)] = []
    """Samples, with straight lines between them and 0 outside."""

    def function(self) -> Function:
        """As the library's."""
        if self.kind == "samples":
            return sampled(self.x, self.y)
        if self.kind == "exponential":
            return exponential(1 / self.width)
        if self.kind == "step":
            return step(self.centre)
        if self.kind == "gaussian":
            return gaussian(self.width, self.centre)
        return (box if self.kind == "box" else triangle)(self.width, self.centre)


class Integrating(BaseModel):
    """Two functions, and where their convolution is wanted."""

    f: Shape
    g: Shape
    t: Annotated[list[Value], Field(min_length=1, max_length=2048)]


class Curve(BaseModel):
    """(f * g)(t), and what each value may be wrong by."""

    values: list[float]
    errors: list[float]


@router.post("/integral")
def integral(asked: Integrating) -> Curve:
    """The convolution integral by `neocog.ops.integral.convolve_functions`."""
    found = convolve_functions(asked.f.function(), asked.g.function(), np.array(asked.t), tolerance=1e-6)
    return Curve(values=found.values.tolist(), errors=found.errors.tolist())


class Pooling(BaseModel):
    """A map of numbers, and the windows of which one number each is kept."""

    values: Grid
    """(H, W)."""
    kind: Literal["max", "mean"] = "max"
    kernel: Annotated[int, Field(ge=1, le=64)] = 2
    stride: Annotated[int, Field(ge=1, le=64)] = 2


class Pooled(BaseModel):
    """The pooled map (H', W'); with a maximum also where each stood, and the map that goes back there."""

    values: list[list[float]]
    switches: list[list[int]] | None
    """Flat positions in the map, row by row."""
    unpooled: list[list[float]] | None
    """(H, W), with 0 wherever no switch points."""


@router.post("/pool")
def pool(asked: Pooling) -> Pooled:
    """The map pooled, and unpooled, by `neocog.ops.pool`."""
    maps = torch.from_numpy(_rectangle("values", asked.values))[None, None]
    if asked.kind == "mean":
        means = mean_pool(maps, asked.kernel, asked.stride)
        return Pooled(values=means[0, 0].tolist(), switches=None, unpooled=None)
    largest, switches = max_pool(maps, asked.kernel, asked.stride)
    back = unpool(largest, switches, maps.shape[2:])
    return Pooled(
        values=largest[0, 0].tolist(), switches=switches[0, 0].tolist(), unpooled=back[0, 0].tolist()
    )


class Layers(BaseModel):
    """A grey picture, and layers that make of it maps of its size."""

    side: Annotated[int, Field(ge=1, le=4096)]
    """Pixels."""
    kernel: Annotated[int, Field(ge=1, le=64)]
    filters: Annotated[int, Field(ge=1, le=4096)] = 1
    bias: bool = False


class Counts(BaseModel):
    """Weights."""

    dense: int
    local: int
    convolution: int


@router.post("/parameters")
def parameters(asked: Layers) -> Counts:
    """What three kinds of layer have of them, by `neocog.ops.arithmetic`."""
    pixels = asked.side**2
    units = pixels * asked.filters
    return Counts(
        dense=dense_parameters(pixels, units, asked.bias),
        local=local_parameters(units, asked.kernel, bias=asked.bias),
        convolution=conv_parameters(1, asked.filters, asked.kernel, bias=asked.bias),
    )


def _rectangle(name: str, rows: list[list[float]]) -> np.ndarray:
    if len({len(row) for row in rows}) != 1:
        raise ValueError(f"{name}: the rows must be of one length, and one at least")
    return np.array(rows, float)
