"""Binned densities against scipy.stats.gaussian_kde on one thread: `python benchmarks/kde.py`, a minute.

First the accuracy: the largest difference from direct summation over 10,000 samples, at 2,000 grid points and
at 2,000 points between them, as a share of the density's peak. Then the time from 100,000 samples to the
density at 1,000 points. Turns alternate, ours then SciPy's, and medians count.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is loaded

import numpy as np
from scipy.stats import gaussian_kde

from neocog.ops.kde import Floats, kernel_density

SAMPLES: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "normal": lambda draw, n: draw.normal(size=(n, 1)),
    "Student's t, 3 degrees": lambda draw, n: draw.standard_t(3, size=(n, 1)),
    "uniform": lambda draw, n: draw.uniform(size=(n, 1)),
    "normal, plane": lambda draw, n: draw.normal(size=(n, 2)),
    "correlated 0.9, plane": lambda draw, n: draw.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], size=n),
}


def differences(samples: Floats, draw: np.random.Generator) -> tuple[float, float]:
    """From direct summation, which is SciPy's, at grid points and between them."""
    density = kernel_density(samples)
    exact = gaussian_kde(samples.T)
    index = tuple(draw.integers(0, size, 2000) for size in density.values.shape)
    places = np.stack([axis[i] for axis, i in zip(density.axes, index, strict=True)])
    points = samples[draw.integers(0, len(samples), 2000)] + draw.normal(size=(2000, samples.shape[1]))
    peak = density.values.max()
    on_grid = np.abs(density.values[index] - exact(places)).max()
    return on_grid / peak, np.abs(density.at(points) - exact(points.T)).max() / peak


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    draw = np.random.default_rng(0)
    print(f"{'samples':24}{'on the grid':>13}{'between':>13}{'ours, ms':>12}{'SciPy, ms':>12}{'ratio':>9}")
    for name, sampled in SAMPLES.items():
        on_grid, between = differences(sampled(draw, 10_000), draw)
        samples, points = sampled(draw, 100_000), sampled(draw, 1_000)
        ours, theirs = [], []
        for _ in range(turns):
            ours.append(seconds(lambda: kernel_density(samples).at(points)))  # noqa: B023
            theirs.append(seconds(lambda: gaussian_kde(samples.T)(points.T)))  # noqa: B023
        one, other = statistics.median(ours), statistics.median(theirs)
        print(
            f"{name:24}{on_grid:>13.1e}{between:>13.1e}{1e3 * one:>12.1f}{1e3 * other:>12.0f}"
            f"{other / one:>9.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
