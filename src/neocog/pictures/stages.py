"""Many boxes, or a map of scores, over a picture: what a detector looked at on the way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from PIL.Image import Resampling

from neocog.pictures.draw import class_colour, contact_sheet, enlarged, shrunk, titled
from neocog.pictures.theme import LIGHT, MARK_INK, MARKS

_FAINT = 70
"""Opacity of the weakest box, of 255: it must still show."""


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray | None = None,
    heat: np.ndarray | None = None,
    extent: Sequence[float] = (),
) -> Image.Image:
    """The picture with a frame for every box, the stronger its score the less transparent.

    Args:
        image: (H, W, 3) uint8 RGB.
        boxes: (N, 4) x0 y0 x1 y1 in pixels of `image`; may reach beyond it.
        scores: (N,) in [0, 1].
        labels: (N,) classes, for the colour; without them all have one.
        heat: (rows, columns) in [0, 1], laid over `extent`, a box in pixels of `image`.
    """
    canvas, scale = enlarged(image)
    if heat is not None:
        canvas = _heated(canvas, heat, [value * scale for value in extent])
    layer = Image.new("RGBA", canvas.size)
    pen = ImageDraw.Draw(layer)
    width = max(2, round(min(canvas.size) / 280))
    strongest = max(float(scores.max(initial=0.0)), 1e-6)
    for index in np.argsort(scores, kind="stable"):
        opacity = round(_FAINT + (255 - _FAINT) * float(scores[index]) / strongest)
        colour = MARKS[0] if labels is None else class_colour(int(labels[index]))
        corners = [round(float(value) * scale) for value in boxes[index]]
        _frame(pen, corners, width + 2, MARK_INK, opacity)
        _frame(pen, [corners[0] + 1, corners[1] + 1, corners[2] - 1, corners[3] - 1], width, colour, opacity)
    return Image.alpha_composite(canvas.convert("RGBA"), layer).convert("RGB")


def sheet(pictures: Sequence[tuple[str, Image.Image]], columns: int = 3, tile: int = 480) -> Image.Image:
    """Pictures under their titles, in rows. Raises ValueError without one."""
    return contact_sheet([titled(shrunk(one, tile), title) for title, one in pictures], columns, 2 * tile)


def _frame(pen: ImageDraw.ImageDraw, corners: Sequence[int], width: int, colour: str, opacity: int) -> None:
    x0, y0, x1, y1 = corners
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    pen.rectangle((x0, y0, x1 - 1, y1 - 1), outline=f"{colour}{opacity:02x}", width=width)


def _heated(canvas: Image.Image, heat: np.ndarray, extent: Sequence[float]) -> Image.Image:
    """The picture in grey, tinted where the map is high. Cells stay visible as such."""
    x0, y0, x1, y1 = (round(value) for value in extent)
    cells = Image.fromarray((heat.clip(0, 1) * 255).astype(np.uint8))
    mask = Image.new("L", canvas.size)
    mask.paste(cells.resize((max(1, x1 - x0), max(1, y1 - y0)), Resampling.NEAREST), (x0, y0))
    grey = Image.blend(canvas.convert("L").convert("RGB"), Image.new("RGB", canvas.size, "#ffffff"), 0.35)
    tint = Image.blend(grey, Image.new("RGB", canvas.size, LIGHT["accent"]), 0.75)
    return Image.composite(tint, grey, mask)
