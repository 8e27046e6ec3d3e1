"""Recall and average precision of seen and of unseen classes, apart and in competition.

Bansal et al. 2018, "Zero-Shot Object Detection", arXiv:1804.04340, section 5. Three settings: only seen
classes can be predicted; only unseen ones (zero-shot detection); all of them (generalized), where seen and
unseen are summarised by their harmonic mean 2 S U / (S + U): 0 where one of them is.

Recall is given pooled over the objects, as in the paper, and as the mean of the classes: numbers differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from neocog.metrics.voc import voc_average_precision
from neocog.ops.boxes import iou
from neocog.types import Detections, Objects

MOST = 100
"""K of Recall@K: the best detections of an image that count, over all classes."""

_IOU = 0.5


@dataclass(frozen=True)
class Side:
    """A set of classes. None where no object of them counts."""

    recall: float | None  # Recall@100 over all objects
    mean_recall: float | None  # the mean of the classes'
    map: float | None  # mean over the classes of VOC average precision, whole curve


@dataclass(frozen=True)
class ZeroShotResult:
    """Overlap 0.5 throughout. Only classes with an object count."""

    seen: Side  # where only seen classes can be predicted
    unseen: Side  # where only unseen ones can
    both_seen: Side  # where all can: the seen among them
    both_unseen: Side

    def metrics(self) -> dict[str, float | None]:
        """Under the names of `evaluation.json`: `unseen_map50`, `gzsd_harmonic_recall100`, ..."""
        named: dict[str, float | None] = {}
        for field, name in (("map", "map50"), ("recall", "recall100"), ("mean_recall", "mean_recall100")):
            seen, unseen = getattr(self.both_seen, field), getattr(self.both_unseen, field)
            named |= {
                f"seen_{name}": getattr(self.seen, field),
                f"unseen_{name}": getattr(self.unseen, field),
                f"gzsd_seen_{name}": seen,
                f"gzsd_unseen_{name}": unseen,
                f"gzsd_harmonic_{name}": harmonic_mean(seen, unseen),
            }
        return named


def zero_shot_metrics(
    truths: Sequence[Objects],
    views: Mapping[str, Sequence[Detections]],
    classes: Sequence[str],
    unseen: Sequence[int],
) -> ZeroShotResult:
    """Measure detections made under the three rules.

    Args:
        truths: one per image; boxes in pixels of the original picture. Ignored objects do not count.
        views: `seen`, `unseen` and `all`: what could be predicted -> one per image, in the same order.
        classes: names of the K classes; label k is `classes[k]`.
        unseen: labels of the classes that were not shown.

    Raises ValueError for sequences of unequal length, a label out of range, and a detection of a class that
    its view cannot predict.
    """
    is_unseen = np.isin(np.arange(len(classes)), list(unseen))
    for name, allowed in (("seen", ~is_unseen), ("unseen", is_unseen)):
        if not all(allowed[one.labels.numpy()].all() for one in views[name]):
            raise ValueError(f"a detection in the view '{name}' is of another class")
    sides = [
        _side(truths, views[name], classes, chosen)
        for name, chosen in (
            ("seen", ~is_unseen),
            ("unseen", is_unseen),
            ("all", ~is_unseen),
            ("all", is_unseen),
        )
    ]
    return ZeroShotResult(*sides)


def _side(
    truths: Sequence[Objects], found: Sequence[Detections], classes: Sequence[str], chosen: np.ndarray
) -> Side:
    precisions = voc_average_precision(truths, found, classes, _IOU).classes
    recalled, objects = recall_counts(truths, found, len(classes))
    there = chosen & (objects > 0)
    if not there.any():
        return Side(None, None, None)
    own = [one.voc_ap or 0.0 for one, counts in zip(precisions, there, strict=True) if counts]
    recalled, objects = recalled[there], objects[there]
    return Side(
        recall=float(recalled.sum() / objects.sum()),
        mean_recall=float((recalled / objects).mean()),
        map=float(np.mean(own)),
    )


def recall_counts(
    truths: Sequence[Objects], found: Sequence[Detections], classes: int, most: int = MOST
) -> tuple[np.ndarray, np.ndarray]:
    """Objects of each class (K,) that are recalled, and all of them (K,).

    Recalled: one of the image's `most` best detections is of the object's class and overlaps it by 0.5 or
    more. One detection may recall several objects.
    """
    recalled, objects = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
    for truth, detections in zip(truths, found, strict=True):
        real = truth[~truth.ignore]
        best = detections[torch.argsort(-detections.scores, stable=True)[:most]]
        hit = (iou(real.boxes, best.boxes) >= _IOU) & (real.labels[:, None] == best.labels)
        objects += np.bincount(real.labels.numpy(), minlength=classes)
        recalled += np.bincount(real.labels[hit.any(dim=1)].numpy(), minlength=classes)
    return recalled, objects


def harmonic_mean(first: float | None, second: float | None) -> float | None:
    """2 a b / (a + b); 0 if both are 0, None if one is not there."""
    if first is None or second is None:
        return None
    return 2 * first * second / (first + second) if first + second else 0.0
