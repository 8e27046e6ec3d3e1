"""The kernel that draws a shaded solid, in Numba: import this module only when one is to be drawn.

A solid is a union of ellipsoids, seen from infinitely far (orthographic), so that where a ray of sight meets
it is a root of a quadratic, and the picture exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

CENTRE, RADIUS, ALBEDO, COLUMNS = 0, 3, 6, 7  # a part is a row: its centre, three radii, what it reflects

SAMPLES = 2  # rays along a side of a pixel

Array = Any  # Numba infers the types of arrays and scalars; solids_render.py states what goes in


@njit(cache=True, nogil=True)
def _cast(
    part: Array, turn: Array, light: Array, ambient: float, scale: float, depth: Array, shade: Array
) -> None:
    """Draw one ellipsoid into `shade` where it is nearer than `depth`."""
    side = depth.shape[0]
    centre = np.zeros(3)
    form = np.zeros((3, 3))  # (p - centre) form (p - centre) = 1 on its surface, in the camera's axes
    reach = np.zeros(3)
    for i in range(3):
        for k in range(3):
            centre[i] += turn[i, k] * part[CENTRE + k]
            reach[i] += (turn[i, k] * part[RADIUS + k]) ** 2
            for j in range(3):
                form[i, j] += turn[i, k] * turn[j, k] / part[RADIUS + k] ** 2
    half = side / 2
    left = max(int((centre[0] - np.sqrt(reach[0])) * scale + half), 0)
    right = min(int((centre[0] + np.sqrt(reach[0])) * scale + half) + 1, side)
    top = max(int(half - (centre[1] + np.sqrt(reach[1])) * scale), 0)
    bottom = min(int(half - (centre[1] - np.sqrt(reach[1])) * scale) + 1, side)
    a = form[2, 2]
    for row in range(top, bottom):
        y = (half - row - 0.5) / scale - centre[1]
        for column in range(left, right):
            x = (column + 0.5 - half) / scale - centre[0]
            b = form[0, 2] * x + form[1, 2] * y
            c = form[0, 0] * x * x + 2 * form[0, 1] * x * y + form[1, 1] * y * y - 1
            inside = b * b - a * c
            if inside <= 0.0:
                continue
            z = (np.sqrt(inside) - b) / a
            if z + centre[2] <= depth[row, column]:
                continue
            depth[row, column] = z + centre[2]
            nx = form[0, 0] * x + form[0, 1] * y + form[0, 2] * z
            ny = form[1, 0] * x + form[1, 1] * y + form[1, 2] * z
            nz = form[2, 0] * x + form[2, 1] * y + form[2, 2] * z
            lit = (nx * light[0] + ny * light[1] + nz * light[2]) / np.sqrt(nx * nx + ny * ny + nz * nz)
            shade[row, column] = part[ALBEDO] * (ambient + (1.0 - ambient) * max(lit, 0.0))


@njit(cache=True, nogil=True)
def draw(
    parts: Array, turn: Array, light: Array, ambient: float, background: float, side: int, reach: float
) -> Array:
    """A picture (side, side) uint8 of the parts (P, COLUMNS).

    `turn` (3, 3) takes the solid's axes to the camera's (x right, y up, z towards the eye); `light` (3,) is
    the direction to the light in the camera's axes, of length 1; the picture covers [-reach, reach].
    """
    fine = side * SAMPLES
    depth = np.full((fine, fine), -np.inf)
    shade = np.full((fine, fine), background)
    for part in parts:
        _cast(part, turn, light, ambient, fine / (2 * reach), depth, shade)
    image = np.empty((side, side), dtype=np.uint8)
    for row in range(side):
        for column in range(side):
            total = 0.0
            for i in range(SAMPLES):
                for j in range(SAMPLES):
                    total += shade[row * SAMPLES + i, column * SAMPLES + j]
            image[row, column] = np.uint8(total * (255.0 / (SAMPLES * SAMPLES)) + 0.5)
    return image
