"""Where the text of a figure lies, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from neocog.pictures.axes import SIZE
from neocog.pictures.figure import MARGIN, Still
from neocog.pictures.svg import Element, text_width


def require_legible(one: Still) -> None:
    """AssertionError where a line of text leaves the figure or lies on another."""
    texts = list(_texts(one.children, 0, 0, {}))
    for content, x0, y0, x1, y1 in texts:
        assert x0 >= -MARGIN, content
        assert y0 >= -MARGIN, content
        assert x1 <= one.width + MARGIN, content
        assert y1 <= one.height + MARGIN, content
    for i, (content, x0, y0, x1, y1) in enumerate(texts):
        for other, u0, v0, u1, v1 in texts[i + 1 :]:
            wide, high = min(x1, u1) - max(x0, u0), min(y1, v1) - max(y0, v0)
            assert wide <= 4 or high <= 4, f"{content!r} and {other!r} overlap"


def _texts(
    children: Any, dx: float, dy: float, inherited: dict[str, str]
) -> Iterator[tuple[str, float, float, float, float]]:
    """Every line of text with the box that it needs, in a wide font, in pixels of the figure."""
    for child in children:
        if not isinstance(child, Element):
            continue
        own = {name: str(value) for name, value in child.attributes.items() if value is not None}
        look = {**inherited, **own}
        if child.tag == "text":
            content = "".join(map(str, child.children))
            size = {"title": 15.0, "small": 11.5}.get(own.get("class", ""), float(SIZE))
            if "font-size:" in own.get("style", ""):
                size = float(own["style"].split("font-size:")[1].split("px")[0])
            wide = text_width(content, size) * (1.08 if "title" in own.get("class", "") else 1)
            share = {"middle": 0.5, "end": 1.0}.get(look.get("text-anchor", ""), 0.0)
            x, y = dx + float(own["x"]) - share * wide, dy + float(own["y"])
            yield content, x, y - 0.75 * size, x + wide, y + 0.2 * size
        elif child.tag == "g":
            move = own.pop("transform", "translate(0 0)").removeprefix("translate(").removesuffix(")").split()
            passed = {**inherited, **{k: v for k, v in own.items() if k == "text-anchor"}}
            yield from _texts(child.children, dx + float(move[0]), dy + float(move[1]), passed)
