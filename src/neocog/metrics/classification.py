"""How many pictures are given their class, and which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from neocog.errors import NumbersError
from neocog.types import Classification

TOP = 5
"""Guesses of the second measure; with fewer classes than one more it says nothing."""


@dataclass(frozen=True)
class ClassificationResult:
    """What does not exist, such as the recall of a class without a picture, is None."""

    top1: float | None  # share of pictures whose best class is theirs, in [0, 1]
    top5: float | None  # whose class is among the five best; None with fewer than six classes
    classes: tuple[str, ...]
    confusion: NDArray[np.int64]  # (K, K) pictures: rows are the truth, columns the answers

    def metrics(self) -> dict[str, float | None]:
        """Under the names of `evaluation.json`."""
        return {"top1": self.top1, "top5": self.top5}

    def per_class(self) -> dict[str, dict[str, float | int | None]]:
        """By name: `recall` of the class's pictures, `precision` of the answers that name it, `count`."""
        right = np.diag(self.confusion)
        own, named = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        return {
            name: {
                "recall": _share(right[label], own[label]),
                "precision": _share(right[label], named[label]),
                "count": int(own[label]),
            }
            for label, name in enumerate(self.classes)
        }


def classification_accuracy(
    labels: Sequence[int], answers: Sequence[Classification], classes: Sequence[str]
) -> ClassificationResult:
    """Judge the answers for pictures of these labels; of equal scores the lower label comes first.

    `labels`: class of each picture, 0..K-1; `answers`: one for each, in the same order. Raises ValueError for
    sequences of unequal length, a label out of range or another number of scores, and NumbersError for a
    score that is not finite.
    """
    count, truth = len(classes), np.asarray(labels, dtype=np.int64)
    if len(labels) != len(answers):
        raise ValueError(f"{len(labels)} pictures of truth but {len(answers)} of predictions")
    if len(truth) and not 0 <= truth.min() <= truth.max() < count:
        raise ValueError(f"labels of truth span {truth.min()}..{truth.max()}, not 0..{count - 1}")
    scores = scores_of(answers, count)
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = order == truth[:, None]
    confusion = np.zeros((count, count), dtype=np.int64)
    if len(truth):
        np.add.at(confusion, (truth, order[:, 0]), 1)
    return ClassificationResult(
        top1=_share(hits[:, :1].sum(), len(truth)),
        top5=_share(hits[:, :TOP].sum(), len(truth)) if count > TOP else None,
        classes=tuple(classes),
        confusion=confusion,
    )


def scores_of(answers: Sequence[Classification], count: int) -> NDArray[np.float64]:
    """The scores of all pictures (B, K).

    Raises ValueError for another number of them, NumbersError for one that is not finite.
    """
    for index, answer in enumerate(answers):
        if answer.scores.shape != (count,):
            raise ValueError(f"predictions of image {index}: {len(answer.scores)} scores, not {count}")
    if not answers:
        return np.zeros((0, count))
    scores = torch.stack([answer.scores for answer in answers]).double().cpu().numpy()
    bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if len(bad):
        raise NumbersError(f"predictions of image {bad[0]}: a score is not finite")
    return scores


def _share(part: float, whole: float) -> float | None:
    return float(part) / float(whole) if whole else None
