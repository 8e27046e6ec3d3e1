"""The judgement of boxes that every format shares."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neocog.data.report import Outcome

ROUNDING = 0.01
"""Pixels a box may stick out of its image unreported: six-digit YOLO files do, by rounding."""

MOST_COORDINATE = 1e7


class Verdict(NamedTuple):
    """What `judge_boxes` says of one kind of box."""

    reason: str
    remedy: str
    outcome: Outcome | None


VERDICTS = (
    Verdict("", "", None),
    Verdict("box reaches outside the image", "clipped", Outcome.FIXED),
    Verdict("box is not finite", "", Outcome.DROPPED),
    Verdict("box coordinate out of range", "", Outcome.DROPPED),
    Verdict("box is inverted", "left edge right of the right one, or top below bottom", Outcome.DROPPED),
    Verdict("box has zero area", "", Outcome.DROPPED),
    Verdict("box lies outside the image", "", Outcome.DROPPED),
)
FINE, CLIPPED, NOT_FINITE, OUT_OF_RANGE, INVERTED, ZERO_AREA, OUTSIDE = range(len(VERDICTS))


def judge_boxes(boxes: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) float64 in images of `sizes` (N, 2) height, width: clipped float32 boxes, verdicts (N,).

    A verdict indexes `VERDICTS`; of several the gravest counts. Boxes to be dropped come out as zeros.
    """
    finite = np.isfinite(boxes).all(axis=1)
    near = finite & (np.abs(np.where(np.isfinite(boxes), boxes, 0)) <= MOST_COORDINATE).all(axis=1)
    safe = np.where(near[:, None], boxes, 0.0)
    limits = sizes[:, [1, 0, 1, 0]].astype(np.float64)
    clipped = np.minimum(np.maximum(safe, 0.0), limits).astype(np.float32)
    verdicts = np.zeros(len(boxes), np.int8)
    verdicts[(np.abs(clipped - safe) > ROUNDING).any(axis=1)] = CLIPPED
    # After rounding to float32 a sliver may vanish; it is then as empty as one written empty.
    verdicts[(clipped[:, 2:] <= clipped[:, :2]).any(axis=1)] = ZERO_AREA
    verdicts[(safe[:, 2:] <= 0).any(axis=1) | (safe[:, :2] >= limits[:, :2]).any(axis=1)] = OUTSIDE
    verdicts[(safe[:, 2:] == safe[:, :2]).any(axis=1)] = ZERO_AREA
    verdicts[(safe[:, 2:] < safe[:, :2]).any(axis=1)] = INVERTED
    verdicts[~near] = OUT_OF_RANGE
    verdicts[~finite] = NOT_FINITE
    clipped[verdicts > CLIPPED] = 0
    return clipped, verdicts
