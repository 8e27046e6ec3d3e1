"""What figures on pictures with objects share: the picture, and boxes over it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neocog.pictures.svg import Element, Point, group, pixels, rect
from neocog.pictures.theme import MARK_INK


def view(image: np.ndarray, corner: Point, side: float) -> Element:
    """A picture (H, W, 3) uint8 with its top left corner here, `side` pixels wide."""
    return pixels(*corner, side, side * image.shape[0] / image.shape[1], image, smooth=True, jpeg=True)


def pale(image: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 in light and quiet colours, to draw on."""
    colours = 0.5 * image + 0.5 * image.mean(axis=2, keepdims=True)
    light: np.ndarray = (118 + 0.54 * colours).round().astype(np.uint8)
    return light


def outline(
    box: Sequence[float],
    corner: Point,
    scale: float,
    colour: str,
    *,
    width: float = 2.5,
    dashed: bool = False,
) -> Element:
    """A frame around a box x0 y0 x1 y1 of a picture that is drawn from `corner` on, `scale` times as large.

    It is cased in dark lines, so that it shows on any picture; `dashed`, it is but a dark line.
    """
    x0, y0, x1, y1 = (float(value) * scale for value in box)
    place = corner[0] + x0, corner[1] + y0, x1 - x0, y1 - y0
    dark = rect(
        *place,
        style=f"fill:none;stroke:{MARK_INK}",
        stroke_width=1 if dashed else width + 1.5,
        stroke_dasharray="3 3" if dashed else None,
    )
    return group(
        dark, *([] if dashed else [rect(*place, style=f"fill:none;stroke:{colour}", stroke_width=width)])
    )
