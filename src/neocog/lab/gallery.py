"""Pictures that are always there: generated scenes and handwritten digits, by id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial

import numpy as np
from fastapi import APIRouter
from fastapi.responses import Response
from PIL import Image
from pydantic import BaseModel

from neocog.data.digits import Digits
from neocog.data.scenes import Scenes
from neocog.lab.guard import Refusal
from neocog.pictures.encode import png_bytes

router = APIRouter(prefix="/pictures", tags=["pictures"])


def _scene(level: str, index: int) -> np.ndarray:
    return Scenes(level, "test")[index].image


def _digit(index: int) -> np.ndarray:
    return Digits("test")[index].image


PICTURES: Mapping[str, tuple[str, Callable[[], np.ndarray]]] = {
    **{f"scene-{i + 1}": (f"scene {i + 1}", partial(_scene, "std", i)) for i in range(6)},
    **{f"crowded-{i + 1}": (f"crowded scene {i + 1}", partial(_scene, "hard", i)) for i in range(3)},
    **{f"single-{i + 1}": (f"one main object {i + 1}", partial(_scene, "single", i)) for i in range(3)},
    **{f"digit-{i + 1}": (f"handwritten digit {i + 1}", partial(_digit, i)) for i in range(10)},
}
"""What each is, and its pixels (H, W, 3) uint8: of test splits, which no model has learnt from."""


class Listed(BaseModel):
    """A picture to choose."""

    id: str
    name: str


@router.get("")
def pictures() -> list[Listed]:
    """The pictures that there are to choose from."""
    return [Listed(id=id, name=name) for id, (name, _) in PICTURES.items()]


@router.get("/{id}", response_class=Response, responses={200: {"content": {"image/png": {}}}})
def picture(id: str) -> Response:
    """One of them, as a PNG."""
    if id not in PICTURES:
        raise Refusal(404, "there is no such picture")
    return Response(_png(id), media_type="image/png")


@lru_cache(maxsize=len(PICTURES))
def _png(id: str) -> bytes:
    return png_bytes(Image.fromarray(PICTURES[id][1]()))
