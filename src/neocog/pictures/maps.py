"""Maps of numbers as pictures: a neutral colour for 0, one accent for what is active, a scale with a unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.Image import Resampling

from neocog.pictures.axes import tick_label
from neocog.pictures.stages import draw_boxes
from neocog.pictures.theme import LIGHT

PLAIN = ("#f4f5f5", "#b9cbef", "#6f93df", "#2456c8", "#0f245c")
"""From 0 to the largest value: quiet to the accent, and darker."""

SIGNED = ("#6d2c05", "#c2570c", "#f0a565", "#f4f5f5", "#8fabe6", "#2456c8", "#0f245c")
"""From the negative end to the positive one; 0 is neutral."""

_GAP, _LABEL = 6, 15  # pixels between tiles; height of a tile's label


def coloured(values: np.ndarray, limit: float, *, signed: bool) -> np.ndarray:
    """Values (...) as colours (..., 3) uint8: from 0, or where they are `signed` from -limit, to limit."""
    share = values / limit if limit > 0 else np.zeros_like(values)
    share = (share.clip(-1, 1) + 1) / 2 if signed else share.clip(0, 1)
    anchors = np.array([_rgb(one) for one in (SIGNED if signed else PLAIN)])
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


def scale_bar(limit: float, unit: str, *, signed: bool, width: int = 480) -> Image.Image:
    """The colours from one end to the other, with numbers at 0 and the ends, and what they count."""
    room, bar = 34, min(240, max(width // 3, 96))
    font = _font(12)
    low = -limit if signed else 0.0
    ends = (
        [(low, _number(low)), (0.0, "0"), (limit, _number(limit))]
        if signed
        else [(0.0, "0"), (limit, _number(limit))]
    )
    left = _GAP
    first, last = font.getlength(ends[0][1]), font.getlength(ends[-1][1])
    needed = left + first + 6 + bar + 6 + last + 12 + font.getlength(unit) + _GAP
    canvas = Image.new("RGB", (max(width, int(needed) + 1), room), LIGHT["surface"])
    pen = ImageDraw.Draw(canvas)
    pen.text((left, 10), ends[0][1], fill=LIGHT["ink"], font=font)
    start = round(left + first + 6)
    values = np.linspace(low, limit, bar)[None].repeat(12, axis=0)
    canvas.paste(Image.fromarray(coloured(values, limit, signed=signed)), (start, 11))
    pen.rectangle((start - 1, 10, start + bar, 23), outline=LIGHT["axis"])
    if signed:
        pen.line((start + bar // 2, 24, start + bar // 2, 27), fill=LIGHT["axis"])
    pen.text((start + bar + 6, 10), ends[-1][1], fill=LIGHT["ink"], font=font)
    pen.text((start + bar + 6 + last + 12, 10), unit, fill=LIGHT["muted"], font=font)
    return canvas


def heated(image: np.ndarray, heat: np.ndarray, unit: str) -> Image.Image:
    """The picture (H, W, 3) uint8 in grey, tinted where a map (H, W) in [0, 1] is high, over its scale."""
    height, width = image.shape[:2]
    nothing = np.zeros((0, 4)), np.zeros(0)
    picture = draw_boxes(image, *nothing, heat=heat, extent=(0, 0, width, height))
    return stacked(picture, tint_bar(unit, picture.width))


def tint_bar(unit: str, width: int) -> Image.Image:
    """The scale of `heated`: grey to the accent, 0 to 1."""
    font, bar = _font(12), min(240, max(width // 3, 96))
    end = font.getlength("1")
    needed = _GAP + 14 + bar + 6 + end + 12 + font.getlength(unit) + _GAP
    canvas = Image.new("RGB", (max(width, int(needed) + 1), 34), LIGHT["surface"])
    pen = ImageDraw.Draw(canvas)
    pen.text((_GAP, 10), "0", fill=LIGHT["ink"], font=font)
    share = np.linspace(0, 1, bar)[None, :, None].repeat(12, axis=0)
    grey, accent = (
        np.array(_rgb("#a6a9ac")),
        np.array(_rgb("#a6a9ac")) * 0.25 + np.array(_rgb(LIGHT["accent"])) * 0.75,
    )
    canvas.paste(Image.fromarray((grey + share * (accent - grey)).round().astype(np.uint8)), (_GAP + 14, 11))
    pen.text((_GAP + 14 + bar + 6, 10), "1", fill=LIGHT["ink"], font=font)
    pen.text((_GAP + 14 + bar + 6 + end + 12, 10), unit, fill=LIGHT["muted"], font=font)
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
    longer = max(tile.size)
    if longer > side:
        scale = side / longer
        return tile.resize(
            (max(1, round(tile.width * scale)), max(1, round(tile.height * scale))), Resampling.LANCZOS
        )
    scale = side / longer
    size = max(1, round(tile.width * scale)), max(1, round(tile.height * scale))
    return tile.resize(size, Resampling.NEAREST)


def _number(value: float) -> str:
    size = abs(value)
    return tick_label(value, 10.0 ** np.floor(np.log10(size)) / 10 if size > 0 else None).replace("−", "-")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return red, green, blue
