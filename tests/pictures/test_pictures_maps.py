"""Maps of numbers as colours: zero is neutral, order is kept, ends are named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor

from neocog.pictures.maps import (
    PLAIN,
    SIGNED,
    beside,
    coloured,
    heated,
    map_sheet,
    scale_bar,
    signed_rgb,
    stacked,
    tile_sheet,
)


def lightness(colours: np.ndarray) -> np.ndarray:
    """CIE L* of colours (..., 3) uint8."""
    linear = np.where(colours <= 10, colours / 255 / 12.92, ((colours / 255 + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    light: np.ndarray = 116 * np.cbrt(luminance) - 16
    return light


def test_zero_is_neutral_and_the_ends_are_the_colours_named() -> None:
    found = coloured(np.array([-2.0, 0.0, 2.0]), 2.0, signed=True)
    assert [tuple(one) for one in found] == [ImageColor.getrgb(c) for c in (SIGNED[0], SIGNED[3], SIGNED[-1])]
    zero = found[1].astype(int)
    assert np.ptp(zero) <= 2  # neither warm nor cold
    found = coloured(np.array([0.0, 5.0, 9.0]), 5.0, signed=False)
    assert [tuple(one) for one in found] == [ImageColor.getrgb(c) for c in (PLAIN[0], PLAIN[-1], PLAIN[-1])]


def test_more_is_darker() -> None:
    values = np.linspace(0, 1, 64)
    for signed in (False, True):
        assert (np.diff(lightness(coloured(values, 1.0, signed=signed))) < 0.3).all()
        assert lightness(coloured(values, 1.0, signed=signed))[[0, -1]].tolist()[0] > 90
    assert (np.diff(lightness(coloured(-values, 1.0, signed=True))) < 0.3).all()


def test_a_map_of_zeros_is_neutral() -> None:
    assert (coloured(np.zeros((2, 2)), 0.0, signed=True) == ImageColor.getrgb(SIGNED[3])).all()
    assert (signed_rgb(np.zeros((2, 2, 3))) == 128).all()
    assert signed_rgb(np.zeros((0, 2, 3))).shape == (0, 2, 3)


def test_signed_pictures_have_grey_for_zero() -> None:
    values = np.array([[[1.0, 0.0, -1.0]]])
    assert signed_rgb(values, 1.0).tolist() == [[[255, 128, 0]]]
    assert signed_rgb(values, 2.0).tolist() == [[[191, 128, 64]]]


@given(st.integers(1, 9), st.integers(1, 40), st.integers(1, 40), st.integers(1, 5))
def test_sheets_hold_every_tile(count: int, height: int, width: int, columns: int) -> None:
    tiles = [Image.new("RGB", (width, height), "#ff0000") for _ in range(count)]
    sheet = np.asarray(tile_sheet(tiles, [str(one) for one in range(count)], columns=columns, side=40))
    red = (sheet == (255, 0, 0)).all(axis=2).sum()
    scale = 40 / max(height, width)
    each = max(1, round(height * scale)) * max(1, round(width * scale))
    assert red == count * each


def test_a_sheet_of_maps_has_its_scale() -> None:
    maps = np.stack([np.full((4, 4), -1.0), np.full((4, 4), 1.0)])
    picture = map_sheet(maps, ["0", "1"], 1.0, "weight", signed=True)
    shades = np.asarray(picture)
    for colour in (SIGNED[0], SIGNED[-1]):
        assert (shades == ImageColor.getrgb(colour)).all(axis=2).sum() >= 96 * 96
    assert picture.height > 96 + 15 + 34
    with pytest.raises(ValueError, match="tile"):
        map_sheet(np.zeros((0, 4, 4)), [], 1.0, "weight", signed=True)


def test_the_bar_is_as_wide_as_its_text() -> None:
    short, long = (scale_bar(1.0, unit, signed=False, width=10) for unit in ("m", "m" * 90))
    assert long.width > short.width + 500
    turned = scale_bar(1.0, "m", signed=False, width=400, ends=("1", "0"))
    assert turned.size == scale_bar(1.0, "m", signed=False, width=400, ends=("0", "1")).size


def test_heat_tints_and_the_scale_has_the_same_colours() -> None:
    image = np.full((400, 400, 3), 128, np.uint8)
    heat = np.zeros((400, 400))
    heat[:200] = 1
    shades = np.asarray(heated(image, heat, "share")).astype(int)
    blue = shades[..., 2] - shades[..., 0]
    assert (blue[10:190, 10:390] > 50).all() and (blue[210:390, 10:390] == 0).all()
    bar = shades[400 + 16]
    reached = (np.abs(bar - shades[100, 100]).sum(axis=1) < 40).any()
    assert reached and shades.shape[0] == 434


def test_stacking_and_putting_beside() -> None:
    a, b = Image.new("RGB", (10, 20), "#ff0000"), Image.new("RGB", (30, 5), "#00ff00")
    assert stacked(a, b).size == (30, 25)
    assert beside(a, b, side=60).size == (30 + 3 + 60, 60)
