"""Maps of numbers as pictures: a neutral colour for 0, one accent for what is active, a scale with a unit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.Image import Resampling

from neocog.pictures.axes import tick_label
from neocog.pictures.stages import draw_boxes
from neocog.pictures.theme import LIGHT, rgb

PLAIN = ("#f4f5f5", "#b9cbef", "#6f93df", "#2456c8", "#0f245c")
"""From 0 to the largest value: quiet to the accent, and darker."""

SIGNED = ("#6d2c05", "#c2570c", "#f0a565", "#f4f5f5", "#8fabe6", "#2456c8", "#0f245c")
"""From the negative end to the positive one; 0 is neutral."""

_GREY = "#a6a9ac"
_GAP, _LABEL = 6, 15  # pixels between tiles; height of a tile's label


def coloured(values: np.ndarray, limit: float, *, signed: bool) -> np.ndarray:
    """Values (...) as colours (..., 3) uint8: from 0, or where they are `signed` from -limit, to limit."""
    share = values / limit if limit > 0 else np.zeros_like(values)
    share = (share.clip(-1, 1) + 1) / 2 if signed else share.clip(0, 1)
    anchors = np.array([rgb(one) for one in (SIGNED if signed else PLAIN)])
    places = np.linspace(0, 1, len(anchors))
    return np.stack([np.interp(share, places, anchors[:, c]) for c in range(3)], -1).round().astype(np.uint8)


def signed_rgb(values: np.ndarray, limit: float | None = None) -> np.ndarray:
    """Signed RGB values (H, W, 3) as a picture uint8 in which 0 is grey.

    `limit` is what becomes white or black; by default the largest, but for a thousandth.
    """
    if limit is None:
        limit = float(np.quantile(np.abs(values), 0.999)) if values.size else 0.0
    share = values / limit if limit > 0 else np.zeros_like(values)
    pixels: np.ndarray = (127.5 + 127.5 * share.clip(-1, 1)).round().astype(np.uint8)
    return pixels


def map_sheet(
    maps: np.ndarray, labels: Sequence[str], limit: float, unit: str, *, signed: bool, columns: int = 8
) -> Image.Image:
    """Maps (N, h, w) as labelled tiles on one scale, which stands below. Raises ValueError without a map."""
    tiles = [Image.fromarray(coloured(one, limit, signed=signed)) for one in maps]
    sheet = tile_sheet(tiles, labels, columns=columns)
    return stacked(sheet, scale_bar(limit, unit, signed=signed, width=sheet.width))


def tile_sheet(
    tiles: Sequence[Image.Image], labels: Sequence[str], *, columns: int = 8, side: int = 96
) -> Image.Image:
    """Small pictures under their labels, each enlarged or shrunk to about `side` pixels, in rows.

    Raises ValueError without a tile.
    """
    if not tiles:
        raise ValueError("a sheet needs a tile")
    sized = [_sized(tile, side) for tile in tiles]
    columns = min(columns, len(sized))
    width, height = (max(sizes) for sizes in zip(*(tile.size for tile in sized), strict=True))
    rows = -(-len(sized) // columns)
    pitch = width + _GAP, height + _GAP + _LABEL
    canvas = Image.new("RGB", (columns * pitch[0] + _GAP, rows * pitch[1] + _GAP), LIGHT["surface"])
    pen = ImageDraw.Draw(canvas)
    for index, (tile, label) in enumerate(zip(sized, labels, strict=True)):
        x, y = _GAP + index % columns * pitch[0], _GAP + index // columns * pitch[1]
        pen.text((x, y), label, fill=LIGHT["muted"], font=_font(11))
        canvas.paste(tile, (x, y + _LABEL))
    return canvas


def scale_bar(
    limit: float, unit: str, *, signed: bool, width: int = 480, ends: tuple[str, str] | None = None
) -> Image.Image:
    """The colours from one end to the other, with a number at each, and what they count.

    `ends` stand in place of the numbers where the picture shows something turned round.
    """
    low = -limit if signed else 0.0
    values = np.linspace(low, limit, 240)
    return _bar(coloured(values, limit, signed=signed), ends or (_number(low), _number(limit)), unit, width)


def heated(image: np.ndarray, heat: np.ndarray, unit: str) -> Image.Image:
    """The picture (H, W, 3) uint8 in grey, tinted where a map (H, W) in [0, 1] is high, over its scale."""
    height, width = image.shape[:2]
    nothing = np.zeros((0, 4)), np.zeros(0)
    picture = draw_boxes(image, *nothing, heat=heat, extent=(0, 0, width, height))
    grey, accent = np.array(rgb(_GREY)), np.array(rgb(LIGHT["accent"]))
    share = 0.75 * np.linspace(0, 1, 240)[:, None]  # as `draw_boxes` tints
    colours = ((1 - share) * grey + share * accent).round().astype(np.uint8)
    return stacked(picture, _bar(colours, ("0", "1"), unit, picture.width))


def _bar(colours: np.ndarray, ends: tuple[str, str], unit: str, width: int) -> Image.Image:
    """Colours (n, 3) between two numbers, and their unit; at least so wide that the text fits."""
    font, length = _font(12), min(240, max(width // 3, 96))
    low, high = (round(font.getlength(one)) for one in ends)
    start = _GAP + low + 6
    end = start + length + 7
    needed = end + high + 12 + math.ceil(font.getlength(unit)) + _GAP
    canvas = Image.new("RGB", (max(width, needed), 34), LIGHT["surface"])
    pen = ImageDraw.Draw(canvas)
    pen.rectangle((start - 1, 10, start + length, 23), outline=LIGHT["axis"])
    row = colours[np.linspace(0, len(colours) - 1, length).round().astype(int)]
    canvas.paste(Image.fromarray(row[None].repeat(12, axis=0)), (start, 11))
    for x, text, ink in ((_GAP, ends[0], "ink"), (end, ends[1], "ink"), (end + high + 12, unit, "muted")):
        pen.text((x, 10), text, fill=LIGHT[ink], font=font)
    return canvas


def stacked(*pictures: Image.Image) -> Image.Image:
    """Pictures below each other."""
    width = max(one.width for one in pictures)
    canvas = Image.new("RGB", (width, sum(one.height for one in pictures)), LIGHT["surface"])
    y = 0
    for one in pictures:
        canvas.paste(one, (0, y))
        y += one.height
    return canvas


def beside(*pictures: Image.Image, side: int = 144) -> Image.Image:
    """Small pictures next to each other, each enlarged or shrunk to about `side` pixels."""
    sized = [_sized(one, side) for one in pictures]
    width, height = sum(one.width for one in sized) + 3 * (len(sized) - 1), max(one.height for one in sized)
    canvas = Image.new("RGB", (width, height), LIGHT["surface"])
    x = 0
    for one in sized:
        canvas.paste(one, (x, 0))
        x += one.width + 3
    return canvas


def _sized(tile: Image.Image, side: int) -> Image.Image:
    """The tile at `side` pixels: enlarged, cells staying visible, or shrunk smoothly."""
    scale = side / max(tile.size)
    size = max(1, round(tile.width * scale)), max(1, round(tile.height * scale))
    return tile.resize(size, Resampling.LANCZOS if scale < 1 else Resampling.NEAREST)


def _number(value: float) -> str:
    """Two digits, with a minus that Pillow's own font has."""
    step = 10.0 ** math.floor(math.log10(abs(value))) / 10 if value else None
    return tick_label(value, step).replace("−", "-")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
