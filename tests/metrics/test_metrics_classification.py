"""Accuracy, confusion, recall and precision against scikit-learn, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, precision_score, recall_score, top_k_accuracy_score

from neocog.errors import NumbersError
from neocog.metrics.classification import classification_accuracy
from neocog.types import Classification

NAMES = [f"class {number}" for number in range(7)]


def answers(scores: np.ndarray) -> list[Classification]:
    return [Classification(torch.from_numpy(row)) for row in scores.astype(np.float32)]


def drawn(count: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,), and scores (N, K) that are right more often than not."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    logits = rng.normal(size=(count, classes)) + 1.5 * (labels[:, None] == np.arange(classes))
    scores = np.exp(logits)
    return labels, (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_everything_is_scikit_learns(seed: int) -> None:
    labels, scores = drawn(200, 7, seed)
    result = classification_accuracy(labels.tolist(), answers(scores), NAMES)
    every, best = np.arange(7), scores.argmax(axis=1)
    assert result.metrics() == {
        "top1": pytest.approx(top_k_accuracy_score(labels, scores, k=1, labels=every)),
        "top5": pytest.approx(top_k_accuracy_score(labels, scores, k=5, labels=every)),
    }
    assert np.array_equal(result.confusion, confusion_matrix(labels, best, labels=every))
    recalls = recall_score(labels, best, labels=every, average=None)
    precisions = precision_score(labels, best, labels=every, average=None)
    rows = result.per_class()
    assert list(rows) == NAMES
    for name, recall, precision, count in zip(NAMES, recalls, precisions, np.bincount(labels), strict=True):
        assert rows[name] == {
            "recall": pytest.approx(recall),
            "precision": pytest.approx(precision),
            "count": count,
        }


def test_by_hand() -> None:
    scores = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.5, 0.4, 0.1]])
    result = classification_accuracy([0, 1, 1, 0], answers(scores), ["cat", "dog", "owl"])
    assert result.metrics() == {"top1": 0.75, "top5": None}
    assert result.confusion.tolist() == [[2, 0, 0], [1, 1, 0], [0, 0, 0]]  # rows are the truth
    assert result.per_class() == {
        "cat": {"recall": 1.0, "precision": pytest.approx(2 / 3), "count": 2},
        "dog": {"recall": 0.5, "precision": 1.0, "count": 2},
        "owl": {"recall": None, "precision": None, "count": 0},
    }


def test_five_guesses_need_six_classes() -> None:
    for classes, expected in ((5, None), (6, 0.0)):
        scores = np.linspace(1, 0.1, classes)[None]
        result = classification_accuracy([classes - 1], answers(scores), NAMES[:classes])
        assert result.top5 == expected


def test_of_equal_scores_the_lower_label_comes_first() -> None:
    result = classification_accuracy([0, 1], answers(np.full((2, 7), 1 / 7)), NAMES)
    assert result.confusion[:2, 0].tolist() == [1, 1] and result.top1 == 0.5 and result.top5 == 1.0


def test_no_pictures_give_nothing() -> None:
    result = classification_accuracy([], [], NAMES)
    assert result.metrics() == {"top1": None, "top5": None}
    assert result.confusion.shape == (7, 7) and not result.confusion.any()
    assert all(row == {"recall": None, "precision": None, "count": 0} for row in result.per_class().values())


def test_what_cannot_be_judged_is_named() -> None:
    scores = np.full((2, 7), 1 / 7)
    with pytest.raises(ValueError, match="1 pictures of truth but 2"):
        classification_accuracy([0], answers(scores), NAMES)
    with pytest.raises(ValueError, match=r"span 0\.\.7, not 0\.\.6"):
        classification_accuracy([0, 7], answers(scores), NAMES)
    with pytest.raises(ValueError, match="image 0: 7 scores, not 6"):
        classification_accuracy([0, 1], answers(scores), NAMES[:6])
    scores[1, 3] = np.nan
    with pytest.raises(NumbersError, match="image 1: a score is not finite"):
        classification_accuracy([0, 1], answers(scores), NAMES)
