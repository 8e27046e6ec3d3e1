"""Pictures to compare an exported file on: of many sizes, some without anything in them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neocog.data.open import open_data
from neocog.errors import DataError
from neocog.ops.rng import generator
from neocog.types import SampleKey

EVERY = 8
"""One picture in so many shows nothing."""

SHORTEST = 0.35
"""Of a picture's side, what a cut-out keeps at least."""

LEAST = 24
"""Pixels a side of a cut-out, where the picture has as many."""


def varied(data: Any, number: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """So many pictures (H, W, 3) of a data set: whole ones, wide and high cut-outs, and noise on a colour.

    `data` None: generated scenes. Images that cannot be read are passed over. The same for the same seed.
    """
    source = open_data("scenes", "test") if data is None else data
    return list(islice(_pictures(source, seed, number), number))


def _pictures(source: Any, seed: int, number: int) -> Iterator[NDArray[np.uint8]]:
    last = np.full((160, 240, 3), 114, np.uint8)
    for place in count():
        rng = generator(SampleKey(seed, 0, place), "export")
        if place % EVERY == EVERY - 1:
            noise = rng.normal(rng.uniform(60, 200), 4, last.shape)
            yield noise.clip(0, 255).astype(np.uint8)
            continue
        try:
            whole = source[place % len(source)].image
        except DataError:
            if place >= len(source) + number:
                raise
            continue
        last = whole if place % 3 == 0 else _cut(whole, rng)
        yield np.ascontiguousarray(last)


def _cut(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A window of a share of each side of its own, anywhere."""
    sides = [max(int(side * rng.uniform(SHORTEST, 1)), min(LEAST, side)) for side in image.shape[:2]]
    top, left = (int(rng.integers(0, side - cut + 1)) for side, cut in zip(image.shape, sides, strict=False))
    return image[top : top + sides[0], left : left + sides[1]]
