"""The judgement of boxes: each kind of fault by its name, and never a warning."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neocog.data.judge import (
    CLIPPED,
    FINE,
    INVERTED,
    NOT_FINITE,
    OUT_OF_RANGE,
    OUTSIDE,
    ZERO_AREA,
    judge_boxes,
)

WIDTH, HEIGHT = 100, 50


def judge(*box: float) -> tuple[list[float], int]:
    boxes, verdicts = judge_boxes(np.array([box], np.float64), np.array([[HEIGHT, WIDTH]], np.int32))
    assert boxes.dtype == np.float32
    return boxes[0].tolist(), int(verdicts[0])


@pytest.mark.parametrize(
    ("box", "verdict"),
    [
        ((0, 0, 100, 50), FINE),
        ((1.5, 2.5, 3.5, 4.5), FINE),
        ((10, 10, 10, 20), ZERO_AREA),
        ((10, 10, 20, 10), ZERO_AREA),
        ((10, 10, 10 + 1e-9, 20), ZERO_AREA),  # vanishes in float32
        ((20, 10, 10, 20), INVERTED),
        ((10, 20, 20, 10), INVERTED),
        ((-5, 10, 20, 20), CLIPPED),
        ((90, 40, 101, 51), CLIPPED),
        ((-20, 10, -5, 20), OUTSIDE),
        ((100, 10, 110, 20), OUTSIDE),
        ((10, 50, 20, 60), OUTSIDE),
        ((-10, 10, 0, 20), OUTSIDE),
        ((math.nan, 0, 1, 1), NOT_FINITE),
        ((0, 0, math.inf, 1), NOT_FINITE),
        ((-math.inf, 0, 1, 1), NOT_FINITE),
        ((0, 0, 1e308, 1), OUT_OF_RANGE),
        ((-1e9, 0, 1, 1), OUT_OF_RANGE),
        ((0, 0, float(2**70), 1), OUT_OF_RANGE),
    ],
)
def test_verdicts(box: tuple[float, ...], verdict: int) -> None:
    judged, found = judge(*box)
    assert found == verdict
    if verdict > CLIPPED:
        assert judged == [0, 0, 0, 0]


def test_clipping_keeps_what_is_inside() -> None:
    assert judge(-5, 10, 120, 60) == ([0, 10, 100, 50], CLIPPED)


def test_rounding_is_no_fault() -> None:
    assert judge(-0.001, 0, 100.005, 50.0000001) == ([0, 0, 100, 50], FINE)


def test_no_boxes() -> None:
    boxes, verdicts = judge_boxes(np.zeros((0, 4)), np.zeros((0, 2), np.int32))
    assert boxes.shape == (0, 4) and verdicts.shape == (0,)


@given(st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 4))
def test_what_is_kept_is_a_box_inside(box: tuple[float, ...]) -> None:
    (x0, y0, x1, y1), verdict = judge(*box)
    if verdict <= CLIPPED:
        assert 0 <= x0 < x1 <= WIDTH and 0 <= y0 < y1 <= HEIGHT
        np.testing.assert_allclose([x0, y0], np.maximum(box[:2], 0), atol=1e-4)
    else:
        large = not np.isfinite(box).all() or np.abs(box).max() > 1e7
        inner = np.clip(np.nan_to_num(box), 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
        assert large or inner[2] - inner[0] < 1e-5 or inner[3] - inner[1] < 1e-5
