"""Whether the server runs, and whether it computes what it should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import torch
from fastapi import APIRouter, FastAPI, Request
from PIL import Image
from pydantic import BaseModel

from neocog.data.images import decode_image
from neocog.lab.guard import Refusal
from neocog.ops.filter import filter_image
from neocog.ops.nms import nms
from neocog.pictures.encode import png_bytes
from neocog.version import __version__

router = APIRouter(tags=["server"])


class Health(BaseModel):
    """How the server is."""

    status: str
    version: str = __version__


@router.get("/health")
async def health() -> Health:
    """Whether the server runs: it answers at once, whatever is being computed."""
    return Health(status="ok")


@router.get("/ready")
async def ready(request: Request) -> Health:
    """Whether its self-test has passed; until then 503."""
    test: asyncio.Task[None] = request.app.state.self_test
    if not test.done():
        raise Refusal(503, "the self-test is running", retry_after="1")
    if test.exception() is not None:
        raise Refusal(503, f"the self-test failed: {test.exception()}")
    return Health(status="ready")


@asynccontextmanager
async def tested(app: FastAPI) -> AsyncIterator[None]:
    """The lifespan of the application, which begins with a self-test beside the first requests."""
    app.state.self_test = asyncio.create_task(asyncio.to_thread(self_test))
    yield


def self_test() -> None:
    """Filter, suppress, and read a picture, and compare with what is known. Raises ValueError.

    What is compiled at its first use is compiled here, before somebody waits for it.
    """
    kernel = np.arange(9.0).reshape(3, 3)
    point = np.pad(np.ones((1, 1)), 2)
    if not np.array_equal(filter_image(point, kernel, padding="none", correlate=False), kernel):
        raise ValueError("a point convolved with a kernel is not the kernel")
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [1.0, 0.0, 11.0, 10.0], [20.0, 0.0, 30.0, 10.0]])
    if nms(boxes, torch.tensor([0.8, 0.9, 0.7]), 0.5).tolist() != [1, 2]:
        raise ValueError("suppression left the wrong boxes")
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    if not np.array_equal(decode_image(png_bytes(Image.fromarray(pixels))), pixels):
        raise ValueError("a picture was read wrongly")
