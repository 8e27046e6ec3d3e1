"""Of figures of detection: plain counting of cells and overlaps, SciPy's and scikit-image's regions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import ndimage
from skimage.segmentation import felzenszwalb
from sklearn.metrics import rand_score
from tests.references.figures.check import Check
from torch import Tensor

from neocog.metrics.proposals import RecallResult
from neocog.pictures.figure import Figure
from neocog.proposals.colour import convert
from neocog.proposals.grouping import Hierarchy
from neocog.types import Proposals


def _iou(first: Sequence[float], second: Sequence[float]) -> float:
    wide = min(first[2], second[2]) - max(first[0], second[0])
    high = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(wide, 0) * max(high, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return shared / (sum(areas) - shared)


def _answered_for(figure: Figure) -> None:
    """Cells by the centres, boxes by SSD's formula, matches by the overlap, for objects that have some."""
    objects = figure.values["objects"].tolist()
    for (x0, y0, x1, y1), cell in zip(objects, figure.values["cells"].tolist(), strict=True):
        assert cell == [math.floor((x0 + x1) / 2 / 16), math.floor((y0 + y1) / 2 / 16)]
    answered = set()
    for cells, small, large in ((8, 24, 52), (4, 52, 100)):
        boxes, matched = figure.values[f"boxes {cells}"], figure.values[f"matched {cells}"]
        between, long = math.sqrt(small * large), small * math.sqrt(2)
        shapes = [(small, small), (between, between), (long, long / 2), (long / 2, long)]
        step = 128 / cells
        expected = [
            (
                step * (j + 0.5) - w / 2,
                step * (i + 0.5) - h / 2,
                step * (j + 0.5) + w / 2,
                step * (i + 0.5) + h / 2,
            )
            for i in range(cells)
            for j in range(cells)
            for w, h in shapes
        ]
        np.testing.assert_allclose(boxes, expected, atol=1e-3)
        for box, label in zip(expected, matched.tolist(), strict=True):
            overlaps = [_iou(box, one) for one in objects]
            assert label == (int(np.argmax(overlaps)) if max(overlaps) >= 0.5 else -1)
        answered |= set(matched.tolist())
    assert answered == {-1, *range(len(objects))}


def _moved(result: Tensor) -> Tensor:
    return result + 20 if result.is_floating_point() else result.roll(1)


def _proposed(figure: Figure) -> None:
    values = figure.values
    segments, regions = values["segments"], values["regions"]
    colours = convert(values["picture"], "hsv").astype(np.float64)
    theirs = felzenszwalb(colours / 255, scale=50, sigma=0.8, min_size=50, channel_axis=-1)
    assert rand_score(theirs.ravel(), segments.ravel()) > 0.99
    assert len(np.unique(regions)) == 25
    for label in np.unique(regions):
        parts = np.unique(segments[regions == label])
        assert (np.isin(segments, parts) == (regions == label)).all(), "a region is made of whole segments"
        assert ndimage.label(regions == label, np.ones((3, 3)))[1] == 1, "that are neighbours"
    for row, overlap in zip(values["recall"], (0.5, 0.7), strict=True):
        for share, count in zip(row.tolist(), (1, 2, 5, 10, 20, 50, 100, 200, 400), strict=True):
            assert math.isclose(share, _recall(values["truths"], values["proposals"], count, overlap))
    assert values["recall"][0, -1] > 0.9
    drawn = values["truths"][values["truths"][:, 0] == 22, 1:]
    own = values["proposals"][values["proposals"][:, 0] == 22, 1:]
    best = [max(_iou(one, box) for box in own.tolist()) for one in drawn.tolist()]
    np.testing.assert_allclose(values["best"], best, rtol=1e-4)


def _recall(truths: np.ndarray, proposals: np.ndarray, count: int, overlap: float) -> float:
    found = []
    for picture, *truth in truths.tolist():
        boxes = proposals[proposals[:, 0] == picture, 1:][:count].tolist()
        found.append(any(_iou(truth, box) >= overlap for box in boxes))
    return float(np.mean(found))


def _wrong_regions(result: Any) -> Any:
    match result:
        case Proposals():
            return Proposals(result.boxes + 40, result.scores)
        case RecallResult():
            return replace(result, recall=0.9 * result.recall)
        case Hierarchy():
            parents = np.full_like(result.parents, len(result) - 1)
            parents[-1] = -1
            return replace(result, parents=parents)
        case Tensor():
            return result * 0.9
        case _:
            return np.roll(result, 30, axis=1)


CHECKS = {
    "region-proposals": Check(
        _proposed, ("segment", "grouped", "selective_search", "proposal_recall", "iou"), _wrong_regions
    ),
    "single-shot-grid": Check(_answered_for, ("box_shapes", "grid_boxes", "match", "to_centre"), _moved),
}
