"""Answers to a stream of pictures: files are read ahead in threads while the network works.

Pillow and the kernels leave the interpreter to others while they decode and resample, so threads do; nothing
has to be copied between processes. However long the stream is, only a few pictures are in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from neocog.data.images import read_image
from neocog.errors import DataError
from neocog.predict import Predictor
from neocog.predictions import AnyPrediction
from neocog.types import Batch

AHEAD = 3
"""Pictures that wait, read and prepared, for the network."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Answered:
    """A picture and what the model says of it."""

    pixels: np.ndarray  # (H, W, 3) uint8 RGB
    found: AnyPrediction


def predict_all(
    predictor: Predictor, paths: Iterable[str], *, readers: int = 1
) -> Iterator[Answered | DataError]:
    """What the model says of each of these picture files, in their order; why not, where one cannot be read.

    `readers` threads read and prepare up to AHEAD pictures each in advance; 0: nothing is read ahead. The
    answers are those of `Predictor.predict`, bit for bit. Raises NumbersError as `Predictor.run` does.
    """

    def read(path: str) -> tuple[np.ndarray, Batch] | DataError:
        try:
            pixels = read_image(Path(path))
        except DataError as error:
            return error
        batch = predictor.prepare(pixels)
        return pixels, replace(batch, frames=tuple(replace(one, source=path) for one in batch.frames))

    for prepared in map_ahead(read, paths, readers):
        if isinstance(prepared, DataError):
            yield prepared
            continue
        pixels, batch = prepared
        answers, _ = predictor.run(batch)
        yield Answered(pixels, predictor.convert(answers[0], batch.frames[0].source))


def map_ahead(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """`map(work, items)` in order, with AHEAD items for each of some threads under way; with 0, just that.

    What `work` raises is raised here, in its turn.
    """
    if not threads:
        yield from map(work, items)
        return
    pool, under_way = ThreadPoolExecutor(threads), deque[Future[Result]]()
    try:
        for item in items:
            under_way.append(pool.submit(work, item))
            if len(under_way) > threads * AHEAD:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
