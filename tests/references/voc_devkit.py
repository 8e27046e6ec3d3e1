"""The rules of the VOC kit (`VOCevaldet.m`, `VOCap.m`) in plain loops, in the kit's own terms: boxes are
inclusive 1-based pixels (xmin, ymin, xmax, ymax) and every width has + 1. Slow and obvious."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

Box = tuple[float, float, float, float]


class KitObject(NamedTuple):
    box: Box
    difficult: bool


class KitDetection(NamedTuple):
    image: int
    box: Box
    confidence: float


def kit_curve(
    objects: list[list[KitObject]], detections: list[KitDetection], min_overlap: float = 0.5
) -> tuple[list[int], list[int], int]:
    """Cumulative true and false positives after each detection, and the number of objects that count."""
    positives = sum(not item.difficult for image in objects for item in image)
    found = [[False] * len(image) for image in objects]
    tp, fp = 0, 0
    tps, fps = [], []
    for detection in sorted(detections, key=lambda d: -d.confidence):
        best, best_index = -math.inf, -1
        for index, item in enumerate(objects[detection.image]):
            width = min(detection.box[2], item.box[2]) - max(detection.box[0], item.box[0]) + 1
            height = min(detection.box[3], item.box[3]) - max(detection.box[1], item.box[1]) + 1
            if width > 0 and height > 0:
                union = _area(detection.box) + _area(item.box) - width * height
                overlap = width * height / union
                if overlap > best:
                    best, best_index = overlap, index
        if best >= min_overlap:
            if not objects[detection.image][best_index].difficult:
                if not found[detection.image][best_index]:
                    tp += 1
                    found[detection.image][best_index] = True
                else:
                    fp += 1
        else:
            fp += 1
        tps.append(tp)
        fps.append(fp)
    return tps, fps, positives


def kit_ap(tps: list[int], fps: list[int], positives: int) -> tuple[float, float] | None:
    """(11-point, whole curve); None without an object. Precision 0/0 is skipped, as the kit's max does."""
    if positives == 0:
        return None
    points = [
        (Fraction(tp, positives), Fraction(tp, tp + fp)) for tp, fp in zip(tps, fps, strict=True) if tp + fp
    ]
    eleven = Fraction(0)
    for t in range(11):
        eleven += max(
            (precision for recall, precision in points if recall >= Fraction(t, 10)), default=Fraction(0)
        )
    recalls = [Fraction(0), *(recall for recall, _ in points), Fraction(1)]
    precisions = [Fraction(0), *(precision for _, precision in points), Fraction(0)]
    for i in range(len(precisions) - 2, -1, -1):
        precisions[i] = max(precisions[i], precisions[i + 1])
    area = sum(
        (recalls[i] - recalls[i - 1]) * precisions[i]
        for i in range(1, len(recalls))
        if recalls[i] != recalls[i - 1]
    )
    return float(eleven / 11), float(area)


def _area(box: Box) -> float:
    return (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
