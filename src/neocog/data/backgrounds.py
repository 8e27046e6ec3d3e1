"""Procedural clutter to put objects on: mosaics, marble, terraces, clouds and strokes, mixed in patches.

No element is one of the ten shapes. Each split has a bank of its own, so that no background of the training
split is ever seen in validation or test.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from neocog.ops.rng import generator
from neocog.types import SampleKey

BANK = 48  # pictures in the bank of one split
_MUTED = 0.5  # how far colours are drawn towards grey

Plane = NDArray[np.float32]  # (S, S)
Picture = NDArray[np.float32]  # (S, S, 3) in [0, 1]


def _noise(rng: np.random.Generator, side: int, cells: int, octaves: int) -> Plane:
    """Value noise in [0, 1]: random grids, each twice as fine and half as strong, smoothly interpolated."""
    total = np.zeros((side, side), dtype=np.float32)
    strength, sum_of_strengths = 1.0, 0.0
    for _ in range(octaves):
        grid = rng.random((cells + 1, cells + 1), dtype=np.float32)
        position = (np.arange(side, dtype=np.float32) + np.float32(0.5)) * np.float32(cells / side)
        low = position.astype(np.int64)
        part = position - low
        part = part * part * (3 - 2 * part)
        rows = grid[low] + (grid[low + 1] - grid[low]) * part[:, None]
        total += np.float32(strength) * (rows[:, low] + (rows[:, low + 1] - rows[:, low]) * part[None, :])
        sum_of_strengths += strength
        strength, cells = strength / 2, cells * 2
    return total / np.float32(sum_of_strengths)


def _colours(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """(count, 3) colours: one mood a picture, and about one in four as vivid as the objects."""
    mood = rng.random(3, dtype=np.float32)
    freedom = np.float32(0.35 + 0.5 * rng.random())
    related = mood * (1 - freedom) + freedom * rng.random((count, 3), dtype=np.float32)
    hue = rng.random((count, 1), dtype=np.float32) + np.array([0, 1 / 3, 2 / 3], dtype=np.float32)
    vivid = (np.float32(0.5) + np.float32(0.5) * np.cos(np.float32(2 * np.pi) * hue)) * np.float32(0.9)
    return np.clip(np.where(rng.random((count, 1)) < 0.25, vivid, related), 0.04, 0.96)


def _clouds(rng: np.random.Generator, side: int) -> Picture:
    """Three colours blended by noise."""
    first, second, third = _colours(rng, 3)
    a, b = _noise(rng, side, 4, 5)[..., None], _noise(rng, side, 5, 4)[..., None]
    a, b = np.clip(3 * a - 1, 0, 1), np.clip(3 * b - 1, 0, 1)
    picture: Picture = (first * (1 - a) + second * a) * (1 - b) + third * b
    return picture


def _marble(rng: np.random.Generator, side: int) -> Picture:
    """Bent bands of two or three colours."""
    colours = _colours(rng, int(rng.integers(2, 4)))
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    turn = np.float32(2 * np.pi * rng.random())
    bands = np.float32(3 + 9 * rng.random())
    bend = np.float32(0.5 + 2.5 * rng.random()) * _noise(rng, side, 3, 4)
    phase = (np.cos(turn) * x + np.sin(turn) * y) * bands + bend
    index = (phase * len(colours)).astype(np.int64) % len(colours)
    shade = np.float32(0.7) + np.float32(0.6) * np.abs(phase * len(colours) % 1 - np.float32(0.5))
    picture: Picture = colours[index] * shade[..., None]
    return picture


def _terraces(rng: np.random.Generator, side: int) -> Picture:
    """Noise cut into flat steps: camouflage."""
    steps = int(rng.integers(5, 10))
    height = _noise(rng, side, int(rng.integers(4, 9)), 3)
    return _colours(rng, steps)[np.minimum((height * steps).astype(np.int64), steps - 1)]


def _mosaic(rng: np.random.Generator, side: int) -> Picture:
    """Irregular patches, each plain, striped, dotted or checked: the textures that objects wear."""
    count = int(rng.integers(18, 44))
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    warp = np.float32(0.25)
    x = x + warp * (_noise(rng, side, 5, 3) - np.float32(0.5))
    y = y + warp * (_noise(rng, side, 5, 3) - np.float32(0.5))
    best = np.full((side, side), np.inf, dtype=np.float32)
    owner = np.zeros((side, side), dtype=np.int64)
    for patch, (px, py) in enumerate(rng.random((count, 2), dtype=np.float32)):
        distance = (x - px) ** 2 + (y - py) ** 2
        nearer = distance < best
        best[nearer] = distance[nearer]
        owner[nearer] = patch
    turn = (2 * np.pi * rng.random(count)).astype(np.float32)
    rate = (18 + 30 * rng.random(count)).astype(np.float32)[owner]
    u = (np.cos(turn)[owner] * x + np.sin(turn)[owner] * y) * rate
    v = (np.cos(turn)[owner] * y - np.sin(turn)[owner] * x) * rate
    half = np.float32(0.5)
    patterns = np.stack(
        [
            np.zeros_like(u, dtype=bool),
            u % 1 < half,
            (u % 1 < half) ^ (v % 1 < half),
            (u % 1 - half) ** 2 + (v % 1 - half) ** 2 < np.float32(0.1),
        ]
    )
    kind = rng.integers(0, 4, count)[owner]
    second = np.take_along_axis(patterns, kind[None], axis=0)[0]
    ground, ink = _colours(rng, count), _colours(rng, count)
    return np.where(second[..., None], (ground[owner] + ink[owner]) / 2, ground[owner])


def _strokes(rng: np.random.Generator, picture: Picture) -> None:
    """Draw straight strokes of all lengths and widths over a picture, in place."""
    side = len(picture)
    count = int(rng.integers(10, 60))
    colours = _colours(rng, count)
    for colour in colours:
        x, y = rng.random(2) * side
        turn, length = 2 * np.pi * rng.random(), side * (0.05 + 0.35 * rng.random() ** 2)
        width = side / 192 * (0.7 + 2.3 * rng.random() ** 2)
        dx, dy = length * np.cos(turn), length * np.sin(turn)
        x0, x1 = (int(v) for v in np.clip([min(x, x + dx) - width - 1, max(x, x + dx) + width + 2], 0, side))
        y0, y1 = (int(v) for v in np.clip([min(y, y + dy) - width - 1, max(y, y + dy) + width + 2], 0, side))
        if x0 == x1 or y0 == y1:
            continue
        px = np.arange(x0, x1, dtype=np.float32)[None, :] + np.float32(0.5 - x)
        py = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(0.5 - y)
        along = np.clip((px * dx + py * dy) / (length * length), 0, 1)
        distance = np.sqrt((px - along * dx) ** 2 + (py - along * dy) ** 2)
        cover = np.clip(width + 0.5 - distance, 0, 1).astype(np.float32)[..., None]
        window = picture[y0:y1, x0:x1]
        window += cover * (colour - window)


@lru_cache(maxsize=3 * BANK)
def background(seed: int, split: str, number: int, side: int) -> NDArray[np.uint8]:
    """Picture `number` (0..BANK-1) of the bank of a split, (side, side, 3) uint8. Read-only, kept."""
    rng = generator(SampleKey(seed, 0, number), f"background/{split}")
    kinds = (_mosaic, _marble, _terraces, _clouds)
    first, second = rng.permutation(4)[:2]
    below, above = kinds[first](rng, side), kinds[second](rng, side)
    patches = _noise(rng, side, int(rng.integers(2, 6)), 3)
    cut = 0.42 + 0.16 * rng.random()
    picture = np.where((patches > cut)[..., None], above, below).astype(np.float32)
    _strokes(rng, picture)
    picture *= np.float32(0.8) + np.float32(0.4) * _noise(rng, side, 6, 2)[..., None]
    picture += np.float32(_MUTED) * (picture.mean(axis=2, keepdims=True) - picture)
    finished = (np.clip(picture, 0.03, 0.94) * 255 + 0.5).astype(np.uint8)
    finished.flags.writeable = False
    return finished
