"""Where detectors differ: the same average precision on small and large objects, in sparse and crowded
pictures.

The thirds follow the data, not fixed numbers of pixels: COCO's "small" is below 32 pixels a side, which may
be all objects of a data set or none.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from neocog.metrics.voc import voc_average_precision
from neocog.types import Detections, Objects

PARTS = 3


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a test set."""

    low: float
    high: float
    middle: float  # the median of it
    objects: int  # that count
    voc_map: float | None  # VOC AP50 over the classes that have an object in it


def by_size(
    truths: Sequence[Objects], predictions: Sequence[Detections], classes: Sequence[str]
) -> list[Slice]:
    """AP50 on the smallest third of the objects, the middle and the largest, by the root of their area in
    pixels.

    The other objects are ignored as difficult ones are, and so are detections that fall on them. Detections
    on nothing count against every third alike.
    """
    sides = [_sides(truth) for truth in truths]

    def only(low: float, high: float) -> tuple[list[Objects], list[Detections]]:
        kept = []
        for truth, side in zip(truths, sides, strict=True):
            kept.append(replace(truth, ignore=truth.ignore | (side < low) | (side >= high)))
        return kept, list(predictions)

    counted = [side[~truth.ignore] for truth, side in zip(truths, sides, strict=True)]
    return _slices(torch.cat(counted).numpy() if counted else np.zeros(0), only, classes)


def by_crowd(
    truths: Sequence[Objects], predictions: Sequence[Detections], classes: Sequence[str]
) -> list[Slice]:
    """AP50 on the third of the pictures with the fewest objects, the middle and the third with the most."""
    counts = np.array([int((~truth.ignore).sum()) for truth in truths], dtype=float)

    def only(low: float, high: float) -> tuple[list[Objects], list[Detections]]:
        own = np.flatnonzero((counts >= low) & (counts < high)).tolist()
        return [truths[index] for index in own], [predictions[index] for index in own]

    return _slices(counts[counts > 0], only, classes)


def _sides(objects: Objects) -> torch.Tensor:
    return (objects.boxes[:, 2:] - objects.boxes[:, :2]).clamp(min=0).prod(1).sqrt()


def _slices(
    values: np.ndarray,
    only: Callable[[float, float], tuple[list[Objects], list[Detections]]],
    classes: Sequence[str],
) -> list[Slice]:
    """The thirds of these values. Where many are equal a third may be empty, and is left out."""
    if not len(values):
        return []
    ranked = np.sort(values)
    starts = [float(ranked[len(ranked) * part // PARTS]) for part in range(PARTS)]
    edges = [*starts, float(np.nextafter(ranked[-1], np.inf))]
    slices = []
    for low, high in itertools.pairwise(edges):
        own = values[(values >= low) & (values < high)]
        if len(own):
            truths, predictions = only(low, high)
            result = voc_average_precision(truths, predictions, classes)
            objects = sum(one.positives for one in result.classes)
            slices.append(Slice(low, float(own.max()), float(np.median(own)), objects, result.voc_map))
    return slices
