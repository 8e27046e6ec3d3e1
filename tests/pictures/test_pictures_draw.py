"""Drawings: boxes where they belong, labels inside the picture and apart, whatever the sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageColor

from neocog.pictures import draw
from neocog.pictures.draw import class_colour, contact_sheet, draw_detections, draw_objects, side_by_side
from neocog.pictures.theme import LIGHT, MARK_INK, MARKS
from neocog.types import Detections, Objects

NAMES = ("cat", "dog")


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 128, dtype=np.uint8)


def detections(boxes: list[list[float]], scores: list[float], labels: list[int]) -> Detections:
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores, dtype=torch.float32),
        torch.tensor(labels, dtype=torch.int64),
    )


def objects(boxes: list[list[float]], labels: list[int], ignore: list[bool]) -> Objects:
    return Objects(torch.tensor(boxes), torch.tensor(labels), torch.tensor(ignore))


def covered(picture: Image.Image, colour: str) -> np.ndarray:
    """Which pixels (H, W) have exactly this colour."""
    mask: np.ndarray = (np.asarray(picture) == ImageColor.getrgb(colour)).all(axis=2)
    return mask


def test_box_lies_on_its_pixels() -> None:
    """Coloured pixels start at the first column of the half-open box and end at the last before x1."""
    picture = draw_detections(grey(500, 600), detections([[100, 150, 300, 350]], [0.9], [0]), NAMES)
    assert picture.size == (600, 500)
    mask = covered(picture, class_colour(0))[200:340]  # rows without a label
    columns = np.flatnonzero(mask.any(axis=0))
    assert (columns[0], columns[-1]) == (100, 299)
    assert not mask[:, 110:290].any()  # the inside is left alone
    rows = np.flatnonzero(covered(picture, class_colour(0))[:, 320:].any(axis=1))
    assert rows.size == 0
    beside = np.asarray(picture)[250, [99, 102]]
    assert (beside == ImageColor.getrgb(MARK_INK)).all()  # cased on both sides


def test_threshold_keeps_what_reaches_it() -> None:
    found = detections([[10, 100, 200, 300], [250, 100, 380, 300]], [0.5, 0.25], [0, 1])
    picture = draw_detections(grey(400, 400), found, NAMES, threshold=0.5)
    assert covered(picture, class_colour(0)).any() and not covered(picture, class_colour(1)).any()
    nothing = draw_detections(grey(400, 400), found, NAMES, threshold=0.6)
    assert (np.asarray(nothing) == 128).all()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((128, 128), (384, 384)),
        ((28, 28), (392, 392)),
        ((1, 1), (384, 384)),
        ((300, 200), (600, 400)),
        ((10, 500), (30, 1500)),
        ((384, 900), (384, 900)),
        ((3000, 2000), (3000, 2000)),
        ((2, 4000), (2, 4000)),
    ],
)
def test_small_pictures_are_enlarged_by_whole_numbers(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    picture = draw_detections(grey(*size), detections([[0, 0, 1, 1]], [1.0], [0]), NAMES)
    assert (picture.height, picture.width) == expected


def test_tiny_picture_keeps_its_pixels_sharp() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28, 3)).astype(np.uint8)
    picture = np.asarray(draw_objects(pixels, Objects.empty(), NAMES))
    assert (picture == pixels.repeat(14, axis=0).repeat(14, axis=1)).all()


def test_ignored_object_is_dashed() -> None:
    solid = draw_objects(grey(400, 400), objects([[50.0, 50, 350, 350]], [0], [False]), NAMES)
    dashed = draw_objects(grey(400, 400), objects([[50.0, 50, 350, 350]], [0], [True]), NAMES)
    column = covered(dashed, class_colour(0))[100:340, 50]
    assert covered(solid, class_colour(0))[100:340, 50].all()
    assert 0.3 < column.mean() < 0.7


def test_class_without_a_name_is_drawn_by_its_number() -> None:
    picture = draw_detections(grey(400, 400), detections([[50, 50, 350, 350]], [1.0], [9]), NAMES)
    assert class_colour(9) == MARKS[1] and covered(picture, MARKS[1]).any()


def test_what_has_no_place_is_left_out() -> None:
    nowhere = [[math.nan, 0, 10, 10], [500, 500, 600, 600], [-50, -50, -10, -10], [0, 0, math.inf, 5]]
    picture = draw_detections(grey(400, 400), detections(nowhere, [0.9] * 4, [0] * 4), NAMES)
    assert (np.asarray(picture) == 128).all()


BOX = st.tuples(st.floats(-50, 700), st.floats(-50, 500), st.floats(0, 400), st.floats(0, 400)).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(BOX, TEXT), max_size=25), st.integers(1, 700), st.integers(1, 500))
def test_labels_stay_inside_and_hide_little_of_each_other(
    items: list[tuple[list[float], str]], width: int, height: int
) -> None:
    marks = []
    for box, text in items:
        place = draw._on_canvas(box, 1, (width, height))
        if place is not None:
            assert 0 <= place[0] < place[2] <= width and 0 <= place[1] < place[3] <= height
            marks.append(draw._Mark(place, text, MARKS[0]))
    labels = draw._labels(marks, 13, (width, height))
    for i, label in enumerate(labels):
        x0, y0, x1, y1 = label.box
        assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
        hidden = sum(draw._shared(label.box, better.box) for better in labels[:i])
        assert hidden <= 0.15 * (x1 - x0) * (y1 - y0)


def test_lone_label_sits_above_its_box_or_inside_at_the_top_edge() -> None:
    above, inside = (
        draw._labels([draw._Mark((50, y, 150, y + 80), "cat 0.90", MARKS[0])], 13, (400, 400))[0].box
        for y in (100, 0)
    )
    assert above[0] == 50 and above[3] == 101
    assert inside[:2] == (50, 0)


@pytest.mark.parametrize("text", ["ёлка", "café", "x" * 300, "", "two\nlines", "\x00\x1e\x80\ud800", "中文"])
def test_any_name_can_be_drawn(text: str) -> None:
    picture = draw_objects(grey(200, 200), objects([[20.0, 50, 150, 150]], [0], [False]), [text])
    assert covered(picture, MARKS[0]).any()


def test_cyrillic_letters_have_glyphs_of_their_own() -> None:
    font = draw._font(20, ascii_only=False)
    assert bytes(font.getmask("ж")) != bytes(font.getmask("\ue000"))


def test_side_by_side_leaves_both_pictures_whole() -> None:
    left, right = Image.new("RGB", (100, 50), "red"), Image.new("RGB", (80, 60), "blue")
    both = side_by_side(left, right, ("truth", "a prediction with far too long a title"))
    assert (both.width, both.height) == (192, 94)
    assert covered(both, "red").sum() == 100 * 50 and covered(both, "blue").sum() == 80 * 60
    assert not covered(both, LIGHT["surface"])[:30, :100].all()  # the title


def test_contact_sheet_places_rows_and_shrinks_what_is_large() -> None:
    colours = ("red", "lime", "blue")
    sheet = contact_sheet([Image.new("RGB", (1000, 500), c) for c in colours], columns=2, tile=100)
    assert sheet.size == (2 * 112 + 12, 2 * 62 + 12)
    for colour, (x, y) in zip(colours, [(12, 12), (124, 12), (12, 74)], strict=True):
        rows, columns = np.nonzero(covered(sheet, colour))
        assert (columns.min(), rows.min(), len(rows)) == (x, y, 100 * 50)
    with pytest.raises(ValueError, match="contact sheet"):
        contact_sheet([], 2)


def test_same_input_gives_the_same_bytes() -> None:
    found = detections([[10, 10, 100, 100], [20, 20, 90, 120]], [0.9, 0.8], [0, 1])
    first, second = (draw_detections(grey(128, 128), found, NAMES).tobytes() for _ in range(2))
    assert first == second
