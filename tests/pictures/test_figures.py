"""Every figure: drawn from the library's numbers, whole, readable, the same each time."""

from __future__ import annotations

import io
import sys
import xml.etree.ElementTree as ElementTree
from functools import cache, partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.references.figures import detection, networks, photographs, signals
from tests.references.figures.layout import require_legible

from neocog.pictures.figure import FORMATS, MARGIN, Figure, Moving, Still
from neocog.pictures.figures import FIGURES

CHECKS = {**signals.CHECKS, **photographs.CHECKS, **networks.CHECKS, **detection.CHECKS}


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
        require_legible(one)


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
    parser.handle_starttag = lambda tag, attributes: seen.append((tag, dict(attributes)))  # type: ignore[method-assign,assignment]
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
