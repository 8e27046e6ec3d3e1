"""Boxes and labels on pictures, and pictures beside each other.

Small pictures are enlarged first, so that labels are legible; every coloured line runs between dark ones, so
that it shows on any background.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from PIL.Image import Resampling

from neocog.pictures.theme import LIGHT, MARK_INK, MARKS
from neocog.types import Detections, Objects

_LEAST_SIDE, _MOST_SIDE = 384, 1600  # pixels: enlarge to the first, never by enlarging beyond the second
_COVER = 0.15  # a label of which better ones would hide more than this part is left out

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Rectangle = tuple[int, int, int, int]  # x0 y0 x1 y1, half-open


class _Mark(NamedTuple):
    """One box, or one label, to draw in pixels of the picture as enlarged."""

    box: Rectangle
    text: str
    colour: str
    dashed: bool = False


def draw_detections(
    image: np.ndarray, detections: Detections, classes: Sequence[str], threshold: float = 0.5
) -> Image.Image:
    """The picture with a box, the class and the score of every detection of at least this score.

    Args:
        image: (H, W, 3) uint8 RGB.
        detections: boxes in pixels of `image`.
        classes: names of the classes; the colour follows the label.
    """
    kept = detections[detections.scores >= threshold].to(torch.device("cpu"))
    kept = kept[torch.argsort(kept.scores, descending=True, stable=True)]
    texts = [
        f"{_name(label, classes)} {score:.2f}"
        for label, score in zip(kept.labels.tolist(), kept.scores.tolist(), strict=True)
    ]
    return _drawn(image, kept.boxes, kept.labels, texts, [False] * len(kept))


def draw_objects(image: np.ndarray, objects: Objects, classes: Sequence[str]) -> Image.Image:
    """The picture (H, W, 3) uint8 RGB with a box and the class of every object; ignored ones are dashed."""
    objects = objects.to(torch.device("cpu"))
    texts = [_name(label, classes) for label in objects.labels.tolist()]
    return _drawn(image, objects.boxes, objects.labels, texts, objects.ignore.tolist())


def titled(picture: Image.Image, title: str) -> Image.Image:
    """The picture under one line of text, as much of it as fits."""
    size = 18
    canvas = Image.new("RGB", (picture.width, picture.height + size + 16), LIGHT["surface"])
    canvas.paste(picture, (0, size + 16))
    title = _printable(title)
    font = _font(size, title.isascii())
    text = _fitted(title, font, picture.width - 4)
    ImageDraw.Draw(canvas).text((2, 6), text, fill=LIGHT["ink"], font=font)
    return canvas


def side_by_side(left: Image.Image, right: Image.Image, titles: tuple[str, str]) -> Image.Image:
    """Two pictures under their titles, such as the truth beside the prediction."""
    first, second = titled(left, titles[0]), titled(right, titles[1])
    width, gap = first.width + second.width, 12
    canvas = Image.new("RGB", (width + gap, max(first.height, second.height)), LIGHT["surface"])
    canvas.paste(first, (0, 0))
    canvas.paste(second, (first.width + gap, 0))
    return canvas


def contact_sheet(images: Sequence[Image.Image], columns: int, tile: int = 480) -> Image.Image:
    """Pictures in rows of `columns`, each shrunk to at most `tile` pixels a side.

    Raises ValueError without a picture or a column.
    """
    if not images or columns < 1:
        raise ValueError(f"a contact sheet needs a picture and a column, got {len(images)} and {columns}")
    gap = 12
    small = [shrunk(image, tile) for image in images]
    columns = min(columns, len(small))
    width = max(image.width for image in small) + gap
    rows = [small[i : i + columns] for i in range(0, len(small), columns)]
    heights = [max(image.height for image in row) + gap for row in rows]
    sheet = Image.new("RGB", (columns * width + gap, sum(heights) + gap), LIGHT["surface"])
    for index, row in enumerate(rows):
        for column, image in enumerate(row):
            sheet.paste(image, (gap + column * width, gap + sum(heights[:index])))
    return sheet


def class_colour(label: int) -> str:
    """The colour of a class, `#rrggbb`; after eight classes the colours repeat."""
    return MARKS[label % len(MARKS)]


def _name(label: int, classes: Sequence[str]) -> str:
    return classes[label] if label < len(classes) else f"class {label}"


def _drawn(
    image: np.ndarray, boxes: torch.Tensor, labels: torch.Tensor, texts: list[str], dashed: list[bool]
) -> Image.Image:
    """The picture with these boxes, the first on top."""
    canvas, scale = enlarged(image)
    marks = []
    for box, label, text, dash in zip(boxes.tolist(), labels.tolist(), texts, dashed, strict=True):
        place = _on_canvas(box, scale, canvas.size)
        if place is not None:
            marks.append(_Mark(place, text, class_colour(label), dash))
    side = min(canvas.size)
    width, size = max(2, round(side / 280)), min(max(13, round(side / 30)), 40)
    pen = ImageDraw.Draw(canvas)
    for mark in reversed(marks):
        _box(pen, mark, width)
    for label in reversed(_labels(marks, size, canvas.size)):
        pen.rectangle(
            (label.box[0], label.box[1], label.box[2] - 1, label.box[3] - 1), label.colour, MARK_INK
        )
        middle = label.box[0] + _pad(size), (label.box[1] + label.box[3]) / 2
        pen.text(middle, label.text, fill=MARK_INK, font=_font(size, label.text.isascii()), anchor="lm")
    return canvas


def enlarged(image: np.ndarray) -> tuple[Image.Image, int]:
    """The picture and the whole number it was enlarged by: pixels stay visible in tiny ones."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    height, width = image.shape[:2]
    scale = min(math.ceil(_LEAST_SIDE / min(height, width)), max(1, _MOST_SIDE // max(height, width)))
    if scale == 1:
        return picture, 1
    way = Resampling.NEAREST if scale >= 4 else Resampling.BICUBIC
    return picture.resize((width * scale, height * scale), way), scale


def _on_canvas(box: Sequence[float], scale: int, size: tuple[int, int]) -> Rectangle | None:
    """The box in whole pixels of the canvas, at least one a side; None if no part of it is there."""
    width, height = size
    if not all(map(math.isfinite, box)):
        return None
    x0, y0, x1, y1 = (value * scale for value in box)
    if x1 < 0 or y1 < 0 or x0 > width or y0 > height or x1 < x0 or y1 < y0:
        return None
    left, top = min(max(round(x0), 0), width - 1), min(max(round(y0), 0), height - 1)
    return left, top, max(min(round(x1), width), left + 1), max(min(round(y1), height), top + 1)


def _box(pen: ImageDraw.ImageDraw, mark: _Mark, width: int) -> None:
    """A frame just inside the box: colour between two thin dark lines."""
    x0, y0, x1, y1 = mark.box
    _frame(pen, (x0 - 1, y0 - 1, x1 + 1, y1 + 1), width + 2, MARK_INK)
    if not mark.dashed:
        _frame(pen, mark.box, width, mark.colour)
        return
    dash = 4 * width
    for start in range(x0, x1, 2 * dash):
        for y in (y0, max(y0, y1 - width)):
            pen.rectangle((start, y, min(start + dash, x1) - 1, min(y + width, y1) - 1), fill=mark.colour)
    for start in range(y0, y1, 2 * dash):
        for x in (x0, max(x0, x1 - width)):
            pen.rectangle((x, start, min(x + width, x1) - 1, min(start + dash, y1) - 1), fill=mark.colour)


def _frame(pen: ImageDraw.ImageDraw, box: Rectangle, width: int, colour: str) -> None:
    x0, y0, x1, y1 = box
    width = max(1, min(width, (x1 - x0 + 1) // 2, (y1 - y0 + 1) // 2))
    pen.rectangle((x0, y0, x1 - 1, y1 - 1), outline=colour, width=width)


def _pad(size: int) -> int:
    """Pixels around the text of a label."""
    return max(2, size // 5)


def _labels(marks: Sequence[_Mark], size: int, canvas: tuple[int, int]) -> list[_Mark]:
    """The marks' labels in their order, each where it covers least of those before; a few find no place."""
    placed: list[_Mark] = []
    for mark in marks:
        text = _printable(mark.text)
        font = _font(size, text.isascii())
        text = _fitted(text, font, canvas[0] - 2 * _pad(size))
        width, height = math.ceil(font.getlength(text)) + 2 * _pad(size), size + 2 * _pad(size)
        if not text or width > canvas[0] or height > canvas[1]:
            continue
        places = _places(mark.box, (width, height), canvas)
        covered = [sum(_shared(place, other.box) for other in placed) for place in places]
        best = min(range(len(places)), key=covered.__getitem__)
        if covered[best] <= _COVER * width * height:
            placed.append(mark._replace(box=places[best], text=text))
    return placed


def _places(box: Rectangle, size: tuple[int, int], canvas: tuple[int, int]) -> list[Rectangle]:
    """Places for a label at a box, all within the canvas, the best liked first: above, below, inside."""
    (x0, y0, x1, y1), (width, height) = box, size
    rows = [y0 - height + 1, y1 - 1, y0, y1 - height]
    if rows[0] < 0:
        rows = [y0, y1 - 1, y1 - height]
    corners = [(x, y) for y in rows for x in (x0, x1 - width)]
    inside = [(min(max(x, 0), canvas[0] - width), min(max(y, 0), canvas[1] - height)) for x, y in corners]
    return [(x, y, x + width, y + height) for x, y in inside]


def _shared(a: Rectangle, b: Rectangle) -> int:
    """Pixels in both rectangles."""
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def _printable(text: str) -> str:
    """The text on one line, without what a font cannot set."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _fitted(text: str, font: Font, width: float) -> str:
    """The text, or as much of it as the width holds."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..." if text else ""


def font_for(text: str, size: int) -> Font:
    """A font of so many pixels that has the letters of the text."""
    return _font(size, text.isascii())


@lru_cache
def _font(size: int, ascii_only: bool) -> Font:
    """Pillow's own font; it has ASCII alone, so other scripts get the one that matplotlib brings."""
    if not ascii_only and (matplotlib := find_spec("matplotlib")) and matplotlib.origin:
        file = Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if file.is_file():
            return ImageFont.truetype(str(file), size, layout_engine=ImageFont.Layout.BASIC)
    return ImageFont.load_default(size)


def shrunk(image: Image.Image, side: int) -> Image.Image:
    """A copy of at most `side` pixels a side."""
    copy = image.convert("RGB")
    copy.thumbnail((side, side), Resampling.LANCZOS)
    return copy
