"""What the pages on networks ask: what a stack of layers costs and finds, and what the zoo's models are."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cache
from typing import Annotated, Any

import numpy as np
import torch
from fastapi import APIRouter, Request
from PIL import Image
from pydantic import BaseModel, Field

from neocog.data.scenes import Scenes
from neocog.lab.stacks import MOST, Fault, Stack, build, seeded
from neocog.lab.work import Worker
from neocog.ops.summary import Row, Summary, summarize
from neocog.pictures.architecture import architecture
from neocog.pictures.encode import data_url, svg_url
from neocog.pictures.maps import coloured
from neocog.types import Task, blank_batch
from neocog.zoo import MODELS, create, known, usual_side

router = APIRouter(tags=["networks"])

CLASSES, SIDE = 20, 224
"""Of the zoo's models, and the largest of their pictures, as `neocog summary` has them."""
TILES = 64
"""Maps of a layer that are drawn, and their longest side in pixels."""
_WORK, _NUMBERS = 1_000_000_000, 8_000_000  # multiply-adds; weights, or values of all layers, to compute with


class Counted(BaseModel):
    """A network layer by layer; papers call one multiply-add one FLOP."""

    input: tuple[int, ...]
    """(1, C, H, W)."""
    rows: list[Row]
    parameters: int
    parameter_bytes: int
    multiply_adds: int
    activation_bytes: int
    """Of the outputs of all layers, in float32."""


class StackCounted(Counted):
    """A stack up to the first layer that does not fit."""

    fault: Fault | None


@router.post("/summary")
def summary(asked: Stack) -> StackCounted:
    """What a stack costs and its cells see, by `neocog.ops.summary.summarize`."""
    found, fault = summarized(asked)
    return StackCounted(**_counted(found), fault=fault)


def summarized(stack: Stack) -> tuple[Summary, Fault | None]:
    """Of a network that takes no memory; without a layer it has no row."""
    network, fault = build(stack, "meta")
    found = summarize(network, torch.zeros(1, *stack.input, device="meta"))
    return found if len(network) else replace(found, rows=()), fault


def _counted(found: Summary) -> dict[str, Any]:
    return asdict(found) | {"activation_bytes": found.activation_bytes}


class Looking(BaseModel):
    """A stack with weights drawn from a seed, and the layer whose maps are wanted, counted from 0."""

    stack: Stack
    layer: Annotated[int, Field(ge=-1, lt=MOST)] = 0
    """-1: the picture alone."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class Maps(BaseModel):
    """Addresses that hold PNGs: of the picture, and of the first maps of the layer."""

    picture: str
    maps: list[str] = []
    """None where they are too large to compute for a page."""
    channels: int = 0
    """How many maps there are."""
    limit: float = 0.0
    """The value of the darkest colour; 0 is the lightest."""
    signed: bool = False
    """Whether there are values below 0."""


@router.post("/maps")
async def maps(asked: Looking, request: Request) -> Maps:
    """What each filter of a layer makes of a generated scene, before any training."""
    return await _worker(request).run(lambda: _maps(asked), request)


def _maps(asked: Looking) -> Maps:
    stack = asked.stack
    picture = _picture(stack.channels, stack.side)
    address = data_url(picture)
    if asked.layer < 0:
        return Maps(picture=address)
    stack = stack.model_copy(update={"layers": stack.layers[: asked.layer + 1]})
    counted, fault = summarized(stack)
    if fault is not None:
        raise ValueError(f"layer {fault.layer + 1}: {fault.reason}")
    if len(counted.rows) != asked.layer + 1 or len(counted.rows[-1].shape) != 4:
        raise ValueError("this layer has no maps")
    numbers = max(counted.parameters, counted.activation_bytes // 4)
    if counted.multiply_adds > _WORK or numbers > _NUMBERS:
        return Maps(picture=address, channels=counted.rows[-1].shape[1])
    network, _ = build(stack, "cpu")
    seeded(network, asked.seed)
    pixels = np.atleast_3d(np.asarray(picture, np.float32) / 255 - 0.5).transpose(2, 0, 1)
    with torch.inference_mode():
        values = network.eval()(torch.from_numpy(pixels.copy())[None])[0].numpy()
    limit, signed = float(np.abs(values).max()), bool((values < 0).any())
    tiles = [_tile(one, limit, signed) for one in values[:TILES]]
    return Maps(picture=address, maps=tiles, channels=len(values), limit=limit, signed=signed)


@cache
def _scene() -> Image.Image:
    return Image.fromarray(Scenes("std", "val").scene(3).image)


def _picture(channels: int, side: int) -> Image.Image:
    return _scene().convert("L" if channels == 1 else "RGB").resize((side, side))


def _tile(values: np.ndarray, limit: float, signed: bool) -> str:
    tile = Image.fromarray(coloured(values, limit, signed=signed))
    return data_url(tile.resize((TILES, TILES)) if tile.width > TILES else tile)


class Model(BaseModel):
    """A model of the zoo."""

    name: str
    task: str
    paper: str
    summary: str


@router.get("/networks")
def networks() -> list[Model]:
    """The models of the zoo."""
    return [
        Model(name=name, task=entry.task.value, paper=entry.paper, summary=entry.summary)
        for name, entry in MODELS.items()
    ]


class Network(Counted):
    """A network of the zoo with its drawing."""

    drawing: str
    """The address that holds an SVG."""


@router.get("/networks/{name}")
async def network(name: str, request: Request) -> Network:
    """What `neocog summary` says of a model, and the picture that it draws."""
    known(name, MODELS, "model")
    return await _worker(request).run(lambda: _drawn(name), request)


@cache
def _drawn(name: str) -> Network:
    entry = MODELS[name]
    side = min(usual_side(name, entry.backbones[0]), SIDE)
    # What a detector proposes depends on values, which "meta" does not have.
    with torch.device("cpu" if entry.task is Task.DETECT else "meta"):
        built = create(name, CLASSES, side=side)
        found = summarize(built, blank_batch((side, side), regions=1))
    svg = architecture(found, name)
    return Network(**_counted(found), drawing=svg_url(svg))


def _worker(request: Request) -> Worker:
    worker: Worker = request.app.state.networks
    return worker
