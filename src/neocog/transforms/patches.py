"""SSD's augmentation: pictures made small on a large canvas, and patches that hold enough of some object.

Liu et al. 2016, arXiv:1512.02325, sections 2.2 ("Data augmentation") and 3.6; `sampler.cpp` and
`im_transforms.cpp` of the authors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neocog.errors import UsageError
from neocog.transforms.warp import Colour, Size
from neocog.types import Matrix

MEAN: Colour = (123, 117, 104)
"""The fill: the mean colour of the pictures that the authors' networks were trained on."""


@dataclass(frozen=True, slots=True)
class ZoomOut:
    """With a probability, put the picture anywhere on a canvas whose sides are up to `most` times larger."""

    most: float = 4.0
    probability: float = 0.5

    def __post_init__(self) -> None:
        if not (self.most >= 1 and 0 <= self.probability <= 1):
            raise UsageError(f"ZoomOut: needs most >= 1 and a probability in [0, 1], got {self}")

    def draw(self, rng: np.random.Generator, size: Size) -> tuple[Matrix, Size]:
        chance, ratio, down, right = rng.random(4)
        if chance >= self.probability:
            return (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), size
        ratio = 1 + ratio * (self.most - 1)
        new = round(size[0] * ratio), round(size[1] * ratio)
        x, y = round((new[1] - size[1]) * right), round((new[0] - size[0]) * down)
        return (1.0, 0.0, float(x), 0.0, 1.0, float(y)), new


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch of which some object covers enough, or any patch, or the whole picture.

    For each threshold up to `trials` patches are drawn, and the first is kept whose IoU with some object
    reaches it (0: any patch will do). One of those kept, and of the whole picture, is drawn at last. A patch
    has `low` to `high` of the picture's scale, and an aspect ratio between `1 / ratio` and `ratio` times the
    picture's.
    """

    thresholds: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9, 0.0)
    low: float = 0.3
    high: float = 1.0
    ratio: float = 2.0
    trials: int = 50

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high <= 1:
            raise UsageError(f"Patch: needs 0 < low <= high <= 1, got {self.low} and {self.high}")
        if self.ratio < 1 or self.trials < 1:
            raise UsageError(f"Patch: needs ratio >= 1 and trials >= 1, got {self.ratio} and {self.trials}")
        if not all(0 <= threshold <= 1 for threshold in self.thresholds):
            raise UsageError(f"Patch: thresholds lie in [0, 1], got {self.thresholds}")

    def look(self, rng: np.random.Generator, size: Size, boxes: NDArray[np.float32]) -> tuple[Matrix, Size]:
        """The map onto the patch and its size, for a picture with objects (N, 4)."""
        height, width = size
        patches = self._draw(rng, size).reshape(len(self.thresholds), self.trials, 4)
        best = _overlaps(patches, boxes).max(axis=-1, initial=0.0)
        enough = best >= np.array(self.thresholds)[:, None]
        found = [np.array([0, 0, width, height])]
        found += [some[good.argmax()] for some, good in zip(patches, enough, strict=True) if good.any()]
        x0, y0, x1, y1 = found[rng.integers(len(found))].tolist()
        return (1.0, 0.0, -float(x0), 0.0, 1.0, -float(y0)), (y1 - y0, x1 - x0)

    def _draw(self, rng: np.random.Generator, size: Size) -> NDArray[np.int64]:
        """Patches (thresholds * trials, 4), on whole pixels."""
        height, width = size
        scale, ratio, right, down = rng.random((4, len(self.thresholds) * self.trials))
        scale = self.low + scale * (self.high - self.low)
        least = np.maximum(1 / self.ratio, scale**2)  # neither side may be longer than the picture's
        ratio = least + ratio * (np.minimum(self.ratio, scale**-2.0) - least)
        w = np.clip(np.rint(width * scale * np.sqrt(ratio)), 1, width)
        h = np.clip(np.rint(height * scale / np.sqrt(ratio)), 1, height)
        x, y = np.rint((width - w) * right), np.rint((height - h) * down)
        return np.stack([x, y, x + w, y + h], axis=1).astype(np.int64)


def _overlaps(patches: NDArray[np.int64], boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """IoU (..., N) of patches (..., 4) with boxes (N, 4)."""
    a, b = patches[..., None, :].astype(np.float64), boxes.astype(np.float64)
    sides = np.minimum(a[..., 2:], b[:, 2:]) - np.maximum(a[..., :2], b[:, :2])
    inter = sides.clip(min=0).prod(axis=-1)
    area = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[:, 2:] - b[:, :2]).prod(axis=-1) - inter
    result: NDArray[np.float64] = inter / np.maximum(area, 1e-12)
    return result
