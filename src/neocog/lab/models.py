"""What trained models are asked: predictions, stages, explanations, and how their training went."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from neocog.data.images import decode_image
from neocog.errors import NeocogError
from neocog.explain.methods import METHODS, explained
from neocog.explain.subject import Choices, Shown, subject_of
from neocog.lab.guard import Refusal
from neocog.lab.runs import Run, Runs
from neocog.pictures.encode import data_url

router = APIRouter(tags=["runs"])
_KINDS = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/tiff")
PICTURE = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {} for kind in ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/tiff")
        },
    }
}


class Known(BaseModel):
    """A run, by the id that it has while the server runs."""

    id: str
    name: str
    model: str
    task: str
    classes: list[str]
    methods: list[str]
    """Ways of looking inside that suit it."""


class Drawn(BaseModel):
    """A picture of an explanation."""

    name: str
    caption: str
    picture: str
    """A data URL of a PNG, or of an SVG."""
    record: dict[str, Any]


def _runs(request: Request) -> Runs:
    runs: Runs = request.app.state.runs
    return runs


@router.get("/runs")
def runs(request: Request) -> list[Known]:
    """The runs that the lab was started with."""
    return [_known(run) for run in _runs(request)]


def _known(run: Run) -> Known:
    options = run.record
    model, task = str(options["options"]["model"]), str(options["task"])
    suits = [name for name, method in METHODS.items() if task in [one.value for one in method.tasks]]
    return Known(id=run.id, name=run.name, model=model, task=task, classes=options["classes"], methods=suits)


@router.get("/runs/{run}/curves")
def curves(run: str, request: Request, after: int = -1) -> list[dict[str, Any]]:
    """The lines of its `metrics.jsonl` beyond a step: losses, and validations."""
    return _runs(request)[run].lines("metrics.jsonl", after)


@router.get("/runs/{run}/evaluation")
def evaluation(run: str, request: Request) -> dict[str, Any] | None:
    """Its `evaluation.json`, if it has one."""
    return _runs(request)[run].document("evaluation.json")


@router.get("/comparisons")
def comparisons(request: Request) -> dict[str, dict[str, Any]]:
    """The `compare.json` of every comparison that the lab was started with."""
    return _runs(request).comparisons


@router.post("/predict/{run}", openapi_extra=PICTURE)
async def predict(run: str, request: Request) -> dict[str, Any]:
    """What the model says of the picture in the body, as `Prediction.to_dict()` has it."""
    asked = _runs(request)[run]
    data = await _picture(request)

    def compute() -> dict[str, Any]:
        answer: dict[str, Any] = asked.predictor.predict(decode_image(data)).to_dict()
        return answer

    return await asked.worker.run(compute)


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
    asked = _runs(request)[run]
    data = await _picture(request)

    def compute() -> list[Drawn]:
        subject = subject_of(asked.predictor, decode_image(data))
        return [
            _drawn(one) for one in explained(subject, method, Choices(level=level, unit=unit, label=label))
        ]

    return await asked.worker.run(compute)


def _drawn(shown: Shown) -> Drawn:

    picture = shown.picture
    if isinstance(picture, str):
        address = "data:image/svg+xml;base64," + base64.b64encode(picture.encode()).decode()
    else:
        address = data_url(picture.convert("RGB"))
    return Drawn(name=shown.name, caption=shown.caption, picture=address, record=shown.record)


async def _picture(request: Request) -> bytes:
    data = await request.body()
    if not data:
        raise NeocogError("the body must be a picture")
    return data
