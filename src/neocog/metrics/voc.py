"""Average precision as the PASCAL VOC development kit computes it (`VOCevaldet.m`, `VOCap.m`).

M. Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", IJCV 2010. Both definitions are
given: the 11-point mean of VOC 2007 and the area under the whole curve of VOC 2010 and later.

The kit measures boxes of inclusive 1-based pixels, so its widths are xmax - xmin + 1. The library's boxes are
continuous and half-open with x0 = xmin - 1 and x1 = xmax: widths, intersections and unions are the same
numbers, and plain continuous overlap here *is* the kit's overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neocog.metrics.flat import FlatDetections, FlatObjects, flatten
from neocog.types import Detections, Objects


@dataclass(frozen=True)
class VocClass:
    """One class: its average precisions and the curve they summarise."""

    name: str
    voc07_ap: float | None  # 11-point; None when no object of the class counts
    voc_ap: float | None  # area under the whole curve; None likewise
    positives: int  # objects that count: not difficult
    detections: int  # detections of the class, with those that fall on difficult objects
    precision: np.ndarray  # (D,) after each detection that counts, best score first
    recall: np.ndarray  # (D,)
    scores: np.ndarray  # (D,) the score of each


@dataclass(frozen=True)
class VocResult:
    """Mean average precision over the classes that have an object, and every class in label order."""

    voc07_map: float | None  # 11-point; None when no class has an object
    voc_map: float | None  # area under the whole curve; None likewise
    iou_threshold: float
    classes: tuple[VocClass, ...]

    def metrics(self) -> dict[str, float | None]:
        """The means under the names of `evaluation.json`: `voc07_map50`, `voc_map50` at threshold 0.5."""
        percent = f"{100 * self.iou_threshold:g}"
        return {f"voc07_map{percent}": self.voc07_map, f"voc_map{percent}": self.voc_map}


def voc_average_precision(
    truths: Sequence[Objects],
    predictions: Sequence[Detections],
    classes: Sequence[str],
    iou_threshold: float = 0.5,
) -> VocResult:
    """Average precision of every class over a whole set of images, by the rules of the VOC kit.

    Detections of a class are taken best score first (equal scores: by image, then as listed). Each looks up
    the object of its class and image that it overlaps most, whether difficult, already found or not. Overlap
    below `iou_threshold`: a false positive. Object difficult (`Objects.ignore`): the detection does not
    count. Object not found before: a true positive. Else a duplicate, a false positive, even where another
    object overlaps enough too.

    5,000 images with 500,000 detections of 20 classes take half a second on one CPU thread.

    Args:
        truths: one per image; boxes in pixels of the original picture.
        predictions: one per image, in the same order.
        classes: names of the K classes; label k is `classes[k]`.
        iou_threshold: overlap in (0, 1] that counts as found (reaching it is enough).

    Raises ValueError for a threshold out of range, sequences of unequal length or a label out of range, and
    NumbersError for a score or a box that is not finite.
    """
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"iou_threshold is {iou_threshold}; it must be above 0 and at most 1")
    objects, detections = flatten(truths, predictions, len(classes))
    results = []
    for label, name in enumerate(classes):
        those, found = objects.labels == label, detections.labels == label
        results.append(
            _one_class(
                name,
                FlatObjects(*(column[those] for column in objects)),
                FlatDetections(*(column[found] for column in detections)),
                len(truths),
                iou_threshold,
            )
        )
    return VocResult(
        voc07_map=_mean([result.voc07_ap for result in results]),
        voc_map=_mean([result.voc_ap for result in results]),
        iou_threshold=iou_threshold,
        classes=tuple(results),
    )


def _one_class(
    name: str, objects: FlatObjects, detections: FlatDetections, image_count: int, iou_threshold: float
) -> VocClass:
    order = np.argsort(-detections.scores, kind="stable")
    ranked = FlatDetections(*(column[order] for column in detections))
    overlap, target = _best_object(objects, ranked, image_count)
    reached = np.flatnonzero(overlap >= iou_threshold)
    # The target of a detection does not depend on what was found before, so the first detection of each
    # object is the one that finds it, and the order of events needs no loop.
    first_claims = reached[np.unique(target[reached], return_index=True)[1]]
    correct = np.zeros(len(order), dtype=bool)
    correct[first_claims] = True
    # A detection on a difficult object leaves the curve where it was; before the first that counts the kit
    # has 0/0 there, which its maximum skips. Dropping it is the same.
    counts = np.ones(len(order), dtype=bool)
    counts[reached] = ~objects.ignore[target[reached]]
    correct = correct[counts]

    positives = int(np.count_nonzero(~objects.ignore))
    true_positives = np.cumsum(correct)
    precision = true_positives / np.arange(1, len(correct) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return VocClass(
        name=name,
        voc07_ap=_eleven_point(true_positives, envelope, positives) if positives else None,
        # Recall rises by 1 / positives at each true positive and nowhere else.
        voc_ap=float(envelope[correct].sum() / positives) if positives else None,
        positives=positives,
        detections=len(order),
        precision=precision,
        recall=true_positives / max(positives, 1),
        scores=ranked.scores[counts],
    )


def _best_object(
    objects: FlatObjects, detections: FlatDetections, image_count: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each detection the overlap (D,) with its best object of the same image (first of equals) and that
    object's index (D,); overlap 0 where there is none.

    Goes through the objects by rank within their image: all first ones, all second ones, and so on, so that
    memory stays proportional to the number of detections.
    """
    per_image = np.bincount(objects.images, minlength=image_count)
    first = np.cumsum(per_image) - per_image
    overlap = np.zeros(len(detections.images))
    target = np.zeros(len(detections.images), dtype=np.int64)
    remaining = np.arange(len(detections.images))
    for rank in range(per_image.max(initial=0)):
        remaining = remaining[per_image[detections.images[remaining]] > rank]
        candidates = first[detections.images[remaining]] + rank
        ious = _paired_iou(detections.boxes[remaining], objects.boxes[candidates])
        better = ious > overlap[remaining]
        overlap[remaining[better]] = ious[better]
        target[remaining[better]] = candidates[better]
    return overlap, target


def _paired_iou(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Overlap (N,) of boxes (N, 4) with boxes (N, 4), one by one; 0 where they share no area."""
    corner = np.minimum(left[:, 2:], right[:, 2:]) - np.maximum(left[:, :2], right[:, :2])
    shared = corner.clip(min=0).prod(axis=1)
    union = (left[:, 2:] - left[:, :2]).prod(axis=1) + (right[:, 2:] - right[:, :2]).prod(axis=1) - shared
    iou: np.ndarray = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
    return iou


def _eleven_point(true_positives: np.ndarray, envelope: np.ndarray, positives: int) -> float:
    """Mean over recall 0, 0.1, ..., 1 of the best precision at that recall or beyond (0 if never reached).

    Recall is compared in whole numbers (10 TP >= t positives): in floating point 3 * 0.1 exceeds 0.3, and a
    recall of exactly 0.3 would not reach its own threshold.
    """
    starts = np.searchsorted(10 * true_positives, np.arange(11) * positives, side="left")
    return float(np.append(envelope, 0.0)[starts].mean())


def _mean(values: list[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None
