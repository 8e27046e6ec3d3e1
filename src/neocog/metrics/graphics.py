"""How well pictures are given back, and how well what is read from them follows the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class ReconstructionResult:
    """Squared differences of pictures in [0, 1]."""

    errors: Floats  # (N,) mean over the pixels of each picture
    labels: NDArray[np.int64]  # (N,) what changes around each
    classes: tuple[str, ...]

    def metrics(self) -> dict[str, float | None]:
        """`mse`, and the same in decibels: `psnr` = -10 log10(mse), more being better."""
        if not len(self.errors):
            return {"psnr": None, "mse": None}
        mse = float(np.mean(self.errors, dtype=np.float64))
        return {"psnr": float(-10 * np.log10(max(mse, 1e-12))), "mse": mse}

    def per_class(self) -> dict[str, dict[str, float | int | None]]:
        found: dict[str, dict[str, float | int | None]] = {}
        for label, name in enumerate(self.classes):
            own = ReconstructionResult(self.errors[self.labels == label], self.labels[:0], ())
            found[name] = {"pictures": len(own.errors), **own.metrics()}
        return found


def nearest_picture(pictures: Floats, candidates: Floats) -> NDArray[np.int64]:
    """(N,): which of (M, H, W) differs least, by the sum of squares, from each of (N, H, W)."""
    a, b = (np.asarray(stack, np.float64).reshape(len(stack), -1) for stack in (pictures, candidates))
    return np.asarray(((b**2).sum(axis=1) - 2 * a @ b.T).argmin(axis=1), np.int64)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a quantity that was read follows the true one; 0 where either never changes."""

    pearson: float
    spearman: float


def agreement(read: Floats | Sequence[float], truth: Floats | Sequence[float]) -> Agreement:
    """Pearson's correlation of two lists, and Spearman's: that of their ranks, ties having their mean."""
    from scipy.stats import rankdata

    return Agreement(_correlation(read, truth), _correlation(rankdata(read), rankdata(truth)))


def _correlation(a: Floats | Sequence[float], b: Floats | Sequence[float]) -> float:
    x, y = (np.asarray(one, np.float64) - np.mean(one) for one in (a, b))
    spread = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum()) / spread if spread > 0 else 0.0


def steps_forward(read: Floats) -> float:
    """The share of the steps of a list that do not go against its overall direction, in [0, 1]."""
    steps = np.diff(np.asarray(read, np.float64))
    return float(np.mean(steps * np.sign(steps.sum()) >= 0)) if len(steps) else 1.0
