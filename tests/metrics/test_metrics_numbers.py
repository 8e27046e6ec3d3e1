"""A score or a box that is not finite is told; it never becomes a metric."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.references.worlds import random_world

from neocog.errors import NumbersError
from neocog.metrics.coco import coco_average_precision
from neocog.metrics.voc import voc_average_precision
from neocog.types import Detections, Objects

CLASSES = ("car", "bus", "dog", "ship", "cat")
METRICS = {"coco": coco_average_precision, "voc": voc_average_precision}
KINDS = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["score", "box"])
@pytest.mark.parametrize("metric", METRICS)
def test_in_a_prediction(metric: str, what: str, kind: float) -> None:
    truths, predictions = random_world(4, images=8)
    image = max(range(8), key=lambda place: len(predictions[place]))
    boxes, scores = predictions[image].boxes.clone(), predictions[image].scores.clone()
    (scores if what == "score" else boxes).flatten()[-1:].fill_(kind)
    predictions[image] = Detections(boxes, scores, predictions[image].labels)
    with pytest.raises(NumbersError, match=rf"^predictions of image {image}: a {what} is not finite$"):
        METRICS[metric](truths, predictions, CLASSES)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", METRICS)
def test_in_the_truth(metric: str, kind: float) -> None:
    truths, predictions = random_world(4, images=8)
    image = max(range(8), key=lambda place: len(truths[place]))
    boxes = truths[image].boxes.clone()
    boxes[0, 2] = kind
    truths[image] = Objects(boxes, truths[image].labels, truths[image].ignore)
    with pytest.raises(ValueError, match=rf"^truth of image {image}: a box is not finite$"):
        METRICS[metric](truths, predictions, CLASSES)


def test_in_the_areas() -> None:
    truths, predictions = random_world(4, images=8)
    areas = [np.full(len(item), 100.0) for item in truths]
    areas[max(range(8), key=lambda place: len(areas[place]))][0] = math.nan
    with pytest.raises(ValueError, match=r"^areas: one is not finite$"):
        coco_average_precision(truths, predictions, CLASSES, areas)


def test_the_largest_finite_numbers_are_no_reason_to_stop() -> None:
    largest = torch.finfo(torch.float32).max
    boxes = torch.tensor([[0.0, 0.0, largest, largest], [0.0, 0.0, 10.0, 10.0]])
    labels, ignore = torch.zeros(2).long(), torch.zeros(2, dtype=torch.bool)
    truths = [Objects(boxes, labels, ignore)]
    predictions = [Detections(boxes, torch.tensor([0.9, 0.8]), labels)]
    assert voc_average_precision(truths, predictions, ["box"]).voc_map == 1.0
    found = coco_average_precision(truths, predictions, ["box"])
    assert found.coco_ap == 1.0  # beyond 10^10 square pixels an object is of no size, and is ignored
