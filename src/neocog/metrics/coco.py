"""The twelve numbers of the COCO detection challenge, by faster-coco-eval.

T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, and `cocoeval.py` of its API, which
fixes what the paper leaves open. The numbers equal the API's; only the speed differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from neocog.metrics.flat import FlatDetections, FlatObjects, flatten
from neocog.types import Detections, Objects

_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
_IOU50, _IOU75 = 0, 5


@dataclass(frozen=True)
class CocoClass:
    """One class over all sizes with at most 100 detections an image; None when it has no object."""

    name: str
    coco_ap: float | None  # mean over overlap 0.50, 0.55, ..., 0.95
    coco_ap50: float | None
    coco_ap75: float | None


@dataclass(frozen=True)
class CocoResult:
    """Means over the classes that have an object; None where none has. Small: area up to 32^2, medium: up to
    96^2, large: above. AP: mean over overlap 0.50:0.05:0.95 of the 101-point average precision. AR: mean of
    the highest recall with at most 1, 10 or 100 detections an image and class.
    """

    coco_ap: float | None
    coco_ap50: float | None
    coco_ap75: float | None
    coco_ap_small: float | None
    coco_ap_medium: float | None
    coco_ap_large: float | None
    coco_ar_1: float | None
    coco_ar_10: float | None
    coco_ar_100: float | None
    coco_ar_small: float | None
    coco_ar_medium: float | None
    coco_ar_large: float | None
    classes: tuple[CocoClass, ...]

    def metrics(self) -> dict[str, float | None]:
        """The twelve numbers under the names of `evaluation.json`, in the order of the COCO API."""
        return {name: value for name, value in asdict(self).items() if name != "classes"}


def coco_average_precision(
    truths: Sequence[Objects],
    predictions: Sequence[Detections],
    classes: Sequence[str],
    areas: Sequence[Tensor | np.ndarray] | None = None,
) -> CocoResult:
    """COCO's average precision and recall over a whole set of images.

    Args:
        truths: one per image; boxes in pixels of the original picture. `ignore` marks crowds: a detection may
            fall on one any number of times without counting.
        predictions: one per image, in the same order.
        classes: names of the K classes; label k is `classes[k]`.
        areas: one (N,) per image, the area in square pixels that decides between small, medium and large
            (COCO's own annotations give the area of the segment). Default: the area of the box.

    Raises ValueError for sequences of unequal length or a label out of range, and NumbersError for a score or
    a box that is not finite.
    """
    objects, detections = flatten(truths, predictions, len(classes))
    sizes = _areas(objects, truths, areas)
    if not truths or not classes:
        precision, recall = (
            np.full((10, 101, len(classes), 4, 3), -1.0),
            np.full((10, len(classes), 4, 3), -1.0),
        )
    else:
        precision, recall = _evaluate(objects, sizes, detections, len(truths), len(classes))
    ap, ar = precision[..., -1], recall[..., -1]  # at most 100 detections
    return CocoResult(
        coco_ap=_mean(ap[..., _ALL]),
        coco_ap50=_mean(ap[_IOU50, ..., _ALL]),
        coco_ap75=_mean(ap[_IOU75, ..., _ALL]),
        coco_ap_small=_mean(ap[..., _SMALL]),
        coco_ap_medium=_mean(ap[..., _MEDIUM]),
        coco_ap_large=_mean(ap[..., _LARGE]),
        coco_ar_1=_mean(recall[..., _ALL, 0]),
        coco_ar_10=_mean(recall[..., _ALL, 1]),
        coco_ar_100=_mean(ar[..., _ALL]),
        coco_ar_small=_mean(ar[..., _SMALL]),
        coco_ar_medium=_mean(ar[..., _MEDIUM]),
        coco_ar_large=_mean(ar[..., _LARGE]),
        classes=tuple(
            CocoClass(
                name,
                coco_ap=_mean(ap[:, :, k, _ALL]),
                coco_ap50=_mean(ap[_IOU50, :, k, _ALL]),
                coco_ap75=_mean(ap[_IOU75, :, k, _ALL]),
            )
            for k, name in enumerate(classes)
        ),
    )


def _evaluate(
    objects: FlatObjects, sizes: np.ndarray, detections: FlatDetections, image_count: int, class_count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Precision (T, 101, K, areas, limits) and recall (T, K, areas, limits), -1 where there is no object."""
    from faster_coco_eval import COCO, COCOeval_faster

    def silent(*_: object) -> None:
        """Takes the place of the evaluator's printing."""

    tables = {
        "images": [{"id": 1 + image} for image in range(image_count)],
        "categories": [{"id": 1 + k} for k in range(class_count)],
    }
    truth = COCO({**tables, "annotations": _truth_records(objects, sizes)}, print_function=silent)
    found = COCO({**tables, "annotations": _detection_records(detections)}, print_function=silent)
    evaluator = COCOeval_faster(truth, found, "bbox", print_function=silent)
    evaluator.evaluate()
    evaluator.accumulate()
    return np.asarray(evaluator.eval["precision"]), np.asarray(evaluator.eval["recall"])


def _records(flat: FlatObjects | FlatDetections, areas: np.ndarray) -> list[dict[str, Any]]:
    """What both kinds of annotation share. Ids count from 1: the evaluator takes id 0 for "no match"."""
    boxes = np.concatenate([flat.boxes[:, :2], flat.boxes[:, 2:] - flat.boxes[:, :2]], axis=1)
    columns = zip(flat.images.tolist(), flat.labels.tolist(), boxes.tolist(), areas.tolist(), strict=True)
    return [
        {"id": i, "image_id": 1 + image, "category_id": 1 + label, "bbox": box, "area": area}
        for i, (image, label, box, area) in enumerate(columns, start=1)
    ]


def _truth_records(objects: FlatObjects, areas: np.ndarray) -> list[dict[str, Any]]:
    records = _records(objects, areas)
    for record, crowd in zip(records, objects.ignore.tolist(), strict=True):
        record["iscrowd"] = int(crowd)
    return records


def _detection_records(detections: FlatDetections) -> list[dict[str, Any]]:
    records = _records(detections, _box_areas(detections.boxes))
    for record, score in zip(records, detections.scores.tolist(), strict=True):
        record["score"] = score
    return records


def _box_areas(boxes: np.ndarray) -> np.ndarray:
    areas: np.ndarray = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return areas


def _areas(
    objects: FlatObjects, truths: Sequence[Objects], areas: Sequence[Tensor | np.ndarray] | None
) -> np.ndarray:
    if areas is None:
        return _box_areas(objects.boxes)
    if [len(area) for area in areas] != [len(truth) for truth in truths]:
        raise ValueError("areas: expected one value for each object of each image")
    joined = np.concatenate([np.zeros(0), *(np.asarray(area, dtype=np.float64) for area in areas)])
    if not np.isfinite(joined).all():
        raise ValueError("areas: one is not finite")
    return joined


def _mean(values: np.ndarray) -> float | None:
    """Mean of the values that exist; the evaluator marks the others with -1."""
    present = values[values > -1]
    return float(present.mean()) if present.size else None
