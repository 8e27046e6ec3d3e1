"""Every figure: drawn from the library's numbers, whole, readable, the same each time."""

from __future__ import annotations

import io
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from functools import cache, partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.references.figures import detection, signals

from neocog.pictures.axes import SIZE
from neocog.pictures.figure import FORMATS, MARGIN, Figure, Moving, Still
from neocog.pictures.figures import FIGURES
from neocog.pictures.svg import Element, text_width

CHECKS = {**signals.CHECKS, **detection.CHECKS}


@cache
def drawn(name: str) -> Figure:
    return FIGURES[name].draw()


def stills(figure: Figure) -> list[Still]:
    """A few frames of a moving figure, the first and the last among them."""
    if isinstance(figure, Still):
        return [figure]
    return [figure.frame(i) for i in sorted({0, len(figure.frames) // 2, len(figure.frames) - 1})]


def test_every_figure_is_checked() -> None:
    assert set(CHECKS) == set(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_its_numbers_are_right(name: str) -> None:
    figure = drawn(name)
    assert figure.name == name
    CHECKS[name].holds(figure)


@pytest.mark.parametrize("name", FIGURES)
def test_a_wrong_operator_changes_the_picture_and_fails_its_check(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, before = CHECKS[name], drawn(name)
    module = sys.modules[FIGURES[name].draw.__module__]
    for function in check.computed_by:
        with monkeypatch.context() as wrong:
            wrong.setattr(module, function, _spoilt(getattr(module, function), check.spoil))
            after = FIGURES[name].draw()
        assert [one.svg for one in stills(after)] != [one.svg for one in stills(before)]
        with pytest.raises(AssertionError):
            check.holds(after)


def _spoilt(function: Any, spoil: Any) -> Any:
    def wrong(*given: Any, **named: Any) -> Any:
        return spoil(function(*given, **named))

    return wrong


@pytest.mark.parametrize("name", FIGURES)
def test_it_is_well_formed_described_and_the_same_again(name: str) -> None:
    figure = drawn(name)
    for one, again in zip(stills(figure), stills(FIGURES[name].draw()), strict=True):
        assert one.svg == again.svg
        root = ElementTree.fromstring(one.svg)
        assert root.get("aria-label") == figure.alt
    assert len(figure.alt.split()) >= 12, "say what is to be seen"
    assert figure.width <= 960, "wider than a page"


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_leaves_it_or_lies_on_another(name: str) -> None:
    for one in stills(drawn(name)):
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


@pytest.mark.parametrize("name", FIGURES)
def test_it_saves_itself_in_every_format(name: str, tmp_path: Path) -> None:
    figure = drawn(name)
    kinds = FORMATS if isinstance(figure, Moving) else ("svg", "png")
    written = figure.save(tmp_path, FORMATS)
    assert [path.name for path in written] == [f"{name}.{kind}" for kind in kinds]
    last = stills(figure)[-1]
    assert (tmp_path / f"{name}.svg").read_text(encoding="utf-8") == last.svg
    with Image.open(tmp_path / f"{name}.png") as picture:
        assert picture.size == tuple(round(2 * side) for side in last.size)
        assert len(picture.convert("RGB").getcolors(2**24) or ()) > 8
    if isinstance(figure, Moving):
        with Image.open(io.BytesIO((tmp_path / f"{name}.gif").read_bytes())) as moving:
            assert getattr(moving, "n_frames", 1) == len(figure.frames)


def test_figures_show_themselves_in_notebooks() -> None:
    still, moving = drawn("pulse-smoothing"), drawn("binary-image")
    assert isinstance(still, Still)
    assert still._repr_svg_() == still.svg
    assert isinstance(moving, Moving)
    seen = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: seen.append((tag, dict(attributes)))  # type: ignore[method-assign]
    parser.feed(moving._repr_html_())
    (found,) = seen
    assert found[0] == "iframe"
    assert found[1]["srcdoc"] == moving.html


def test_moving_figures_refuse_frames_without_captions() -> None:
    make = partial(Moving, "x", "alt", 10, 10, [])
    with pytest.raises(ValueError, match="1 frames with 0 captions"):
        make([[]], [], {})
    with pytest.raises(ValueError, match="0 frames"):
        make([], [], {})


def test_pixels_agree_with_the_svg_that_they_are_drawn_from() -> None:
    """Where a cell is filled, the raster has its colour; where nothing is, the surface."""
    still = drawn("binary-image")
    assert isinstance(still, Moving)
    picture = np.asarray(still.frame(-1).image(1))
    root = ElementTree.fromstring(still.frame(-1).svg)
    filled = [e for e in root.iter("{http://www.w3.org/2000/svg}rect") if "fill:#" in e.get("style", "")]
    assert len(filled) == 25 + 9 + 9
    for one in filled:
        x, y = (float(one.get(name, 0)) + MARGIN for name in ("x", "y"))
        colour = one.get("style", "").split("fill:")[1].split(";")[0]
        # Near the corner, away from the number and from frames.
        assert "#{:02x}{:02x}{:02x}".format(*picture[int(y) + 4, int(x) + 5]) == colour
