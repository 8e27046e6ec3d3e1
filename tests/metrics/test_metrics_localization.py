"""Localization by hand, against a count per picture, and where there is nothing to judge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score

from neocog.errors import NumbersError
from neocog.metrics.localization import localization_accuracy
from neocog.types import Localization, Objects

NAMES = ["cat", "dog", "owl"]


def truth(*rows: tuple[float, float, float, float, int], ignore: bool = False) -> Objects:
    boxes = torch.tensor([row[:4] for row in rows], dtype=torch.float32).reshape(-1, 4)
    labels = torch.tensor([row[4] for row in rows], dtype=torch.int64)
    return Objects(boxes, labels, torch.full((len(rows),), ignore))


def answer(label: int, *box: float) -> Localization:
    return Localization(torch.nn.functional.one_hot(torch.tensor(label), 3).float(), torch.tensor(box))


def test_by_hand() -> None:
    truths = [
        *(truth((0, 0, 10, 10, 0)), truth((0, 0, 10, 10, 0)), truth((0, 0, 10, 10, 1))),
        *(truth(), truth((0, 0, 10, 10, 1), ignore=True)),
    ]
    answers = [
        answer(0, 0.0, 0.0, 10.0, 10.0),  # all right
        answer(1, 0.0, 0.0, 10.0, 5.0),  # the place, just, and not the class
        answer(1, 0.0, 0.0, 10.0, 4.0),  # the class and not the place
        answer(2, 0.0, 0.0, 10.0, 10.0),  # nothing is there, and nothing that counts
        answer(2, 0.0, 0.0, 10.0, 10.0),
    ]
    result = localization_accuracy(truths, answers, NAMES)
    assert result.metrics() == {
        "mean_iou": pytest.approx((1 + 0.5 + 0.4) / 3),
        "corloc50": 0.5,  # the mean of 1 (cats) and 0 (dogs)
        "localization_accuracy": pytest.approx(1 / 3),
    }
    assert result.per_class() == {
        "cat": {"mean_iou": 0.75, "corloc50": 1.0, "localization_accuracy": 0.5, "count": 2},
        "dog": {"mean_iou": pytest.approx(0.4), "corloc50": 0.0, "localization_accuracy": 0.0, "count": 1},
        "owl": {"mean_iou": None, "corloc50": None, "localization_accuracy": None, "count": 0},
    }


def test_of_several_objects_each_class_is_judged_by_its_own() -> None:
    truths = [truth((0, 0, 10, 10, 0), (20, 0, 30, 10, 1), (20, 0, 30, 8, 0))]
    rows = localization_accuracy(truths, [answer(1, 20.0, 0.0, 30.0, 10.0)], NAMES).per_class()
    names = "mean_iou", "corloc50", "localization_accuracy"
    assert [rows["cat"][name] for name in names] == [pytest.approx(0.8), 1.0, 0.0]
    assert [rows["dog"][name] for name in names] == [1.0, 1.0, 1.0]
    result = localization_accuracy(truths, [answer(2, 20.0, 0.0, 30.0, 10.0)], NAMES)
    assert (result.mean_iou, result.localization_accuracy) == (1.0, 0.0)


def test_with_perfect_boxes_it_is_the_accuracy_of_the_classes() -> None:
    rng = np.random.default_rng(0)
    labels, said = rng.integers(3, size=(2, 60))
    truths = [truth((1, 2, 5, 9, int(label))) for label in labels]
    result = localization_accuracy(truths, [answer(int(one), 1.0, 2.0, 5.0, 9.0) for one in said], NAMES)
    assert result.localization_accuracy == pytest.approx(accuracy_score(labels, said))
    assert (result.mean_iou, result.corloc50) == (1.0, 1.0)


def test_pictures_without_an_object_give_nothing() -> None:
    for truths, answers in (([], []), ([truth()], [answer(0, 0.0, 0.0, 1.0, 1.0)])):
        result = localization_accuracy(truths, answers, NAMES)
        assert set(result.metrics().values()) == {None}
        assert all(row["count"] == 0 and row["mean_iou"] is None for row in result.per_class().values())


def test_what_cannot_be_judged_is_named() -> None:
    one = answer(0, 0.0, 0.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="1 images of truth but 0"):
        localization_accuracy([truth()], [], NAMES)
    with pytest.raises(ValueError, match=r"truth of image 0: a label is not in 0\.\.2"):
        localization_accuracy([truth((0, 0, 1, 1, 3))], [one], NAMES)
    with pytest.raises(ValueError, match="image 0: 3 scores, not 2"):
        localization_accuracy([truth()], [one], NAMES[:2])
    with pytest.raises(NumbersError, match="image 0: a box is not finite"):
        localization_accuracy([truth()], [answer(0, 0.0, 0.0, 1.0, torch.inf)], NAMES)
