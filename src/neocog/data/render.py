"""One generated scene with its exact truth, as a function of (level, seed, split, index) alone.

Objects are the ten shapes of `shapes.CLASSES`, turned by any angle, each in any of eight colours and six
textures drawn independently of the shape, so that colour says nothing of class. Blobs in the same colours and
textures distract; the background is clutter from a bank of the split's own.

Sizes are diameters (the largest extent in any direction), uniform between the limits of the level, which
hold for a picture of 128 px and grow with it.

In the level `pairs` a class is a shape in a texture, and `HELD_OUT` are met in the test split only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neocog.data.backgrounds import BANK, background
from neocog.data.shapes import BLOBS, CLASSES, REACH, tables
from neocog.ops.rng import generator
from neocog.types import SampleKey

VERSION = 2  # raise it whenever any picture or truth changes

COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "violet", "pink")
TEXTURES = ("solid", "stripes", "checker", "dots", "rings", "speckle")

LEAST_VISIBLE = 0.4  # of an object's area: a placement that hides more is not made

PALETTE = np.array(
    [
        [206, 48, 44],
        [236, 126, 30],
        [236, 206, 56],
        [58, 158, 70],
        [64, 192, 206],
        [48, 88, 204],
        [132, 66, 186],
        [238, 134, 180],
    ],
    dtype=np.float64,
)
_ATTEMPTS = 16  # candidate positions of a layer
_DRIFT = 55.0  # most that a channel changes from one side of an object to the other, in grey levels
_TWO_PI = 2 * np.pi


@dataclass(frozen=True, slots=True)
class Level:
    """What a scene holds. Sizes are diameters in pixels of a picture of 128 px."""

    objects: tuple[int, int]  # fewest and most
    sizes: tuple[float, float]  # smallest and largest object
    distractors: int
    distractor_sizes: tuple[float, float]


LEVELS = {
    "std": Level((1, 6), (20.0, 64.0), 2, (16.0, 48.0)),
    "hard": Level((1, 7), (12.0, 64.0), 3, (12.0, 48.0)),
    "single": Level((1, 1), (32.0, 96.0), 2, (16.0, 48.0)),
    "pairs": Level((1, 4), (28.0, 64.0), 2, (16.0, 48.0)),
}

HELD_OUT = tuple((k % len(CLASSES), k % len(TEXTURES)) for k in range(12))
"""Pairs (shape, texture) that `pairs` shows in its test split alone: a fifth of the 60, by a rule that looks
at no result. Every shape and every texture is met in training, in other pairs."""


def shown_pairs(split: str) -> NDArray[np.int64]:
    """The pairs (P, 2) of a shape and a texture that objects of `pairs` have in a split, each as often."""
    every = [(shape, texture) for shape in range(len(CLASSES)) for texture in range(len(TEXTURES))]
    return np.array([pair for pair in every if split == "test" or pair not in HELD_OUT])


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture and all that is true of it. Objects stand in the order they were painted, back to front."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB
    boxes: NDArray[np.float32]  # (N, 4) half-open bounds of the visible pixels
    attributes: NDArray[np.int64]  # (N, 3) indices into CLASSES, COLOURS, TEXTURES
    angles: NDArray[np.float32]  # (N,) radians in [0, 2 pi), clockwise as shown
    scales: NDArray[np.float32]  # (N,) diameter in pixels, visible or not
    instances: NDArray[np.uint8]  # (H, W) 0 none, i + 1 where object i is in sight
    main: int  # the object with the most visible pixels

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) class of each object: its shape."""
        return self.attributes[:, 0]


def _span(limits: tuple[float, float], draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Uniform between the limits."""
    low, high = limits
    return np.asarray(low + (high - low) * draws)


def _pick(draws: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Uniform indices 0..count-1."""
    return (draws * count).astype(np.int64)


def _backdrop(rng: np.random.Generator, seed: int, split: str, size: int) -> NDArray[np.uint8]:
    """A crop of one picture of the split's bank, flipped and with its channels in any order."""
    draws = rng.random(7)
    side = size + size // 2
    picture = background(seed, split, int(draws[0] * BANK), side)
    y, x = (int(draw * (side - size + 1)) for draw in draws[1:3])
    crop = picture[y : y + size, x : x + size]
    crop = crop[:: 1 if draws[3] < 0.5 else -1, :: 1 if draws[4] < 0.5 else -1]
    first = int(draws[5] * 3)
    second, third = (
        ((first + 1) % 3, (first + 2) % 3) if draws[6] < 0.5 else ((first + 2) % 3, (first + 1) % 3)
    )
    return np.ascontiguousarray(crop[:, :, [first, second, third]])


def _tones(colours: NDArray[np.int64], draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two tones (L, 6): the colour, a little off, and another of the eight, dark or pale. `draws` (L, 6).

    A tone of another hue, so that no region of one colour is a whole textured object.
    """
    base = PALETTE[colours] * (0.86 + 0.22 * draws[:, :1]) + 44 * (draws[:, 1:4] - 0.5)
    other = PALETTE[(colours + 1 + _pick(draws[:, 4], len(COLOURS) - 1)) % len(COLOURS)]
    second = np.where(draws[:, 5:6] < 0.5, 0.42 * other, 0.5 * other + 0.5 * 255)
    second = 0.85 * second + 0.15 * base  # near enough that the outline stands out from the texture
    tones: NDArray[np.float64] = np.concatenate([base, second], axis=1).clip(0, 255)
    return tones


def _layers(
    rng: np.random.Generator, level: Level, size: int, pairs: NDArray[np.int64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Rows for `raster.draw`, their candidate centres, their attributes (L, 3) and their angles (L,).

    `pairs`: the shapes and textures (P, 2) that objects may have; None for any.
    """
    from neocog.data import raster

    fewest, most = level.objects
    objects = fewest + int(rng.random() * (most - fewest + 1))
    count = objects + level.distractors
    draws = rng.random((count, 18))
    is_object = np.zeros(count, dtype=bool)
    is_object[np.argsort(draws[:, 0])[:objects]] = True  # painted in any order
    blob = len(CLASSES) + _pick(draws[:, 1], BLOBS)
    shape, texture = _pick(draws[:, 1], len(CLASSES)), _pick(draws[:, 3], len(TEXTURES))
    if pairs is not None:
        both = pairs[_pick(draws[:, 1], len(pairs))]
        shape, texture = both[:, 0], np.where(is_object, both[:, 1], texture)
    shape, colour = np.where(is_object, shape, blob), _pick(draws[:, 2], len(COLOURS))
    diameter = np.where(
        is_object, _span(level.sizes, draws[:, 4]), _span(level.distractor_sizes, draws[:, 4])
    )
    diameter *= size / 128
    angle = _TWO_PI * draws[:, 5]
    rows = np.empty((count, raster.COLUMNS))
    rows[:, raster.TABLE] = shape
    rows[:, raster.DIAMETER] = diameter
    rows[:, raster.COS], rows[:, raster.SIN] = np.cos(angle), np.sin(angle)
    rows[:, raster.FIRST : raster.DRIFT] = _tones(colour, draws[:, 6:12])
    rows[:, raster.DRIFT : raster.TEXTURE] = _DRIFT * (2 * draws[:, 15:18] - 1)
    rows[:, raster.TEXTURE] = texture
    rows[:, raster.PERIOD] = np.maximum(diameter * (0.16 + 0.1 * draws[:, 12]), 4.0)
    rows[:, raster.PHASE] = draws[:, 13]
    rows[:, raster.SHADOW] = 0.55 * draws[:, 14]
    rows[:, raster.OBJECT] = is_object
    margin = (0.38 * diameter)[:, None, None]  # at most a little of an object lies outside
    centres = margin + (size - 2 * margin) * rng.random((count, _ATTEMPTS, 2))
    return rows, centres, np.stack([shape, colour, texture], axis=1), angle


def _light(rng: np.random.Generator) -> tuple[NDArray[np.float64], float]:
    """Light of each channel (3, 3): level, rise across, rise down; and the noise in grey levels."""
    draws = rng.random(13)
    slope, direction = 0.7 * draws[0], _TWO_PI * draws[1]
    common = np.array([0.8 + 0.35 * draws[2], slope * np.cos(direction), slope * np.sin(direction)])
    tint = (draws[4:].reshape(3, 3) - 0.5) * np.array([0.2, 0.4, 0.4])
    return common + tint, float(4 + 10 * draws[3])


def render_scene(level: str, split: str, index: int, seed: int = 0, size: int = 128) -> Scene:
    """Draw scene `index` of a split: (size, size) pixels, `level` one of LEVELS, `split` train, val or test.

    Every object that is drawn shows at least 40 % of its area and is in the truth.
    """
    from neocog.data import raster

    rng = generator(SampleKey(seed, 0, index), f"scene/{level}/{split}")
    backdrop = _backdrop(rng, seed, split, size)
    pairs = shown_pairs(split) if level == "pairs" else None
    rows, centres, attributes, angles = _layers(rng, LEVELS[level], size, pairs)
    light, noise = _light(rng)
    noise_seed = int(rng.integers(0, 2**63))
    image, owner, bounds = raster.draw(
        backdrop, rows, centres, tables(split), REACH, LEAST_VISIBLE, light, noise, noise_seed
    )
    kept = np.flatnonzero((rows[:, raster.OBJECT] > 0) & (bounds[:, 2] > 0))
    to_instance = np.zeros(len(rows) + 1, dtype=np.uint8)
    to_instance[kept + 1] = np.arange(1, len(kept) + 1)
    instances = to_instance[owner]
    return Scene(
        image=image,
        boxes=bounds[kept].astype(np.float32),
        attributes=attributes[kept],
        angles=angles[kept].astype(np.float32),
        scales=rows[kept, raster.DIAMETER].astype(np.float32),
        instances=instances,
        main=int(np.bincount(instances.ravel(), minlength=len(kept) + 1)[1:].argmax()),
    )
