"""How well proposals cover the objects: recall against their number, average recall, best overlap.

An object is found at an overlap when one of the first N proposals of its picture reaches it; a proposal may
find several objects. Objects that are difficult or a crowd (`Objects.ignore`) do not count.

Average recall: J. Hosang et al., "What makes for effective detection proposals?", PAMI 2016, twice the
integral of recall over overlaps from 0.5 to 1, here exactly and without matching one to one. Mean average
best overlap (MABO): J. Uijlings et al., "Selective Search for Object Recognition", IJCV 2013.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neocog.errors import NumbersError
from neocog.types import Objects, Proposals

COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
"""Numbers of proposals that recall is measured at."""

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Overlaps at which an object counts as found."""


@dataclass(frozen=True)
class RecallResult:
    """What the first N proposals of every picture cover, for each N of `counts`."""

    images: int
    objects: int  # that count: neither difficult nor a crowd
    proposals: float | None  # median number a picture; None without a picture
    counts: tuple[int, ...]  # N; where a picture has fewer, all of them are taken
    thresholds: tuple[float, ...]
    recall: NDArray[np.float64]  # (thresholds, counts): share of objects found; nan without an object
    average_recall: NDArray[np.float64]  # (counts,): twice the integral of recall from overlap 0.5 to 1
    mabo: NDArray[np.float64]  # (counts,): mean over the classes with an object of the mean best overlap
    best_overlap: dict[str, NDArray[np.float64]]  # class -> (counts,): mean best overlap of its objects

    def to_dict(self) -> dict[str, Any]:
        """The result in plain numbers; what is absent is None."""
        return {
            "images": self.images,
            "objects": self.objects,
            "proposals_per_image": self.proposals,
            "counts": list(self.counts),
            "recall": {
                f"{threshold:g}": _plain(row)
                for threshold, row in zip(self.thresholds, self.recall, strict=True)
            },
            "average_recall": _plain(self.average_recall),
            "mabo": _plain(self.mabo),
            "best_overlap": {name: _plain(row) for name, row in self.best_overlap.items()},
        }


def proposal_recall(
    truths: Sequence[Objects],
    proposals: Sequence[Proposals],
    classes: Sequence[str],
    counts: Sequence[int] = COUNTS,
    thresholds: Sequence[float] = THRESHOLDS,
) -> RecallResult:
    """Measure proposals over a set of pictures.

    Args:
        truths: one per picture; boxes in pixels of the original picture.
        proposals: one per picture, in the same order, each best first (its scores are not looked at).
        classes: names of the K classes; label k is `classes[k]`.
        counts: numbers of proposals, ascending, each 1 or more.
        thresholds: overlaps in (0, 1] that count as found (reaching it is enough).

    Raises ValueError for sequences of unequal length, counts or thresholds out of range or a label out of
    range, and NumbersError for a proposal that is not finite.
    """
    _check(truths, proposals, classes, counts, thresholds)
    each = [_best(truth, found, counts) for truth, found in zip(truths, proposals, strict=True)]
    best = np.concatenate([np.zeros((0, len(counts))), *each])
    labels = np.concatenate(
        [np.zeros(0, np.int64), *(truth.labels[~truth.ignore].cpu().numpy() for truth in truths)]
    )
    overlaps = {
        name: best[labels == label].mean(0) for label, name in enumerate(classes) if (labels == label).any()
    }
    absent = np.full(len(counts), np.nan)
    return RecallResult(
        images=len(truths),
        objects=len(best),
        proposals=float(np.median([len(found) for found in proposals])) if proposals else None,
        counts=tuple(counts),
        thresholds=tuple(thresholds),
        recall=np.stack([(best >= t).mean(0) if len(best) else absent for t in thresholds]),
        average_recall=2 * np.clip(best - 0.5, 0, None).mean(0) if len(best) else absent,
        mabo=np.mean(list(overlaps.values()), axis=0) if overlaps else absent,
        best_overlap=overlaps,
    )


def _check(
    truths: Sequence[Objects],
    proposals: Sequence[Proposals],
    classes: Sequence[str],
    counts: Sequence[int],
    thresholds: Sequence[float],
) -> None:
    if len(truths) != len(proposals):
        raise ValueError(f"{len(truths)} pictures of truth but {len(proposals)} of proposals")
    if not counts or min(counts) < 1 or list(counts) != sorted(set(counts)):
        raise ValueError(f"counts must ascend from 1 or more, got {counts}")
    if not thresholds or not 0 < min(thresholds) <= max(thresholds) <= 1:
        raise ValueError(f"thresholds must lie above 0 and at most at 1, got {thresholds}")
    for number, (truth, found) in enumerate(zip(truths, proposals, strict=True)):
        if len(truth) and not 0 <= int(truth.labels.min()) <= int(truth.labels.max()) < len(classes):
            raise ValueError(f"picture {number}: a label is not in 0..{len(classes) - 1}")
        if not bool(found.boxes.isfinite().all()):
            raise NumbersError(f"proposals of picture {number}: a box is not finite")


def _best(truth: Objects, found: Proposals, counts: Sequence[int]) -> NDArray[np.float64]:
    """The best overlap (N, counts) of each object that counts with the first so many proposals."""
    objects = truth.boxes[~truth.ignore].double().cpu().numpy()
    best = np.zeros((len(objects), len(counts)))
    boxes = found.boxes[: counts[-1]].double().cpu().numpy()
    if len(boxes) and len(objects):
        running = np.maximum.accumulate(_iou(objects, boxes), axis=1)
        best = running[:, np.minimum(counts, len(boxes)) - 1]
    return best


def _iou(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union (N, M) of boxes (N, 4) with boxes (M, 4); 0 where they share no area."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - shared
    overlap: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
    return overlap


def _plain(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
