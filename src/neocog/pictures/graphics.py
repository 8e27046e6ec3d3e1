"""A strip of pictures for every unit of a graphics code that was moved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from neocog.pictures.draw import titled
from neocog.pictures.theme import LIGHT

_GAP = 2


def unit_strips(rows: Sequence[tuple[str, np.ndarray]], scale: int = 2) -> Image.Image:
    """One strip under its title for each unit, its pictures from left to right.

    Args:
        rows: title, and pictures (N, H, W) in [0, 1].
        scale: pixels a side for each of theirs.

    Raises ValueError without a row or a picture.
    """
    if not rows or any(pictures.ndim != 3 or not len(pictures) for _, pictures in rows):
        raise ValueError("strips need a row at least, and pictures (N, H, W) in each")
    strips = [titled(_strip(pictures, scale), title) for title, pictures in rows]
    width, height = max(one.width for one in strips), sum(one.height for one in strips)
    canvas = Image.new("RGB", (width, height), LIGHT["surface"])
    top = 0
    for one in strips:
        canvas.paste(one, (0, top))
        top += one.height
    return canvas


def _strip(pictures: np.ndarray, scale: int) -> Image.Image:
    count, height, width = pictures.shape
    canvas = Image.new(
        "RGB", (count * (width * scale + _GAP) - _GAP, height * scale + 2 * _GAP), LIGHT["surface"]
    )
    for place, picture in enumerate(pictures):
        levels = Image.fromarray((picture.clip(0, 1) * 255 + 0.5).astype(np.uint8))
        large = levels.resize((width * scale, height * scale), Resampling.BICUBIC)
        canvas.paste(large, (place * (width * scale + _GAP), _GAP))
    return canvas
