"""Answers that are not a list of boxes, on their pictures: a label, one object, a class for every pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw

from neocog.pictures.draw import (
    class_colour,
    draw_detections,
    enlarged,
    font_for,
    side_by_side,
    titled,
)
from neocog.pictures.theme import LIGHT, MARK_INK, rgb
from neocog.types import IGNORED_PIXEL, Detections, Localization

_OVER = 0.55
"""How much of a pixel is its class's colour."""


def draw_class(image: np.ndarray, text: str) -> Image.Image:
    """The picture (H, W, 3) uint8 RGB under one line of text."""
    return titled(enlarged(image)[0], text)


def draw_localization(image: np.ndarray, answer: Localization, classes: Sequence[str]) -> Image.Image:
    """The picture with the box, the class and the score of its one object."""
    label = torch.tensor([answer.label])
    found = Detections(answer.box[None], answer.scores[label], label)
    return draw_detections(image, found, classes, threshold=0.0)


def draw_rendered(image: np.ndarray, rendered: np.ndarray) -> Image.Image:
    """The picture (H, W, 3) uint8 RGB beside one (h, w, 3) in [0, 1] that was made of its code."""
    made = (rendered.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return side_by_side(enlarged(image)[0], enlarged(made)[0], ("picture", "made of its code"))


def draw_mask(image: np.ndarray, mask: np.ndarray, classes: Sequence[str]) -> Image.Image:
    """The picture with every class in its colour over it, dark lines between them, and a legend below.

    Class 0 stays clear where it is called background; ignored pixels are hatched grey.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8 class of each pixel, 255 ignored.
        classes: names of the classes; the colour follows the label.
    """
    canvas, scale = enlarged(image)
    large = np.repeat(np.repeat(mask, scale, axis=0), scale, axis=1)
    clear = {0} if classes and classes[0] == "background" else set()
    there = [label for label in np.unique(mask).tolist() if label not in clear]
    pixels = np.asarray(canvas, dtype=np.float32)
    for label in there:
        where = large == label
        pixels[where] = (1 - _OVER) * pixels[where] + _OVER * np.array(_colour(label), np.float32)
    stripes = np.add.outer(np.arange(large.shape[0]), np.arange(large.shape[1])) % 8 < 2
    pixels[(large == IGNORED_PIXEL) & stripes] = 40
    pixels[_boundaries(large, max(1, scale // 2))] = rgb(MARK_INK)
    drawn = Image.fromarray(pixels.round().astype(np.uint8))
    return _with_legend(drawn, [(_title(label, classes), _colour(label)) for label in there])


def _title(label: int, classes: Sequence[str]) -> str:
    if label == IGNORED_PIXEL:
        return "ignored"
    return classes[label] if label < len(classes) else f"class {label}"


def _colour(label: int) -> tuple[int, int, int]:
    return (128, 128, 128) if label == IGNORED_PIXEL else rgb(class_colour(label))


def _boundaries(mask: np.ndarray, width: int) -> np.ndarray:
    """Pixels (H, W) bool that have another class within `width` pixels to the right or below."""
    line = np.zeros(mask.shape, bool)
    for step in range(1, width + 1):
        line[:, :-step] |= mask[:, :-step] != mask[:, step:]
        line[:-step] |= mask[:-step] != mask[step:]
    return line


def _with_legend(picture: Image.Image, entries: Sequence[tuple[str, tuple[int, int, int]]]) -> Image.Image:
    """The picture above the names of its colours, in as many rows as they need."""
    if not entries:
        return picture
    size, gap = 16, 10
    places: list[tuple[int, int]] = []
    x, row = gap, 0
    fonts = [font_for(name, size) for name, _ in entries]
    for (name, _), font in zip(entries, fonts, strict=True):
        width = size + 6 + round(font.getlength(name)) + 2 * gap
        if x > gap and x + width > picture.width:
            x, row = gap, row + 1
        places.append((x, row))
        x += width
    high = size + gap
    canvas = Image.new("RGB", (picture.width, picture.height + gap + (row + 1) * high), LIGHT["surface"])
    canvas.paste(picture, (0, 0))
    pen = ImageDraw.Draw(canvas)
    for (name, colour), font, (left, line) in zip(entries, fonts, places, strict=True):
        top = picture.height + gap + line * high
        pen.rectangle((left, top, left + size - 1, top + size - 1), fill=colour, outline=MARK_INK)
        pen.text((left + size + 6, top + size / 2), name, fill=LIGHT["ink"], font=font, anchor="lm")
    return canvas
