"""Pixels of what our SVG writer draws: for PNG files and for the frames of a GIF.

It knows the elements of `svg.py`, moves (`transform="translate(x y)"`), and of CSS what `axes.CLASSES`
and `style` attributes say, with colours of the light theme. Text is set in DejaVu Sans.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageColor, ImageDraw, ImageFont
from PIL.Image import Resampling

from neocog.pictures.axes import CLASSES, SIZE
from neocog.pictures.svg import Element
from neocog.pictures.theme import LIGHT, SERIES_LIGHT

FINER = 3  # pixels a side that are averaged into one
Properties = dict[str, str]
_COLOURS = {**LIGHT, **{f"series-{i}": colour for i, colour in enumerate(SERIES_LIGHT)}}
_OF_TEXT = {"fill": LIGHT["ink"]}
_INHERITED = ("fill", "stroke", "stroke-width", "font-size", "font-weight", "text-anchor", "stroke-dasharray")


def rasterize(children: Iterable[Element], width: float, height: float, scale: float = 2) -> Image.Image:
    """The elements of a document of this size in CSS pixels as an RGB picture, `scale` pixels to each."""
    fine = scale * FINER
    canvas = Image.new("RGB", (round(width * fine), round(height * fine)), LIGHT["surface"])
    painter = _Painter(canvas, fine)
    for child in children:
        painter.paint(child, (0.0, 0.0), {})
    return canvas.resize((round(width * scale), round(height * scale)), Resampling.BOX)


class _Painter:
    def __init__(self, canvas: Image.Image, scale: float) -> None:
        self.canvas, self.scale = canvas, scale

    def paint(self, element: Element, origin: tuple[float, float], inherited: Properties) -> None:
        """Draw the element, whose own coordinates begin at `origin`, and what it holds."""
        own = _properties(element)
        look = {**(_OF_TEXT if element.tag == "text" else {}), **inherited, **own}
        if moved := re.fullmatch(r"translate\(([-\d.]+)[ ,]+([-\d.]+)\)", own.get("transform", "")):
            origin = origin[0] + float(moved[1]), origin[1] + float(moved[2])
        if element.tag == "g":
            passed = {name: look[name] for name in _INHERITED if name in look}
            passed["opacity"] = str(float(inherited.get("opacity", 1)) * float(own.get("opacity", 1)))
            for child in element.children:
                if isinstance(child, Element):
                    self.paint(child, origin, passed)
            return
        opacity = float(inherited.get("opacity", 1)) * float(own.get("opacity", 1))
        if opacity >= 1:
            self._draw(element, origin, look)
        elif opacity > 0:
            below = self.canvas.copy()
            self._draw(element, origin, look)
            self.canvas.paste(Image.blend(below, self.canvas, opacity))

    def _draw(self, element: Element, origin: tuple[float, float], look: Properties) -> None:
        pen = ImageDraw.Draw(self.canvas)
        at = {name: float(look.get(name, 0)) * self.scale for name in _LENGTHS}
        dx, dy = origin[0] * self.scale, origin[1] * self.scale
        fill, stroke = _colour(look.get("fill", "#000000")), _colour(look.get("stroke", "none"))
        wide = max(1, round(float(look.get("stroke-width", 1)) * self.scale)) if stroke else 0
        dash = [float(one) * self.scale for one in look.get("stroke-dasharray", "").split()]
        if element.tag == "rect":
            x0, y0 = dx + at["x"], dy + at["y"]
            x1, y1 = x0 + at["width"], y0 + at["height"]
            radius = at["rx"]
            if fill and x1 > x0 and y1 > y0:
                pen.rounded_rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), radius, fill=fill)
            if stroke and dash:
                corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
                _stroke(pen, corners, stroke, wide, dash)
            elif stroke:
                half = wide / 2  # SVG strokes the middle of the edge, Pillow its inside
                pen.rounded_rectangle(
                    (x0 - half, y0 - half, x1 + half - 1, y1 + half - 1),
                    radius and radius + half,
                    outline=stroke,
                    width=wide,
                )
        elif element.tag == "line":
            ends = [(dx + at["x1"], dy + at["y1"]), (dx + at["x2"], dy + at["y2"])]
            _stroke(pen, ends, stroke, wide, dash)
        elif element.tag == "circle":
            x, y, radius = dx + at["cx"], dy + at["cy"], at["r"] + wide / 2
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill, stroke, wide)
        elif element.tag == "path":
            for run in _runs(look["d"]):
                points = [(dx + x * self.scale, dy + y * self.scale) for x, y in run]
                if fill and len(points) > 2:
                    pen.polygon(points, fill)
                _stroke(pen, points, stroke, wide, dash)
        elif element.tag == "text":
            size = float(look.get("font-size", str(SIZE)).removesuffix("px")) * self.scale
            bold = look.get("font-weight", "400") in ("600", "700", "bold")
            anchor = {"start": "ls", "middle": "ms", "end": "rs"}[look.get("text-anchor", "start")]
            content = "".join(child for child in element.children if isinstance(child, str))
            edge = {"stroke_fill": stroke, "stroke_width": wide // 2} if stroke else {}
            pen.text((dx + at["x"], dy + at["y"]), content, fill, _font(size, bold), anchor, **edge)  # type: ignore[arg-type]
        elif element.tag == "image":
            inside = Image.open(io.BytesIO(base64.b64decode(look["href"].partition(",")[2]))).convert("RGB")
            smooth = "pixelated" not in look.get("image-rendering", "")
            box = max(1, round(at["width"])), max(1, round(at["height"]))
            sized = inside.resize(box, Resampling.LANCZOS if smooth else Resampling.NEAREST)
            self.canvas.paste(sized, (round(dx + at["x"]), round(dy + at["y"])))
        else:
            raise ValueError(f"<{element.tag}> is not drawn as pixels")


_LENGTHS = ("x", "y", "width", "height", "rx", "x1", "y1", "x2", "y2", "cx", "cy", "r")


def _properties(element: Element) -> Properties:
    """Attributes, under them what its classes say, and over them what its style says."""
    own = {name: str(value) for name, value in element.attributes.items() if value is not None}
    classes = [CLASSES[name] for name in own.pop("class", "").split()]
    style = {
        name.strip(): value.strip()
        for name, _, value in (one.partition(":") for one in own.pop("style", "").split(";") if one)
    }
    return {name: value for part in (own, *classes, style) for name, value in part.items()}


def _colour(value: str) -> tuple[int, ...] | None:
    if named := re.fullmatch(r"var\(--([\w-]+)\)", value):
        value = _COLOURS[named[1]]
    return None if value == "none" else ImageColor.getrgb(value)


def _runs(steps: str) -> list[list[tuple[float, float]]]:
    """The points of each run of a path that `svg.path` wrote."""
    runs = []
    for run in filter(None, steps.split("M")):
        points = [
            (float(x), float(y)) for x, _, y in (one.partition(" ") for one in run.rstrip("Z").split("L"))
        ]
        runs.append([*points, points[0]] if run.endswith("Z") else points)
    return runs


def _stroke(
    pen: ImageDraw.ImageDraw,
    points: list[tuple[float, float]],
    colour: tuple[int, ...] | None,
    wide: int,
    dash: list[float],
) -> None:
    if colour is None:
        return
    if not dash:
        pen.line(points, colour, wide, "curve")
        return
    drawn, left, which = True, dash[0], 0
    for (x0, y0), (x1, y1) in pairwise(points):
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        done = 0.0
        while done < length:
            take = min(left, length - done)
            if drawn:
                a, b = done / length, (done + take) / length
                ends = [(x0 + (x1 - x0) * part, y0 + (y1 - y0) * part) for part in (a, b)]
                pen.line(ends, colour, wide)
            done, left = done + take, left - take
            if left <= 0:
                which = (which + 1) % len(dash)
                drawn, left = not drawn, dash[which]


@lru_cache
def _font(size: float, bold: bool) -> ImageFont.FreeTypeFont:
    """From what matplotlib brings."""
    found = find_spec("matplotlib")
    assert found is not None
    assert found.origin is not None
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    file = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / name
    return ImageFont.truetype(str(file), size, layout_engine=ImageFont.Layout.BASIC)
