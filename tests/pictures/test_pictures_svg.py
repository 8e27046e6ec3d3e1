"""The SVG writer and the theme: well-formed whatever the text, honest about widths and contrasts."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from neocog.pictures import svg, theme

NAMESPACE = "{http://www.w3.org/2000/svg}"


@given(st.text(), st.text())
def test_any_text_is_well_formed_and_comes_back(content: str, value: str) -> None:
    markup = svg.document(10, 10, [svg.text(1, 2, content, class_=value)], label=content)
    root = ElementTree.fromstring(markup.encode())
    assert root.tag == f"{NAMESPACE}svg"
    found = root.find(f"{NAMESPACE}text")
    assert found is not None
    allowed = "".join(
        c if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff") else "\ufffd" for c in content
    )
    assert (found.text or "") == allowed.replace("\r\n", "\n").replace("\r", "\n")


def test_script_in_text_or_attribute_stays_text() -> None:
    markup = svg.document(1, 1, [svg.text(0, 0, "<script>", fill='"><script>')], label="</svg><script>")
    assert "<script>" not in markup
    assert ElementTree.fromstring(markup).get("aria-label") == "</svg><script>"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (-0.001, "0"),
        (1.0, "1"),
        (100.0, "100"),
        (1.005, "1"),
        (-2.5, "-2.5"),
        (0.126, "0.13"),
    ],
)
def test_numbers_are_short(value: float, written: str) -> None:
    assert svg.number(value) == written


def test_elements_by_hand() -> None:
    assert str(svg.rect(1, 2, 3, 4.5, class_="a")) == '<rect x="1" y="2" width="3" height="4.5" class="a"/>'
    assert (
        str(svg.line((0, 1), (2, 3), stroke_width=2))
        == '<line x1="0" y1="1" x2="2" y2="3" stroke-width="2"/>'
    )
    assert str(svg.path([[(0, 0), (1, 2)], [], [(3, 3), (4, 4)]])) == '<path d="M0 0L1 2M3 3L4 4"/>'
    assert str(svg.path([[(0, 0), (1, 2)]], closed=True)) == '<path d="M0 0L1 2Z"/>'
    assert str(svg.group(svg.circle((1, 1), 2), opacity=None)) == '<g><circle cx="1" cy="1" r="2"/></g>'
    assert (
        str(svg.tip(svg.circle((1, 1), 2), "a&b"))
        == '<circle cx="1" cy="1" r="2"><title>a&amp;b</title></circle>'
    )


@pytest.mark.parametrize(
    "content",
    [
        "average precision (VOC)",
        "red blood cell",
        "Faster R-CNN",
        "0.123",
        "1,234,567",
        "a class of its own",
        "WMMW",
    ],
)
def test_width_is_that_of_dejavu_sans_within_a_seventh(content: str) -> None:
    matplotlib = find_spec("matplotlib")
    assert matplotlib is not None and matplotlib.origin is not None
    font = ImageFont.truetype(str(Path(matplotlib.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"), 100)
    assert svg.text_width(content, 100) == pytest.approx(font.getlength(content), rel=1 / 7)


def linear(colour: str) -> np.ndarray:
    """The linear light of an sRGB colour (IEC 61966-2-1)."""
    encoded = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    """WCAG 2.2 contrast ratio."""
    dark, light = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (a, b))
    return (light + 0.05) / (dark + 0.05)


# Machado, Oliveira and Fernandes 2009, severity 1.0; on linear light.
SIGHT = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def oklab(light: np.ndarray) -> np.ndarray:
    """B. Ottosson, "A perceptual color space for image processing", 2020."""
    to_cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return np.cbrt(np.clip(light, 0, 1) @ to_cones.T) @ to_lab.T


@pytest.mark.parametrize("palette", [theme.SERIES_LIGHT, theme.SERIES_DARK, theme.MARKS])
@pytest.mark.parametrize("sight", SIGHT)
def test_any_two_colours_differ_for_every_kind_of_sight(palette: tuple[str, ...], sight: str) -> None:
    """Okabe and Ito's palette, the usual one, has 0.15 for normal sight and 0.076 for the others."""
    seen = oklab(np.array([linear(colour) for colour in palette]) @ SIGHT[sight].T)
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    assert apart[np.triu_indices(len(palette), 1)].min() >= (0.15 if sight == "normal" else 0.07)


@pytest.mark.parametrize(
    ("colours", "series"), [(theme.LIGHT, theme.SERIES_LIGHT), (theme.DARK, theme.SERIES_DARK)]
)
def test_contrasts_meet_wcag(colours: dict[str, str], series: tuple[str, ...]) -> None:
    assert all(contrast(colours[name], colours["surface"]) >= 4.5 for name in ("ink", "muted", "accent"))
    assert all(contrast(colour, colours["surface"]) >= 3 for colour in series)
    assert all(contrast(colour, theme.MARK_INK) >= 6 for colour in theme.MARKS)
