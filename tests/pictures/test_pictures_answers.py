"""Labels, masks and confusion matrices as pictures: what is drawn where."""

from __future__ import annotations

import numpy as np
import torch

from neocog.pictures.answers import draw_class, draw_localization, draw_mask, draw_rendered
from neocog.pictures.draw import class_colour
from neocog.pictures.matrix import confusion_chart
from neocog.types import Localization

GREY = np.full((100, 120, 3), 128, np.uint8)


def _rgb(label: int) -> np.ndarray:
    text = class_colour(label)
    return np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)])


def test_a_mask_has_its_classes_colours_and_background_stays_clear() -> None:
    mask = np.zeros((100, 120), np.uint8)
    mask[20:60, 20:60], mask[70:, :] = 2, 255
    drawn = np.asarray(draw_mask(GREY, mask, ("background", "cat", "dog")))
    scale = drawn.shape[1] // 120
    middle, clear, ignored = drawn[40 * scale, 40 * scale], drawn[5 * scale, 5 * scale], drawn[80 * scale :]
    assert (clear == 128).all()
    assert np.abs(middle - (0.45 * 128 + 0.55 * _rgb(2))).max() <= 1
    assert (ignored[:10, :10] == 40).any()  # hatched
    line = drawn[40 * scale, 19 * scale : 21 * scale]
    assert (line.max(axis=1) < 20).any()  # a dark boundary
    assert drawn.shape[0] > 100 * scale  # a legend below


def test_where_no_class_is_background_the_first_has_a_colour_too() -> None:
    drawn = np.asarray(draw_mask(GREY, np.zeros((100, 120), np.uint8), ("sky", "road")))
    assert np.abs(drawn[50, 50] - (0.45 * 128 + 0.55 * _rgb(0))).max() <= 1


def test_a_label_stands_above_its_picture_and_a_box_on_it() -> None:
    titled = draw_class(GREY, "cat 0.91")
    assert titled.height > titled.width * 100 / 120 and (np.asarray(titled)[:30] < 100).any()
    answer = Localization(torch.tensor([0.2, 0.8]), torch.tensor([10.0, 10.0, 60.0, 70.0]))
    drawn = np.asarray(draw_localization(GREY, answer, ("cat", "dog")))
    assert (drawn == _rgb(1)).all(axis=2).any()
    both = draw_rendered(GREY, np.zeros((64, 64, 3), np.float32))
    assert (np.asarray(both)[60:, -100:] == 0).all(axis=2).any()


def test_a_confusion_matrix_tells_every_share() -> None:
    confusion = np.array([[3, 1, 0], [0, 2, 2], [0, 0, 0]])
    chart = confusion_chart("Which", confusion, ("a", "b<c", "never"))
    assert "a taken for b&lt;c: 1 of 4" in chart and "never taken for a: 0 of 0" in chart
    assert chart.count(">50<") == 2 and ">75<" in chart and ">25<" in chart
    many = confusion_chart("Which", np.eye(40, dtype=np.int64), [f"class {k}" for k in range(40)], "pixels")
    assert ">100<" not in many and "of a row&#x27;s pixels" in many
