"""Random truths and predictions for the detection metrics, with everything that is awkward in them: ties of
score, overlaps of exactly one half, duplicates, ignored objects, empty images, classes nobody uses."""

from __future__ import annotations

import numpy as np
import torch

from neocog.types import Detections, Objects


def random_world(
    seed: int, images: int = 6, class_count: int = 5, max_detections: int = 40, *, grid: int = 1
) -> tuple[list[Objects], list[Detections]]:
    """Boxes in pictures of 200 x 200; class 1 never has an object, class 3 occurs nowhere.

    Corners are whole numbers of 1 / `grid` pixels. With a power of two all sizes are exact in float32, so
    that an overlap of exactly one half is one in every implementation.
    """
    rng = np.random.default_rng(seed)
    truths, predictions = [], []
    for _ in range(images):
        truth = _objects(rng, class_count, grid)
        truths.append(truth)
        predictions.append(_detections(rng, truth, class_count, max_detections, grid))
    return truths, predictions


def _boxes(rng: np.random.Generator, count: int, grid: int) -> np.ndarray:
    sides = grid * np.where(rng.random((count, 1)) < 0.3, 120, 40)
    corner = rng.integers(0, grid * 100, (count, 2))
    return np.concatenate([corner, corner + rng.integers(1, sides, (count, 2))], axis=1) / grid


def _objects(rng: np.random.Generator, class_count: int, grid: int) -> Objects:
    count = 0 if rng.random() < 0.2 else int(rng.integers(1, 9))
    allowed = [k for k in range(class_count) if k not in (1, 3)]
    return Objects(
        torch.tensor(_boxes(rng, count, grid), dtype=torch.float32).reshape(-1, 4),
        torch.tensor(rng.choice(allowed, count), dtype=torch.int64),
        torch.tensor(rng.random(count) < 0.25, dtype=torch.bool),
    )


def _detections(
    rng: np.random.Generator, truth: Objects, class_count: int, limit: int, grid: int
) -> Detections:
    count = 0 if rng.random() < 0.2 else int(rng.integers(0, limit + 1))
    boxes = _boxes(rng, count, grid)
    labels = rng.choice([k for k in range(class_count) if k != 3], count)
    for i in range(count):
        if len(truth) and rng.random() < 0.7:
            j = int(rng.integers(len(truth)))
            box = truth.boxes[j].numpy().astype(np.float64)
            boxes[i] = _near(rng, box, grid)
            labels[i] = int(truth.labels[j]) if rng.random() < 0.85 else labels[i]
    scores = np.sort(rng.integers(1, 12, count) / 12)[::-1].copy()  # few values: many ties
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores, dtype=torch.float32),
        torch.tensor(labels, dtype=torch.int64),
    )


def _near(rng: np.random.Generator, box: np.ndarray, grid: int) -> np.ndarray:
    """The same box, a box of exactly twice its area around it (overlap 1/2), or one moved a little."""
    kind = rng.integers(3)
    if kind == 0:
        return box
    if kind == 1:
        return np.array([box[0], box[1], 2 * box[2] - box[0], box[3]])
    low = box[:2] + rng.integers(-4 * grid, 4 * grid + 1, 2) / grid
    high = box[2:] + rng.integers(-4 * grid, 4 * grid + 1, 2) / grid
    return np.concatenate([low, np.maximum(high, low + 1 / grid)])
