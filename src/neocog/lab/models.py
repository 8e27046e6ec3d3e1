"""What trained models are asked: predictions and explanations. A picture is the body of its request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import APIRouter, Query, Request
from PIL import Image
from pydantic import BaseModel

from neocog.data.images import decode_image
from neocog.explain.methods import METHODS, explained
from neocog.explain.subject import Choices, Shown, maps_of, subject_of
from neocog.lab.guard import Refusal
from neocog.lab.records import runs_of
from neocog.lab.runs import Run
from neocog.pictures.encode import data_url, svg_url
from neocog.predict import Predictor
from neocog.predictions import MaskPrediction
from neocog.types import blank_batch

router = APIRouter(tags=["models"])
_KINDS = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/tiff")
PICTURE = {"requestBody": {"required": True, "content": {kind: {} for kind in _KINDS}}}
LARGEST = 1600
"""Pixels a side of the pictures that are explained: larger ones are made smaller first."""

Result = TypeVar("Result")
_decoding = threading.Lock()  # one large picture at a time


class Took(BaseModel):
    """Milliseconds of one picture: resizing and the search for regions, the network, reading its output."""

    prepare: float
    network: float
    decode: float


class Predicted(BaseModel):
    """What the model says of a picture, as `Prediction.to_dict()` has it, and how long it took."""

    answer: dict[str, Any]
    ms: Took
    mask: str | None = None
    """Of a segmenter: a grey PNG as data URL, whose values are the classes, and 255 what is ignored."""


class Drawn(BaseModel):
    """A picture of an explanation."""

    name: str
    caption: str
    picture: str
    """A data URL of a PNG, or of an SVG."""
    record: dict[str, Any]


class Layers(BaseModel):
    """What can be looked at inside a model."""

    parameters: int
    size: tuple[int, int]
    """Height and width that its pictures are fitted into."""
    maps: dict[str, int]
    """Feature maps, with their channels."""


@router.get("/runs/{run}/layers")
async def layers(run: str, request: Request) -> Layers:
    """The feature maps of the model. Loads it, or trains it if it is trained here."""
    asked = runs_of(request)[run]

    def compute() -> Layers:
        predictor = asked.predictor
        channels = predictor.model.backbone.channels
        batch = blank_batch(predictor.size, 1).to(predictor.device)
        return Layers(
            parameters=sum(one.numel() for one in predictor.model.parameters()),
            size=predictor.size,
            maps={name: channels[name] for name in maps_of(predictor.model, batch).maps},
        )

    return await asked.worker.run(compute, request)


@router.post("/predict/{run}", openapi_extra=PICTURE)
async def predict(run: str, request: Request) -> Predicted:
    """What the model says of the picture in the body."""

    def compute(predictor: Predictor, pixels: np.ndarray) -> Predicted:
        began = time.perf_counter()
        batch = predictor.prepare(pixels)
        prepared = (time.perf_counter() - began) * 1e3
        answers, timing = predictor.run(batch)
        said = predictor.convert(answers[0])
        ms = Took(prepare=prepared, network=timing.network, decode=timing.decode)
        if not isinstance(said, MaskPrediction):
            return Predicted(answer=said.to_dict(), ms=ms)
        return Predicted(answer=said.to_dict(), ms=ms, mask=data_url(Image.fromarray(said.mask)))

    return await of_picture(run, request, compute)


@router.post("/explain/{run}", openapi_extra=PICTURE)
async def explain(
    run: str,
    request: Request,
    method: str,
    level: str | None = None,
    unit: Annotated[int | None, Query(ge=0)] = None,
    label: str | None = None,
) -> list[Drawn]:
    """The pictures that `neocog explain` draws of the picture in the body."""
    if method not in METHODS:
        raise Refusal(422, f"method: one of {', '.join(METHODS)}")

    def compute(predictor: Predictor, pixels: np.ndarray) -> list[Drawn]:
        if max(pixels.shape) > LARGEST:
            small = Image.fromarray(pixels)
            small.thumbnail((LARGEST, LARGEST))
            pixels = np.array(small)
        choices = Choices(level=level, unit=unit, label=label)
        return [_drawn(one) for one in explained(subject_of(predictor, pixels), method, choices)]

    return await of_picture(run, request, compute)


def _drawn(shown: Shown) -> Drawn:
    picture = shown.picture
    address = svg_url(picture) if isinstance(picture, str) else data_url(picture.convert("RGB"))
    return Drawn(name=shown.name, caption=shown.caption, picture=address, record=dict(shown.record))


async def of_picture(
    run: str, request: Request, compute: Callable[[Predictor, np.ndarray], Result], task: str | None = None
) -> Result:
    """What is computed of a run's predictor and the picture (H, W, 3) uint8 in the body, in the run's worker.

    Raises Refusal for an unknown run and for one of another task; ValueError for what is no picture.
    """
    asked: Run = runs_of(request)[run]
    if task is not None and asked.task != task:
        raise Refusal(422, f"{asked.name} is a model of the task '{asked.task}', not '{task}'")
    data = await request.body()

    def call() -> Result:
        with _decoding:
            pixels = decode_image(data)
        return compute(asked.predictor, pixels)

    return await asked.worker.run(call, request)
