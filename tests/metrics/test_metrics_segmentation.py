"""The measures of segmentation, against scikit-learn, SciPy and counts by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import confusion_matrix, jaccard_score, recall_score

from neocog.metrics.segmentation import SegmentationRecord, SegmentationResult, record, summarize

Labels = NDArray[np.uint8]


def maps(rows: str) -> Labels:
    """A map from digits, rows apart by spaces; `x` is ignored."""
    return np.array([[255 if c == "x" else int(c) for c in row] for row in rows.split()], np.uint8)


def measured(*pairs: tuple[Labels, Labels], classes: int) -> SegmentationResult:
    return summarize(
        [record(truth, labels, classes) for truth, labels in pairs], [f"c{k}" for k in range(classes)]
    )


def test_counts_by_hand() -> None:
    """n = [[3, 1, 0], [1, 2, 0], [0, 0, 0]] over two pictures, one pixel ignored; class 2 is nowhere."""
    result = measured((maps("0001"), maps("0010")), (maps("1x1x"), maps("1011")), classes=3)
    # picture 1: (0,0) (0,0) (0,1) (1,0); picture 2: (1,1) (1,1)
    assert result.confusion.tolist() == [[2, 1, 0], [1, 2, 0], [0, 0, 0]]
    metrics = result.metrics()
    assert metrics["pixel_accuracy"] == pytest.approx(4 / 6)
    assert metrics["mean_accuracy"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert metrics["mean_iou"] == pytest.approx((2 / 4 + 2 / 4) / 2)
    assert metrics["frequency_weighted_iou"] == pytest.approx((3 * 0.5 + 3 * 0.5) / 6)
    assert result.per_class()["c2"] == {"iou": None, "accuracy": None, "boundary_f1": None, "pixels": 0}
    assert result.per_class()["c0"]["pixels"] == 3


def test_a_class_that_is_only_answered_has_an_iou_of_zero_and_no_accuracy() -> None:
    result = measured((maps("00"), maps("01")), classes=2)
    assert result.per_class()["c1"]["iou"] == 0
    assert result.per_class()["c1"]["accuracy"] is None
    assert result.metrics()["mean_iou"] == pytest.approx(0.25)
    assert result.metrics()["mean_accuracy"] == pytest.approx(0.5)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 20), st.integers(1, 20))
def test_counts_are_those_of_scikit_learn(seed: int, classes: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    truths = [rng.integers(0, classes, (height, width)).astype(np.uint8) for _ in range(3)]
    answers = [np.where(rng.random(t.shape) < 0.6, t, rng.integers(0, classes, t.shape)) for t in truths]
    for truth in truths:
        truth[rng.random(truth.shape) < 0.1] = 255
    pairs = [(truth, answer.astype(np.uint8)) for truth, answer in zip(truths, answers, strict=True)]
    result = measured(*pairs, classes=classes)
    truth, answer = np.concatenate(truths, axis=None), np.concatenate(answers, axis=None)
    truth, answer = truth[truth != 255], answer[truth != 255]
    if not len(truth):
        assert set(result.metrics().values()) == {None}
        return
    expected = confusion_matrix(truth, answer, labels=range(classes))
    assert np.array_equal(result.confusion, expected)
    metrics = result.metrics()
    present = np.union1d(truth, answer)
    iou = jaccard_score(truth, answer, labels=present, average=None)
    assert metrics["mean_iou"] == pytest.approx(iou.mean())
    weights = [(truth == label).sum() for label in present]
    assert metrics["frequency_weighted_iou"] == pytest.approx(np.average(iou, weights=weights))
    recall = recall_score(truth, answer, labels=np.unique(truth), average="macro")
    assert metrics["mean_accuracy"] == pytest.approx(recall)
    assert metrics["pixel_accuracy"] == pytest.approx((truth == answer).mean())


def edge(labels: Labels, label: int) -> NDArray[np.bool_]:
    """Pixels of a class with another class above, below, left or right."""
    grid = np.pad(labels.astype(int), 1, mode="edge")
    middle = grid[1:-1, 1:-1]
    beside = (grid[:-2, 1:-1], grid[2:, 1:-1], grid[1:-1, :-2], grid[1:-1, 2:])
    differs = np.logical_or.reduce([side != middle for side in beside])
    return np.asarray(differs & (labels == label))


def slow_f1(truth: Labels, labels: Labels, label: int, radius: float) -> float | None:
    there, made = edge(truth, label), edge(labels, label)
    if not there.any() and not made.any():
        return None
    if not there.any() or not made.any():
        return 0.0
    precision = (distance_transform_edt(~there)[made] <= radius).mean()
    recall = (distance_transform_edt(~made)[there] <= radius).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


@given(st.integers(0, 2**32 - 1), st.integers(4, 40), st.integers(1, 400))
def test_boundaries_are_matched_as_distances_say(seed: int, height: int, width: int) -> None:
    """Also in pictures of 400 px, where the tolerance is 3 px."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 3, (-(-height // 6), -(-width // 6)))
    truth = np.kron(blocks, np.ones((6, 6)))[:height, :width].astype(np.uint8)
    labels = np.roll(truth, rng.integers(-4, 5, 2), (0, 1))
    labels[rng.random(labels.shape) < 0.02] = 1
    radius = max(1.0, 0.0075 * math.hypot(height, width))
    result = measured((truth, labels), classes=3)
    for label, row in enumerate(result.per_class().values()):
        expected = slow_f1(truth, labels, label, radius)
        assert row["boundary_f1"] == (None if expected is None else pytest.approx(expected))


def test_boundaries_are_averaged_over_pictures_that_have_them_then_over_classes() -> None:
    straight, blank = maps("0011 " * 4), maps("0000 " * 4)
    pairs = [(straight, straight), (straight, blank), (blank, blank)]
    result = measured(*pairs, classes=3)
    assert [row["boundary_f1"] for row in result.per_class().values()] == [0.5, 0.5, None]
    assert result.metrics()["boundary_f1"] == 0.5


def test_a_boundary_one_pixel_away_is_matched_and_two_away_is_not() -> None:
    truth = maps("00001111 " * 8)
    for step, expected in ((1, 1.0), (2, 0.0)):
        labels = np.where(np.arange(8) < 4 + step, 0, 1).astype(np.uint8)[None].repeat(8, 0)
        assert measured((truth, labels), classes=2).metrics()["boundary_f1"] == expected


def test_an_ignored_seam_has_its_boundary_in_the_middle() -> None:
    truth = maps("0000xxx11111 " * 8)
    right, wrong = maps("000000111111 " * 8), maps("000000000111 " * 8)
    assert measured((truth, right), classes=2).metrics()["boundary_f1"] == 1
    assert measured((truth, wrong), classes=2).metrics()["boundary_f1"] == 0


def test_nothing_is_asked_of_what_lies_inside_an_ignored_area() -> None:
    truth = np.full((30, 40), 255, np.uint8)
    truth[:, :4] = 0
    labels = np.zeros_like(truth)
    labels[10:20, 15:25] = 1
    result = measured((truth, labels), classes=2)
    assert result.metrics()["boundary_f1"] is None and result.metrics()["mean_iou"] == 1


def test_a_picture_of_which_all_is_ignored_says_nothing() -> None:
    result = measured((np.full((5, 5), 255, np.uint8), np.zeros((5, 5), np.uint8)), classes=2)
    assert set(result.metrics().values()) == {None} and result.pictures == 1
    assert set(summarize([], ["a"]).metrics().values()) == {None}


def test_a_record_is_small() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, (300, 300)).astype(np.uint8)
    one = record(truth, truth, 200)
    assert isinstance(one, SegmentationRecord)
    assert sum(getattr(one, name).nbytes for name in ("cells", "pixels", "classes", "boundary")) < 1000


@pytest.mark.parametrize(
    ("truth", "labels", "classes", "words"),
    [
        (maps("01"), maps("011"), 2, "one size"),
        (maps("01"), maps("01").astype(np.int64), 2, "uint8"),
        (maps("02"), maps("01"), 2, r"0\.\.1"),
        (maps("01"), maps("02"), 2, r"0\.\.1"),
        (maps("0x"), maps("0x"), 2, r"0\.\.1"),
        (maps("01"), maps("01"), 256, "classes"),
    ],
)
def test_maps_that_do_not_fit_are_named(truth: Labels, labels: Labels, classes: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        record(truth, labels, classes)
