"""Seen and unseen classes against loops, and against cases worked by hand."""

from __future__ import annotations

import pytest
import torch
from tests.references.worlds import random_world
from tests.references.zero_shot import Row, slow_recall_at

from neocog.metrics.voc import voc_average_precision
from neocog.metrics.zero_shot import harmonic_mean, recall_counts, zero_shot_metrics
from neocog.types import Detections, Objects

CLASSES = ("car", "bus", "dog", "ship", "cat")
UNSEEN = (2, 4)
A, B, C = [0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0], [40.0, 0.0, 50.0, 10.0]


def truth(*rows: tuple[list[float], int], ignore: list[bool] | None = None) -> Objects:
    return Objects(
        torch.tensor([box for box, _ in rows]).reshape(-1, 4),
        torch.tensor([label for _, label in rows], dtype=torch.int64),
        torch.tensor(ignore or [False] * len(rows), dtype=torch.bool),
    )


def found(*rows: tuple[list[float], int, float]) -> Detections:
    return Detections(
        torch.tensor([box for box, _, _ in rows]).reshape(-1, 4),
        torch.tensor([score for _, _, score in rows]),
        torch.tensor([label for _, label, _ in rows], dtype=torch.int64),
    )


def only(predictions: list[Detections], labels: set[int]) -> list[Detections]:
    return [
        one[torch.tensor([int(k) in labels for k in one.labels], dtype=torch.bool)] for one in predictions
    ]


def rows(items: list[Objects] | list[Detections]) -> list[list[Row]]:
    last = [one.ignore.float() if isinstance(one, Objects) else one.scores for one in items]
    return [
        list(zip(one.boxes.tolist(), one.labels.tolist(), third.tolist(), strict=True))
        for one, third in zip(items, last, strict=True)
    ]


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("most", [3, 100])
def test_recall_is_that_of_the_loops(seed: int, most: int) -> None:
    truths, predictions = random_world(seed, grid=4)
    recalled, objects = recall_counts(truths, predictions, len(CLASSES), most)
    for chosen in ({2, 4}, {0, 1, 3}, {3}):
        slow = slow_recall_at(rows(truths), rows(predictions), chosen, most)
        there = [k for k in sorted(chosen) if objects[k]]
        if slow is None:
            assert not there
            continue
        assert recalled[there].sum() / objects[there].sum() == pytest.approx(slow[0], abs=1e-12)
        assert (recalled[there] / objects[there]).mean() == pytest.approx(slow[1], abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_each_view_is_judged_by_itself(seed: int) -> None:
    truths, predictions = random_world(seed, grid=4)
    seen = set(range(5)) - set(UNSEEN)
    views = {"seen": only(predictions, seen), "unseen": only(predictions, set(UNSEEN)), "all": predictions}
    numbers = zero_shot_metrics(truths, views, CLASSES, UNSEEN).metrics()
    for name, view, chosen in (
        ("seen", "seen", seen),
        ("unseen", "unseen", set(UNSEEN)),
        ("gzsd_seen", "all", seen),
        ("gzsd_unseen", "all", set(UNSEEN)),
    ):
        slow = slow_recall_at(rows(truths), rows(views[view]), chosen)
        pair = numbers[f"{name}_recall100"], numbers[f"{name}_mean_recall100"]
        assert pair == (None, None) if slow is None else pair == pytest.approx(slow)
        each = voc_average_precision(truths, views[view], CLASSES).classes
        own = [each[k].voc_ap for k in chosen if each[k].voc_ap is not None]
        assert numbers[f"{name}_map50"] == (pytest.approx(sum(own) / len(own)) if own else None)


def test_a_case_by_hand() -> None:
    """Two cars and a dog (unseen). One car is found, and the dog only where no seen class competes."""
    truths = [truth((A, 0), (B, 0), (C, 2))]
    views = {
        "seen": [found((A, 0, 0.9), (C, 0, 0.8))],
        "unseen": [found((C, 2, 0.7))],
        "all": [found((A, 0, 0.9), (C, 0, 0.8))],
    }
    numbers = zero_shot_metrics(truths, views, CLASSES, UNSEEN).metrics()
    assert numbers["seen_recall100"] == numbers["seen_map50"] == 0.5
    assert numbers["unseen_recall100"] == numbers["unseen_map50"] == 1.0
    assert numbers["gzsd_seen_map50"] == 0.5 and numbers["gzsd_unseen_map50"] == 0.0
    assert numbers["gzsd_harmonic_map50"] == numbers["gzsd_harmonic_recall100"] == 0.0


def test_pooled_recall_weighs_objects_and_the_mean_weighs_classes() -> None:
    truths = [truth((A, 2), (B, 2), (C, 2)), truth((A, 4))]
    view = [found((A, 2, 0.9)), found((A, 4, 0.9))]
    views = {"seen": only(view, set()), "unseen": view, "all": view}
    numbers = zero_shot_metrics(truths, views, CLASSES, UNSEEN).metrics()
    assert numbers["unseen_recall100"] == 2 / 4
    assert numbers["unseen_mean_recall100"] == pytest.approx((1 / 3 + 1) / 2)
    assert numbers["seen_recall100"] is None and numbers["gzsd_harmonic_recall100"] is None


def test_only_the_hundred_best_of_an_image_count() -> None:
    many = [(B, 0, 0.9)] * 100
    truths = [truth((A, 2))]
    assert recall_counts(truths, [found(*many, (A, 2, 0.8))], 5)[0].tolist() == [0, 0, 0, 0, 0]
    assert recall_counts(truths, [found(*many[1:], (A, 2, 0.8))], 5)[0].tolist() == [0, 0, 1, 0, 0]


def test_ignored_objects_do_not_count_and_half_is_enough() -> None:
    half = [0.0, 0.0, 10.0, 5.0]
    truths = [truth((A, 0), (B, 0), ignore=[False, True])]
    recalled, objects = recall_counts(truths, [found((half, 0, 0.9))], 5)
    assert (recalled[0], objects[0]) == (1, 1)
    less = [0.0, 0.0, 10.0, 4.9]
    assert recall_counts(truths, [found((less, 0, 0.9))], 5)[0][0] == 0


def test_a_view_may_hold_its_own_classes_only() -> None:
    view = [found((A, 0, 0.9))]
    views = {"seen": view, "unseen": view, "all": view}
    with pytest.raises(ValueError, match="the view 'unseen' is of another class"):
        zero_shot_metrics([truth((A, 0))], views, CLASSES, UNSEEN)


def test_harmonic_mean() -> None:
    assert harmonic_mean(0.5, 0.25) == pytest.approx(1 / 3)
    assert harmonic_mean(0.0, 0.0) == 0.0 and harmonic_mean(0.3, None) is None
