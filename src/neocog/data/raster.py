"""The kernels that draw a scene, in Numba: import this module only when a scene is to be drawn.

A layer (one object or distractor) is a row of floats, its columns named below. Layers are painted back to
front; one that would hide too much of an object below it is moved to its next candidate position, and left
out when it has none left. So whatever can be seen is in the truth. Of two positions that do, the one that
hides less is taken: most objects are whole, some are half covered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

TABLE, DIAMETER, COS, SIN = range(4)
FIRST, SECOND, DRIFT = 4, 7, 10  # red green blue of either tone, and their rise across a diameter
TEXTURE, PERIOD, PHASE, SHADOW, OBJECT = range(13, 18)
COLUMNS = 18

WINDOW = 0.58  # no outline reaches further from its centre, in diameters (Jung: at most 1 / sqrt 3)
FADE = 0.07  # how far the shadow round a shape reaches, in diameters, but at least LEAST_FADE pixels
LEAST_FADE = 1.5

CHOICES = 2  # positions that fit a layer, of which it takes the one that hides least

Array = Any  # Numba infers the types of arrays and scalars; render.py states what goes in
Scalar = Any


@njit(cache=True, nogil=True)
def _sample(table: Array, x: float, y: float) -> Scalar:
    """The table's value at (x, y) cells, bilinear, clamped at its border."""
    last = table.shape[0] - 1
    x = min(max(x, 0.0), last - 1e-6)
    y = min(max(y, 0.0), last - 1e-6)
    i, j = int(y), int(x)
    fx, fy = x - j, y - i
    top = table[i, j] + fx * (table[i, j + 1] - table[i, j])
    bottom = table[i + 1, j] + fx * (table[i + 1, j + 1] - table[i + 1, j])
    return top + fy * (bottom - top)


@njit(cache=True, nogil=True)
def _mix(value: Scalar) -> Scalar:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): a good hash of 64 bits."""
    z = np.uint64(value)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def _wave(x: float) -> Scalar:
    """Signed distance into the bands [1/4, 3/4) of every period, in periods."""
    return 0.25 - abs(x - np.floor(x) - 0.5)


@njit(cache=True, nogil=True)
def _pattern(texture: int, u: float, v: float, phase: float) -> Scalar:
    """How far inside the second tone a point lies (negative: outside); all lengths in periods."""
    if texture == 0:  # solid
        return -1.0
    if texture == 1:  # stripes
        return _wave(u + phase)
    if texture == 2:  # checker
        a, b = _wave(u + phase), _wave(v + phase)
        return min(abs(a), abs(b)) if a * b > 0.0 else -min(abs(a), abs(b))
    if texture == 3:  # dots
        a, b = u + phase, v + phase
        a, b = a - np.floor(a) - 0.5, b - np.floor(b) - 0.5
        return 0.31 - np.sqrt(a * a + b * b)
    if texture == 4:  # rings
        return _wave(np.sqrt(u * u + v * v) + phase)
    row, column = np.int64(np.floor(v * 4.0)), np.int64(np.floor(u * 4.0))
    bits = _mix(np.uint64(row * 104729 + column * 7919 + np.int64(phase * 1e6)))
    return 1.0 if bits & np.uint64(1) == np.uint64(1) else -1.0  # speckle


@njit(cache=True, nogil=True)
def _measure(
    layer: Array,
    table: Array,
    cx: float,
    cy: float,
    reach: float,
    distance: Array,
    owner: Array,
    covered: Array,
) -> int:
    """Fill `distance` (pixels to the outline) in the layer's window, count what it would cover of each layer.

    Returns how many pixels the whole shape has, those outside the picture included.
    """
    side = owner.shape[0]
    diameter, cos, sin = layer[DIAMETER], layer[COS], layer[SIN]
    radius = WINDOW * diameter + max(FADE * diameter, LEAST_FADE)
    cells = table.shape[0] / (2.0 * reach)
    area = 0
    covered[:] = 0
    for row in range(int(np.floor(cy - radius)), int(np.ceil(cy + radius)) + 1):
        dy = (row + 0.5 - cy) / diameter
        for column in range(int(np.floor(cx - radius)), int(np.ceil(cx + radius)) + 1):
            dx = (column + 0.5 - cx) / diameter
            x, y = cos * dx + sin * dy, cos * dy - sin * dx
            d = _sample(table, (x + reach) * cells - 0.5, (y + reach) * cells - 0.5) * diameter
            if d < 0.0:
                area += 1
            if 0 <= row < side and 0 <= column < side:
                distance[row, column] = d
                if d < 0.0:
                    covered[owner[row, column]] += 1
    return area


@njit(cache=True, nogil=True)
def _place(
    layer: Array,
    table: Array,
    candidates: Array,
    reach: float,
    share: float,
    distance: Array,
    owner: Array,
    covered: Array,
    visible: Array,
    least: Array,
) -> int:
    """Which candidate position (T, 2) to take, or -1 for none.

    Of the first CHOICES that leave enough of every layer in sight, the one that hides least.
    """
    chosen, fewest, fitting = -1, owner.size + 1, 0
    for attempt in range(len(candidates)):
        cx, cy = candidates[attempt]
        area = _measure(layer, table, cx, cy, reach, distance, owner, covered)
        fits = covered.sum() >= max(share * area, 1.0)
        for below in range(1, len(covered)):
            if covered[below] > 0 and visible[below] - covered[below] < least[below]:
                fits = False
        if fits:
            fitting += 1
            hidden = covered[1:].sum()
            if hidden < fewest:
                chosen, fewest = attempt, hidden
            if hidden == 0 or fitting == CHOICES:
                break
    return chosen


@njit(cache=True, nogil=True)
def _paint(
    layer: Array, cx: float, cy: float, mark: int, distance: Array, canvas: Array, owner: Array
) -> None:
    """Blend a measured layer over the canvas, with soft edges and a shadow, and mark what it covers."""
    side = owner.shape[0]
    diameter, cos, sin = layer[DIAMETER], layer[COS], layer[SIN]
    texture, period, phase = int(layer[TEXTURE]), layer[PERIOD], layer[PHASE]
    fade = max(FADE * diameter, LEAST_FADE)
    radius = WINDOW * diameter + fade
    for row in range(max(int(np.floor(cy - radius)), 0), min(int(np.ceil(cy + radius)) + 1, side)):
        for column in range(max(int(np.floor(cx - radius)), 0), min(int(np.ceil(cx + radius)) + 1, side)):
            d = distance[row, column]
            if d < fade:
                dark = 1.0 - layer[SHADOW] * (1.0 - max(d, 0.0) / fade)
                alpha = min(max(0.5 - d, 0.0), 1.0)
                part, drift = 0.0, 0.0
                if alpha > 0.0:
                    dx, dy = column + 0.5 - cx, row + 0.5 - cy
                    x, y = cos * dx + sin * dy, cos * dy - sin * dx
                    inside = _pattern(texture, x / period, y / period, phase) * period
                    part = min(max(0.5 + inside, 0.0), 1.0)
                    drift = x / diameter
                for channel in range(3):
                    below = canvas[row, column, channel] * dark
                    tone = layer[FIRST + channel] + part * (layer[SECOND + channel] - layer[FIRST + channel])
                    tone += drift * layer[DRIFT + channel]
                    canvas[row, column, channel] = below + alpha * (tone - below)
            if d < 0.0:
                owner[row, column] = mark


@njit(cache=True, nogil=True)
def _light(canvas: Array, light: Array, noise: float, seed: int, image: Array) -> None:
    """Multiply each channel by its linear ramp, add noise, round to bytes."""
    side = canvas.shape[0]
    state: Scalar = np.uint64(seed)
    for row in range(side):
        for column in range(side):
            across, down = column / side - 0.5, row / side - 0.5
            state += np.uint64(0x9E3779B97F4A7C15)
            bits = _mix(state)
            for channel in range(3):
                # The sum of two uniform draws of ten bits: a triangle on [-1, 1].
                both = (bits & np.uint64(1023)) + ((bits >> np.uint64(10)) & np.uint64(1023))
                bits = bits >> np.uint64(20)
                gain = light[channel, 0] + light[channel, 1] * across + light[channel, 2] * down
                value = canvas[row, column, channel] * gain + noise * (np.float64(both) / 1023.0 - 1.0)
                image[row, column, channel] = np.uint8(min(max(value + 0.5, 0.0), 255.0))


@njit(cache=True, nogil=True)
def draw(
    backdrop: Array,
    layers: Array,
    candidates: Array,
    tables: Array,
    reach: float,
    share: float,
    light: Array,
    noise: float,
    seed: int,
) -> tuple[Array, Array, Array]:
    """Draw a scene.

    `backdrop` (S, S, 3) uint8; `layers` (L, COLUMNS) back to front; `candidates` (L, T, 2) centres to try,
    in pixels; `tables` (M, CELLS, CELLS) over [-reach, reach]; `share` the least part of an object that must
    stay in sight; `light` (3, 3) a channel's level, rise across and rise down; `noise` the largest change
    of a value. Returns the image (S, S, 3) uint8, the owner of each pixel (S, S) uint8 (0 backdrop, layer
    + 1) and the bounds (L, 4) int64 x0 y0 x1 y1 of what is visible of each layer, zero where it was left out.
    """
    side, count = backdrop.shape[0], layers.shape[0]
    canvas = backdrop.astype(np.float32)
    owner = np.zeros((side, side), dtype=np.uint8)
    distance = np.empty((side, side), dtype=np.float32)
    covered = np.zeros(count + 1, dtype=np.int64)
    visible = np.zeros(count + 1, dtype=np.int64)
    least = np.zeros(count + 1, dtype=np.float64)
    for index in range(count):
        layer, table = layers[index], tables[int(layers[index, TABLE])]
        chosen = _place(
            layer, table, candidates[index], reach, share, distance, owner, covered, visible, least
        )
        if chosen < 0:
            continue
        cx, cy = candidates[index, chosen]
        area = _measure(layer, table, cx, cy, reach, distance, owner, covered)
        visible -= covered
        visible[index + 1] = covered.sum()
        least[index + 1] = share * area if layer[OBJECT] > 0 else 0.0
        _paint(layer, cx, cy, index + 1, distance, canvas, owner)
    image = np.empty((side, side, 3), dtype=np.uint8)
    _light(canvas, light, noise, seed, image)
    return image, owner, _bounds(owner, count)


@njit(cache=True, nogil=True)
def _bounds(owner: Array, count: int) -> Array:
    """The half-open bounds (count, 4) of each mark 1..count in `owner`, zero where it does not occur."""
    bounds = np.zeros((count + 1, 4), dtype=np.int64)
    for row in range(owner.shape[0]):
        for column in range(owner.shape[1]):
            box = bounds[owner[row, column]]
            if box[3] == 0:
                box[0], box[1], box[2] = column, row, column + 1
            box[0] = min(box[0], column)
            box[2] = max(box[2], column + 1)
            box[3] = row + 1
    return bounds[1:]
