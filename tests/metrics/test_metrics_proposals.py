"""Recall of proposals against loops, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.references.recall import slow_average_recall, slow_best, slow_recall

from neocog.errors import NumbersError
from neocog.metrics.proposals import THRESHOLDS, proposal_recall
from neocog.types import Objects, Proposals


def objects(boxes: list[list[float]], labels: list[int], ignore: list[bool] | None = None) -> Objects:
    return Objects(
        torch.tensor(boxes).float().reshape(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
        torch.tensor(ignore or [False] * len(labels), dtype=torch.bool),
    )


def proposals(boxes: list[list[float]]) -> Proposals:
    return Proposals(torch.tensor(boxes).float().reshape(-1, 4), torch.zeros(len(boxes)))


def world(seed: int) -> tuple[list[Objects], list[Proposals]]:
    """Pictures with up to four objects, some ignored, and up to 30 boxes about them; some with none."""
    draw = np.random.default_rng(seed)

    def boxes(count: int) -> list[list[float]]:
        corner, side = draw.integers(0, 30, (count, 2)), draw.integers(1, 30, (count, 2))
        return np.concatenate([corner, corner + side], 1).tolist()

    truths, found = [], []
    for _ in range(8):
        count = int(draw.integers(0, 5))
        truths.append(
            objects(boxes(count), draw.integers(0, 3, count).tolist(), (draw.random(count) < 0.3).tolist())
        )
        found.append(proposals(boxes(int(draw.integers(0, 31)))))
    return truths, found


@pytest.mark.parametrize("seed", range(20))
def test_equals_loops(seed: int) -> None:
    truths, found = world(seed)
    counts = (1, 3, 10, 40)
    result = proposal_recall(truths, found, ("a", "b", "c"), counts)
    for column, count in enumerate(counts):
        best, labels = [], []
        for truth, boxes in zip(truths, found, strict=True):
            kept = ~truth.ignore
            best += slow_best(truth.boxes[kept].tolist(), boxes.boxes.tolist(), count)
            labels += truth.labels[kept].tolist()
        assert result.objects == len(best)
        for row, threshold in enumerate(THRESHOLDS):
            assert result.recall[row, column] == pytest.approx(slow_recall(best, threshold), abs=1e-12)
        assert result.average_recall[column] == pytest.approx(slow_average_recall(best), abs=1e-5)
        means = [
            np.mean([b for b, label in zip(best, labels, strict=True) if label == wanted])
            for wanted in sorted(set(labels))
        ]
        assert result.mabo[column] == pytest.approx(np.mean(means), abs=1e-12)


def test_by_hand() -> None:
    truth = objects([[0, 0, 10, 10], [20, 0, 30, 10], [0, 0, 9, 9]], [0, 1, 0], [False, False, True])
    found = proposals([[50, 50, 60, 60], [0, 0, 10, 5], [20, 0, 30, 10]])
    result = proposal_recall([truth], [found], ("cat", "dog", "eel"), (1, 2, 3))
    assert result.recall[0].tolist() == [0, 0.5, 1]  # reaching 0.5 is enough
    assert result.recall[4].tolist() == [0, 0, 0.5]
    assert result.average_recall.tolist() == [0, 0, 0.5]
    assert result.mabo.tolist() == [0, 0.25, 0.75] and list(result.best_overlap) == ["cat", "dog"]
    plain = result.to_dict()
    assert plain["objects"] == 2 and plain["recall"]["0.5"] == [0, 0.5, 1]
    assert plain["best_overlap"]["dog"] == [0, 0, 1] and plain["proposals_per_image"] == 3


def test_without_objects_recall_is_absent() -> None:
    for truths, found in (([], []), ([objects([], [])], [proposals([[0, 0, 1, 1]])])):
        result = proposal_recall(truths, found, ("a",))
        assert np.isnan(result.recall).all() and result.to_dict()["mabo"][0] is None


def test_more_proposals_never_find_less() -> None:
    truths, found = world(3)
    recall = proposal_recall(truths, found, ("a", "b", "c")).recall
    assert (np.diff(recall, axis=1) >= 0).all() and (np.diff(recall, axis=0) <= 0).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"proposals": []}, "1 pictures of truth but 0"),
        ({"classes": ()}, "a label is not in"),
        ({"counts": (2, 1)}, "counts must ascend"),
        ({"counts": (0, 1)}, "counts must ascend"),
        ({"counts": ()}, "counts must ascend"),
        ({"thresholds": (0.0,)}, "thresholds must lie"),
        ({"thresholds": (1.1,)}, "thresholds must lie"),
    ],
)
def test_wrong_input_is_refused(wrong: dict[str, object], words: str) -> None:
    given = {
        "truths": [objects([[0, 0, 1, 1]], [0])],
        "proposals": [proposals([])],
        "classes": ("a",),
    } | wrong
    with pytest.raises(ValueError, match=words):
        proposal_recall(**given)  # type: ignore[arg-type]


def test_boxes_that_are_not_finite_are_refused() -> None:
    bad = proposals([[0, 0, float("nan"), 1]])
    with pytest.raises(NumbersError, match="proposals of picture 0"):
        proposal_recall([objects([], [])], [bad], ("a",))
