"""Pictures that are always there: generated scenes and handwritten digits, by id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from fastapi import APIRouter
from fastapi.responses import Response
from PIL import Image
from pydantic import BaseModel

from neocog.data.digits import Digits
from neocog.data.scenes import Scenes
from neocog.lab.guard import Refusal
from neocog.pictures.encode import png_bytes
from neocog.types import Task

router = APIRouter(prefix="/pictures", tags=["pictures"])


@dataclass(frozen=True)
class Source:
    """Where a picture comes from: a test split, which no model has learnt from."""

    name: str
    level: str  # of the scenes; none: a digit
    index: int


PICTURES: Mapping[str, Source] = {
    **{f"scene-{i + 1}": Source(f"scene {i + 1}", "std", i) for i in range(6)},
    **{f"crowded-{i + 1}": Source(f"crowded scene {i + 1}", "hard", i) for i in range(3)},
    **{f"single-{i + 1}": Source(f"one main object {i + 1}", "single", i) for i in range(3)},
    **{f"digit-{i + 1}": Source(f"handwritten digit {i + 1}", "", i) for i in range(10)},
}


class Listed(BaseModel):
    """A picture to choose."""

    id: str
    name: str
    classes: list[str]
    """Of the truth for every pixel, where there is one."""


@router.get("")
def pictures() -> list[Listed]:
    """The pictures that there are to choose from."""
    return [
        Listed(id=id, name=one.name, classes=list(_scenes(one).classes) if one.level else [])
        for id, one in PICTURES.items()
    ]


@router.get("/{id}", response_class=Response, responses={200: {"content": {"image/png": {}}}})
def picture(id: str) -> Response:
    """One of them, as a PNG."""
    if id not in PICTURES:
        raise Refusal(404, "there is no such picture")
    return Response(_png(id), media_type="image/png")


@router.get("/{id}/truth", response_class=Response, responses={200: {"content": {"image/png": {}}}})
def truth(id: str) -> Response:
    """The class of every pixel of a scene, as a grey PNG."""
    if id not in PICTURES or not PICTURES[id].level:
        raise Refusal(404, "there is no such picture, or no truth of its pixels")
    one = PICTURES[id]
    mask = _scenes(one)[one.index].mask
    assert mask is not None
    return Response(png_bytes(Image.fromarray(mask)), media_type="image/png")


@lru_cache(maxsize=len(PICTURES))
def _png(id: str) -> bytes:
    one = PICTURES[id]
    sample = _scenes(one)[one.index] if one.level else Digits("test")[one.index]
    return png_bytes(Image.fromarray(sample.image))


def _scenes(one: Source) -> Scenes:
    return Scenes(one.level, "test", task=Task.SEGMENT)
