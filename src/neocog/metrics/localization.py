"""How well the one main object of each picture is found, and named.

CorLoc (Deselaers et al. 2012) asks for the place alone, localization accuracy for the class, too, as the
ImageNet localization task does with one guess. Overlaps are those of continuous boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neocog.errors import NumbersError
from neocog.ops.boxes import iou
from neocog.types import Localization, Objects

IOU = 0.5
"""Overlap from which on a box counts as found."""


@dataclass(frozen=True, slots=True)
class LocalizedClass:
    """One class, over the pictures that show it; None where there are none."""

    name: str
    count: int  # pictures
    mean_iou: float | None  # of the answer's box with the object of the class that it fits best
    corloc50: float | None  # share of pictures whose box overlaps an object of the class by half
    localization_accuracy: float | None  # which also name the class


@dataclass(frozen=True, slots=True)
class LocalizationResult:
    """Over pictures with an object that counts; None where there are none. All in [0, 1]."""

    mean_iou: float | None  # over pictures: of the answer's box with the object that it fits best
    corloc50: float | None  # mean over the classes that have a picture
    localization_accuracy: float | None  # share of pictures: an object of the named class, overlapped by half
    classes: tuple[LocalizedClass, ...]

    def metrics(self) -> dict[str, float | None]:
        """Under the names of `evaluation.json`."""
        return {
            "mean_iou": self.mean_iou,
            "corloc50": self.corloc50,
            "localization_accuracy": self.localization_accuracy,
        }

    def per_class(self) -> dict[str, dict[str, float | int | None]]:
        """The same by the name of the class, and the `count` of pictures."""
        return {
            one.name: {
                "mean_iou": one.mean_iou,
                "corloc50": one.corloc50,
                "localization_accuracy": one.localization_accuracy,
                "count": one.count,
            }
            for one in self.classes
        }


def localization_accuracy(
    truths: Sequence[Objects], answers: Sequence[Localization], classes: Sequence[str]
) -> LocalizationResult:
    """Judge an answer a picture against the objects that are there; ignored ones are none.

    A picture has one object as a rule. Of several, each class that it shows is judged by its own. Raises
    ValueError for sequences of unequal length, or a label out of range, and NumbersError for a score or a box
    of the predictions that is not finite.
    """
    if len(truths) != len(answers):
        raise ValueError(f"{len(truths)} images of truth but {len(answers)} of predictions")
    overlaps: list[float] = []  # a picture each
    rights: list[bool] = []
    by_class: list[list[tuple[float, bool]]] = [[] for _ in classes]  # overlap, and whether it is named
    for index, (truth, answer) in enumerate(zip(truths, answers, strict=True)):
        _check(index, truth, answer, len(classes))
        own = truth[~truth.ignore]
        if not len(own):
            continue
        found = iou(own.boxes.double(), answer.box.double()[None].to(own.boxes.device))[:, 0].tolist()
        best: dict[int, float] = {}
        for label, overlap in zip(own.labels.tolist(), found, strict=True):
            best[label] = max(overlap, best.get(label, 0.0))
        overlaps.append(max(found))
        rights.append(best.get(answer.label, 0.0) >= IOU)
        for label, overlap in best.items():
            by_class[label].append((overlap, label == answer.label))
    results = tuple(_one_class(name, rows) for name, rows in zip(classes, by_class, strict=True))
    return LocalizationResult(
        mean_iou=_mean(overlaps),
        corloc50=_mean([one.corloc50 for one in results if one.corloc50 is not None]),
        localization_accuracy=_mean(rights),
        classes=results,
    )


def _one_class(name: str, rows: Sequence[tuple[float, bool]]) -> LocalizedClass:
    return LocalizedClass(
        name,
        len(rows),
        _mean([overlap for overlap, _ in rows]),
        _mean([overlap >= IOU for overlap, _ in rows]),
        _mean([overlap >= IOU and named for overlap, named in rows]),
    )


def _check(index: int, truth: Objects, answer: Localization, count: int) -> None:
    if len(truth) and not 0 <= int(truth.labels.min()) <= int(truth.labels.max()) < count:
        raise ValueError(f"truth of image {index}: a label is not in 0..{count - 1}")
    if len(answer.scores) != count:
        raise ValueError(f"predictions of image {index}: {len(answer.scores)} scores, not {count}")
    for what, values in (("score", answer.scores), ("box", answer.box)):
        if not values.isfinite().all():
            raise NumbersError(f"predictions of image {index}: a {what} is not finite")


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
