"""How well every pixel is named: the measures of the FCN paper, and how well the boundaries fit.

Long, Shelhamer and Darrell 2015, arXiv:1411.4038, section 5, as its authors' `score.py` computes them. With
n_ij the pixels of class i called j in the **whole set**, t_i = sum_j n_ij, and pixels whose truth is 255 left
out:

- `pixel_accuracy` is sum_i n_ii / sum_i t_i;
- `mean_accuracy` the mean of n_ii / t_i over classes that the truth shows;
- `mean_iou` the mean of n_ii / (t_i + sum_j n_ji - n_ii) over classes that truth or answers show;
- `frequency_weighted_iou` the mean of those, each class weighted by its t_i.

`boundary_f1` follows Csurka, Larlus and Perronnin 2013 ("What is a good evaluation measure for semantic
segmentation?"). A pixel of class k lies on its boundary if a pixel above, below, left or right of it, in the
picture, is of another class. It is matched if a boundary pixel of class k of the other map lies within the
tolerance: 0.75 % of the picture's diagonal, at least one pixel, between centres. Precision is the matched
share of the answer's boundary, recall of the truth's; of their harmonic mean, which is 0 where only one of
the two maps has a boundary of k, the mean is taken over pictures in which either has one, and then over
classes. Pixels that are ignored count as of the class of the nearest that are not; boundaries farther than
the tolerance from all of these are left out. So the ignored seams that VOC draws around objects are divided
in their middle, and nothing is asked of what lies inside an ignored area.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neocog.types import IGNORED_PIXEL

TOLERANCE = 0.0075
"""Of the picture's diagonal: how far a boundary may lie from the true one."""

Labels = NDArray[np.uint8]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SegmentationRecord:
    """What the metrics need of one picture: a few hundred bytes, whatever its size."""

    cells: Counts  # (n,) places in the flattened (K, K) confusion matrix that are not 0, ascending
    pixels: Counts  # (n,) the pixels of each
    classes: Counts  # (m,) those with a boundary in either map, ascending
    boundary: Counts  # (m, 4) pixels of the answer's boundary, matched ones; of the truth's, matched ones

    @property
    def boundary_f1(self) -> NDArray[np.float64]:
        """(m,) F1 of the boundary of each of `classes` in this picture."""
        made, hit, there, found = self.boundary.T.astype(np.float64)
        precision, recall = hit / np.maximum(made, 1), found / np.maximum(there, 1)
        f1: NDArray[np.float64] = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        return f1


@dataclass(frozen=True, slots=True)
class SegmentationResult:
    """The measures of a set of pictures. None where nothing of a kind was there to be measured."""

    classes: tuple[str, ...]
    pictures: int
    confusion: Counts  # (K, K) pixels of true class (row) called another (column)
    boundary: NDArray[np.float64]  # (K,) mean F1 of each class's boundary, NaN where it never has one

    def metrics(self) -> dict[str, float | None]:
        rows = self.per_class().values()
        truth, total = self.confusion.sum(axis=1), int(self.confusion.sum())
        weighted = sum(count * (row["iou"] or 0.0) for count, row in zip(truth.tolist(), rows, strict=True))
        return {
            "mean_iou": _mean(row["iou"] for row in rows),
            "pixel_accuracy": int(self.confusion.trace()) / total if total else None,
            "mean_accuracy": _mean(row["accuracy"] for row in rows),
            "frequency_weighted_iou": weighted / total if total else None,
            "boundary_f1": _mean(row["boundary_f1"] for row in rows),
        }

    def per_class(self) -> dict[str, dict[str, Any]]:
        """For each class `iou`, `accuracy`, `boundary_f1` (None where it is absent) and true `pixels`."""
        right = self.confusion.diagonal().tolist()
        truth, called = self.confusion.sum(axis=1).tolist(), self.confusion.sum(axis=0).tolist()
        result = {}
        for k, name in enumerate(self.classes):
            union = truth[k] + called[k] - right[k]
            f1 = float(self.boundary[k])
            result[name] = {
                "iou": right[k] / union if union else None,
                "accuracy": right[k] / truth[k] if truth[k] else None,
                "boundary_f1": None if math.isnan(f1) else f1,
                "pixels": truth[k],
            }
        return result


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def record(truth: Labels, labels: Labels, classes: int) -> SegmentationRecord:
    """What one picture contributes: its true labels (H, W) uint8, 255 ignored, and those of an answer.

    Raises ValueError for maps of two sizes, other types, or a class that is not in 0..classes-1.
    """
    from neocog.metrics import _kernels_segmentation as kernels

    for map_ in (truth, labels):
        if map_.dtype != np.uint8 or map_.ndim != 2 or map_.shape != truth.shape:
            raise ValueError(
                f"expected two uint8 maps of one size, got {truth.dtype} of {truth.shape} "
                f"and {labels.dtype} of {labels.shape}"
            )
    if not 1 <= classes <= IGNORED_PIXEL:
        raise ValueError(f"expected 1 to {IGNORED_PIXEL} classes, got {classes}")
    truth, labels = np.ascontiguousarray(truth), np.ascontiguousarray(labels)
    counts = np.zeros((classes, classes), np.int64)
    if not kernels.confusion(truth, labels, counts):
        raise ValueError(f"a pixel's class is not in 0..{classes - 1}")
    cells = np.flatnonzero(counts)
    boundary = _match(truth, labels, classes) if len(cells) else np.zeros((classes, 4), np.int64)
    present = np.flatnonzero(boundary.any(axis=1))
    return SegmentationRecord(cells, counts.reshape(-1)[cells], present, boundary[present])


def _match(truth: Labels, labels: Labels, classes: int) -> Counts:
    """(K, 4) boundary pixels of the answer and those matched; of the truth and those matched."""
    from neocog.metrics import _kernels_segmentation as kernels

    tolerance = max(TOLERANCE * math.hypot(*truth.shape), 1.0)
    ignored = truth == IGNORED_PIXEL
    if ignored.any():
        from scipy.ndimage import distance_transform_edt

        far, nearest = distance_transform_edt(ignored, return_indices=True)
        truth = np.ascontiguousarray(truth[tuple(nearest)])
    there, made = kernels.boundaries(truth), kernels.boundaries(labels)
    if ignored.any():
        there[far > tolerance] = made[far > tolerance] = IGNORED_PIXEL
    counts = np.zeros((2, classes, 2), np.int64)
    offsets = _disk(tolerance)
    kernels.count_matches(made, there, offsets, counts[0])
    kernels.count_matches(there, made, offsets, counts[1])
    return np.concatenate([counts[0], counts[1]], axis=1)


@lru_cache(maxsize=16)
def _disk(radius: float) -> NDArray[np.int64]:
    """Whole steps (n, 2) down and across no longer than `radius`, the shortest first."""
    reach = int(radius)
    steps = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
    lengths = (steps**2).sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    inside: NDArray[np.int64] = steps[order[lengths[order] <= radius**2]].astype(np.int64)
    return inside


def summarize(records: Iterable[SegmentationRecord], classes: Sequence[str]) -> SegmentationResult:
    """The measures of a set, from the records of its pictures, for classes of these names."""
    count, pictures = len(classes), 0
    confusion = np.zeros((count, count), np.int64)
    sums, seen = np.zeros(count), np.zeros(count, np.int64)
    for one in records:
        pictures += 1
        confusion.reshape(-1)[one.cells] += one.pixels
        sums[one.classes] += one.boundary_f1
        seen[one.classes] += 1
    boundary = np.where(seen > 0, sums / np.maximum(seen, 1), np.nan)
    return SegmentationResult(tuple(classes), pictures, confusion, boundary)
