"""Truths and detections of many images as flat arrays: the form in which the detection metrics count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neocog.errors import NumbersError
from neocog.types import Detections, Objects


class FlatObjects(NamedTuple):
    """The objects of all images, image after image."""

    images: np.ndarray  # (N,) int64: position of the image in its sequence, ascending
    boxes: np.ndarray  # (N, 4) float64
    labels: np.ndarray  # (N,) int64
    ignore: np.ndarray  # (N,) bool


class FlatDetections(NamedTuple):
    """The detections of all images, image after image, each image's in the order given."""

    images: np.ndarray  # (N,) int64: position of the image in its sequence, ascending
    boxes: np.ndarray  # (N, 4) float64
    labels: np.ndarray  # (N,) int64
    scores: np.ndarray  # (N,) float64


def flatten(
    truths: Sequence[Objects], predictions: Sequence[Detections], class_count: int
) -> tuple[FlatObjects, FlatDetections]:
    """Join the objects and the detections of all images.

    Raises ValueError when the two sequences differ in length, a label is not in 0..class_count-1 or a box of
    the truth is not finite; NumbersError for a score or box of the predictions that is not finite.
    """
    if len(truths) != len(predictions):
        raise ValueError(f"{len(truths)} images of truth but {len(predictions)} of predictions")
    objects = FlatObjects(
        _images(truths),
        _join([truth.boxes for truth in truths], torch.zeros(0, 4)).astype(np.float64),
        _join([truth.labels for truth in truths], torch.zeros(0, dtype=torch.int64)),
        _join([truth.ignore for truth in truths], torch.zeros(0, dtype=torch.bool)),
    )
    detections = FlatDetections(
        _images(predictions),
        _join([found.boxes for found in predictions], torch.zeros(0, 4)).astype(np.float64),
        _join([found.labels for found in predictions], torch.zeros(0, dtype=torch.int64)),
        _join([found.scores for found in predictions], torch.zeros(0)).astype(np.float64),
    )
    for what, labels in (("truth", objects.labels), ("predictions", detections.labels)):
        if len(labels) and not 0 <= labels.min() <= labels.max() < class_count:
            raise ValueError(
                f"labels of {what} span {labels.min()}..{labels.max()}, not 0..{class_count - 1}"
            )
    _require_finite(objects, detections)
    return objects, detections


def _require_finite(objects: FlatObjects, detections: FlatDetections) -> None:
    """A number that is not finite would pass every comparison as false, and end as a plausible score."""
    bad = objects.images[~np.isfinite(objects.boxes).all(axis=1)]
    if len(bad):
        raise ValueError(f"truth of image {bad[0]}: a box is not finite")
    for what, values in (("score", detections.scores[:, None]), ("box", detections.boxes)):
        bad = detections.images[~np.isfinite(values).all(axis=1)]
        if len(bad):
            raise NumbersError(f"predictions of image {bad[0]}: a {what} is not finite")


def _images(items: Sequence[Objects] | Sequence[Detections]) -> np.ndarray:
    return np.repeat(np.arange(len(items)), [len(item) for item in items])


def _join(parts: list[Tensor], empty: Tensor) -> np.ndarray:
    """One array from a tensor an image; `empty` gives shape and type where there is no image."""
    joined: np.ndarray = torch.cat([part.detach().cpu() for part in [empty, *parts]]).numpy()
    return joined
