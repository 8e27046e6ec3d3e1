"""Answers as the records and objects of others: COCO's, and supervision's."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as run_lengths

from neocog.errors import UsageError
from neocog.predictions import MaskPrediction, Prediction

FOUND = Prediction(
    np.array([[1, 2, 11, 22], [0, 0, 5, 5]], np.float32),
    np.array([0.9, 0.4], np.float32),
    np.array([2, 0]),
    ("cat", "dog", "owl"),
)
NONE = FOUND.above(1.0)

MASK = np.zeros((6, 9), np.uint8)
MASK[1:4, 2:7], MASK[5, 8], MASK[0, 0] = 2, 3, 255
SCORES = np.linspace(0.5, 1, MASK.size, dtype=np.float32).reshape(MASK.shape)
PIXELS = MaskPrediction(MASK, SCORES, ("background", "cat", "dog", "owl"))


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervision that keeps what its `Detections` are made of."""
    module: Any = ModuleType("supervision")
    module.Detections = SimpleNamespace
    monkeypatch.setitem(sys.modules, "supervision", module)


def check(found: Any) -> None:
    assert found.xyxy.dtype == np.float32 and found.xyxy.tolist() == [[1, 2, 11, 22], [0, 0, 5, 5]]
    np.testing.assert_array_equal(found.confidence, np.array([0.9, 0.4], np.float32))
    assert found.class_id.tolist() == [2, 0] and found.data["class_name"].tolist() == ["owl", "cat"]


def check_pixels(found: Any) -> None:
    assert found.class_id.tolist() == [0, 2, 3]
    assert found.xyxy.tolist() == [[0, 0, 9, 6], [2, 1, 7, 4], [8, 5, 9, 6]]
    assert found.mask.dtype == bool and found.mask.shape == (3, 6, 9)
    for label, mask, score in zip((0, 2, 3), found.mask, found.confidence, strict=True):
        assert np.array_equal(mask, label == MASK)
        assert score == pytest.approx(SCORES[label == MASK].mean())
    assert found.data["class_name"].tolist() == ["background", "dog", "owl"]


def test_what_supervision_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch)
    check(FOUND.to_supervision())
    check_pixels(PIXELS.to_supervision())
    assert NONE.to_supervision().xyxy.shape == (0, 4)
    nothing = MaskPrediction(np.full((2, 3), 255, np.uint8), np.ones((2, 3), np.float32), ("cat",))
    assert nothing.to_supervision().mask.shape == (0, 2, 3)


def test_what_supervision_makes_of_it() -> None:
    supervision = pytest.importorskip("supervision")
    check(FOUND.to_supervision())
    check_pixels(PIXELS.to_supervision())
    assert len(FOUND.to_supervision()[FOUND.scores > 0.5]) == 1 and len(NONE.to_supervision()) == 0
    assert isinstance(PIXELS.to_supervision(), supervision.Detections)


def test_without_supervision_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    for one in (FOUND, PIXELS):
        with pytest.raises(UsageError, match="pip install supervision"):
            one.to_supervision()


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # pycocotools' own
def test_cocos_records() -> None:
    assert FOUND.to_coco(7)[0] == {
        "image_id": 7,
        "category_id": 3,
        "bbox": [1, 2, 10, 20],
        "score": pytest.approx(0.9),
    }
    records = PIXELS.to_coco(7)
    assert [(one["image_id"], one["category_id"]) for one in records] == [(7, 1), (7, 3), (7, 4)]
    for one in records:
        assert np.array_equal(run_lengths.decode(one["segmentation"]), one["category_id"] - 1 == MASK)
