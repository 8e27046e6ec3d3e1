"""How detectors come to their answers: the stages, and all that moving the thresholds takes."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import torch
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from torch import Tensor

from neocog.explain.stages import Stage, first_stages
from neocog.lab.models import PICTURE, Took, of_picture
from neocog.lab.operators import Value
from neocog.ops.nms import batched_nms
from neocog.predict import Predictor
from neocog.types import Matrix, Task

router = APIRouter(tags=["models"])
MOST = 1500
"""Candidates that are given, the best."""


class Boxes(BaseModel):
    """Boxes (N, 4) x0 y0 x1 y1 in pixels of the network's input, best first."""

    boxes: list[list[float]]
    scores: list[float]
    labels: list[int] | None


class Step(Boxes):
    """A stage before the candidates."""

    name: str
    caption: str
    total: int
    """How many boxes there are; the best follow."""
    heat: list[list[float]] | None = None
    """A score in [0, 1] for every cell of a map."""
    extent: tuple[float, float] | None = None
    """Height and width that the map covers, in pixels of the network's input."""


class Staged(BaseModel):
    """How a detector came to its answer."""

    size: tuple[int, int]
    """Height and width of the picture."""
    to_picture: Matrix
    """(a, b, c, d, e, f): x, y of the network's input are a x + b y + c, d x + e y + f of the picture."""
    steps: list[Step]
    candidates: Boxes
    total: int
    """How many candidates there are; the best follow."""
    detections: Boxes
    """What the model's own thresholds leave of them."""
    nms: float
    """The model's own threshold: the largest IoU that boxes of one class may have."""
    most: int | None
    """Detections of a picture at most."""
    ms: Took


@router.post("/stages/{run}", openapi_extra=PICTURE)
async def stages(run: str, request: Request) -> Staged:
    """Every stage of a detector's answer to the picture in the body."""
    return await of_picture(run, request, _staged, Task.DETECT.value)


@torch.inference_mode()
def _staged(predictor: Predictor, pixels: np.ndarray) -> Staged:
    model, clock = predictor.network, [time.perf_counter()]
    batch = predictor.prepare(pixels).to(predictor.device)
    clock.append(time.perf_counter())
    output = model(batch)
    clock.append(time.perf_counter())
    kept = model.decode(output, batch)[0]
    clock.append(time.perf_counter())
    prepare, network, decode = (1e3 * (after - before) for before, after in pairwise(clock))
    found, options = model.candidates(output, batch), _suppression(model)
    best = found.scores.argsort(descending=True, stable=True)[:MOST]
    return Staged(
        size=batch.frames[0].original,
        to_picture=batch.frames[0].inverse,
        steps=[_step(one) for one in first_stages(output, model, batch)],
        candidates=_boxes(found.boxes[best], found.scores[best], found.labels[best]),
        total=len(found),
        detections=_boxes(kept.boxes, kept.scores, kept.labels),
        nms=options.nms,
        most=options.most,
        ms=Took(prepare=prepare, network=network, decode=decode),
    )


def _suppression(model: Any) -> Any:
    """The part of a detector's options that has its thresholds."""
    options = getattr(model.options, "detector", model.options)
    return getattr(options, "regions", options)


def _boxes(boxes: Tensor, scores: Tensor, labels: Tensor) -> Boxes:
    return Boxes(boxes=boxes.tolist(), scores=scores.float().tolist(), labels=labels.tolist())


def _step(stage: Stage) -> Step:
    return Step(
        name=stage.name,
        caption=stage.caption,
        total=stage.total,
        boxes=stage.boxes.tolist(),
        scores=stage.scores.tolist(),
        labels=None if stage.labels is None else stage.labels.tolist(),
        heat=None if stage.heat is None else stage.heat.values.tolist(),
        extent=None if stage.heat is None else stage.heat.extent,
    )


class Suppressing(BaseModel):
    """Boxes with a class each, and the IoU beyond which the better one of a class drops the other."""

    boxes: Annotated[
        list[Annotated[list[Value], Field(min_length=4, max_length=4)]], Field(max_length=2 * MOST)
    ]
    scores: Annotated[list[Value], Field(max_length=2 * MOST)]
    labels: Annotated[list[Annotated[int, Field(ge=0, le=65_535)]], Field(max_length=2 * MOST)]
    nms: Annotated[float, Field(ge=0, le=1)]


class Kept(BaseModel):
    """Indices of the boxes that are left, best first."""

    kept: list[int]


@router.post("/suppress")
def suppress(asked: Suppressing) -> Kept:
    """Non-maximum suppression by `neocog.ops.nms.batched_nms`."""
    if not len(asked.boxes) == len(asked.scores) == len(asked.labels):
        raise ValueError("boxes, scores and labels must be as many")
    boxes = torch.tensor(asked.boxes, dtype=torch.float32).reshape(-1, 4)
    labels = torch.tensor(asked.labels, dtype=torch.int64)
    return Kept(kept=batched_nms(boxes, torch.tensor(asked.scores), labels, asked.nms).tolist())
