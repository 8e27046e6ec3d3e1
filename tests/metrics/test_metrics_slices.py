"""Parts of a test set: small objects and crowded pictures, by numbers that can be checked by hand."""

from __future__ import annotations

import pytest
import torch

from neocog.metrics.slices import by_crowd, by_size
from neocog.types import Detections, Objects


def objects(sides: list[float], ignore: list[bool] | None = None) -> Objects:
    """Squares of these sides in a row, far apart, of class 0."""
    boxes = [[100.0 * place, 0.0, 100.0 * place + side, side] for place, side in enumerate(sides)]
    flags = torch.tensor(ignore or [False] * len(sides), dtype=torch.bool)
    return Objects(torch.tensor(boxes).reshape(-1, 4), torch.zeros(len(sides), dtype=torch.int64), flags)


def found(truth: Objects, which: list[int]) -> Detections:
    """These objects, found exactly."""
    boxes = truth.boxes[which].reshape(-1, 4)
    return Detections(boxes, torch.linspace(0.9, 0.5, len(boxes)), torch.zeros(len(boxes), dtype=torch.int64))


def test_thirds_by_size_see_only_their_objects() -> None:
    truth = objects([4, 5, 20, 21, 80, 81])
    slices = by_size([truth], [found(truth, [2, 3, 4, 5])], ["a"])
    assert [(one.objects, one.voc_map) for one in slices] == [(2, 0.0), (2, 1.0), (2, 1.0)]
    assert [one.middle for one in slices] == [4.5, 20.5, 80.5]


def test_detections_of_other_sizes_are_not_wrong() -> None:
    """The large ones come first and would ruin the precision of the small ones."""
    truth = objects([4, 5, 80, 81, 82, 83])
    small = by_size([truth], [found(truth, [5, 4, 3, 2, 1, 0])], ["a"])[0]
    assert small.voc_map == 1.0


def test_ignored_objects_belong_to_no_third() -> None:
    truth = objects([4, 20, 80, 500], [False, False, False, True])
    assert [one.objects for one in by_size([truth], [found(truth, [])], ["a"])] == [1, 1, 1]


def test_thirds_by_crowd_are_pictures() -> None:
    truths = [objects([10] * count) for count in (1, 1, 2, 2, 6, 6)]
    predictions = [found(truth, [] if len(truth) == 6 else list(range(len(truth)))) for truth in truths]
    slices = by_crowd(truths, predictions, ["a"])
    assert [(one.middle, one.objects, one.voc_map) for one in slices] == [
        (1, 2, 1.0),
        (2, 4, 1.0),
        (6, 12, 0),
    ]


@pytest.mark.parametrize("cut", [by_size, by_crowd])
def test_equal_values_make_one_part_and_nothing_none(cut: object) -> None:
    truth = objects([10.0, 10.0])
    assert callable(cut)
    (only,) = cut([truth], [found(truth, [0, 1])], ["a"])
    assert only.objects == 2 and only.voc_map == 1.0
    assert cut([objects([])], [found(objects([]), [])], ["a"]) == []
    assert cut([], [], ["a"]) == []
