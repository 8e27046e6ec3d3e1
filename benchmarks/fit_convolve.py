"""Measure the ways of `neocog.convolve` and fit its cost model: `python benchmarks/fit_convolve.py`.

Each way is timed on one thread over shapes drawn at random for each type and number of dimensions; seconds
for each unit of the work that `neocog.ops.convolve_cost` counts are fitted by non-negative least squares of
the relative error, and written to `src/neocog/ops/convolve_table.py`. Prints how far the fit is off.
"""

from __future__ import annotations

import argparse
import math
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch
from scipy.optimize import nnls

from neocog.ops import convolve_cost, convolve_torch
from neocog.ops.convolve_direct import direct
from neocog.ops.convolve_fft import by_blocks, by_fft, lengths_at_once
from neocog.ops.convolve_plan import Geometry, geometry

TABLE = Path(__file__).parent.parent / "src" / "neocog" / "ops" / "convolve_table.py"
TYPES = (
    *("torch float32", "torch float64", "torch complex64", "torch complex128"),
    *("float32", "float64", "complex64", "complex128", "int32", "int64"),
)
SIDES = {1: (64, 2_000_000), 2: (16, 3000), 3: (8, 200)}  # of the longer input
KERNELS = {1: (2, 20_000), 2: (2, 150), 3: (2, 40)}
LONGEST = 0.2  # seconds that a measurement may be expected to take
Way = tuple[str, tuple[float, ...], Callable[[], Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--shapes", type=int, default=40, help="shapes of each type and dimension (default 40)"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = []
    for kind in TYPES:
        for dims in (1, 2, 3):
            measured: dict[str, list[tuple[tuple[float, ...], float]]] = {}
            for plan in shapes(dims, options.shapes):
                for method, work, run in ways(plan, kind):
                    measured.setdefault(method, []).append((work, seconds(run)))
            for method, rows in measured.items():
                rates, off = fit(rows)
                print(f"{method:12}{kind:11}{dims}-D  {len(rows):3} shapes, off by {off:.0%}", flush=True)
                values = ", ".join(f"{rate:.3g}" for rate in rates)
                lines.append(f'    ("{method}", "{kind}", {dims}): ({values}),')
    write(lines)


def shapes(dims: int, count: int) -> Iterator[Geometry]:
    draw = random.Random(dims)
    for _ in range(count):
        side, kernel = _between(draw, SIDES[dims]), _between(draw, KERNELS[dims])
        mode = draw.choice(("full", "same", "valid"))
        yield geometry((side,) * dims, (min(kernel, side),) * dims, mode, None)


def _between(draw: random.Random, bounds: tuple[int, int]) -> int:
    """Log-uniform."""
    return round(math.exp(draw.uniform(*map(math.log, bounds))))


def ways(plan: Geometry, kind: str) -> Iterator[Way]:
    """The ways open to a type that are not hopelessly slow on these shapes."""
    if kind.startswith("torch "):
        yield from torch_ways(plan, kind)
        return
    draw = np.random.default_rng(0)
    x, h = (draw.normal(0, 9, size).astype(kind) for size in plan.sizes)
    work = convolve_cost.direct_work(plan)
    if work[-1] < LONGEST * 1e10:
        yield "direct", work, lambda: direct(x, h, plan, 1)
    if not kind.startswith("int"):
        at_once = lengths_at_once(plan, kind.startswith("float"))
        if any(at_once):
            yield "fft", convolve_cost.fft_work(plan, at_once, kind), lambda: by_fft(x, h, plan, 1)
        choices = convolve_cost.block_lengths(plan, at_once)
        for lengths in choices[:: max(1, len(choices) // 3)]:
            blocks_work = convolve_cost.blocks_work(plan, lengths, kind)
            if blocks_work[2] < LONGEST * 1e9:
                yield "overlap-add", blocks_work, partial(by_blocks, x, h, plan, lengths, 1)


def torch_ways(plan: Geometry, kind: str) -> Iterator[Way]:
    draw = torch.Generator().manual_seed(0)
    dtype = getattr(torch, kind.removeprefix("torch "))
    x, h = (torch.randn(size, generator=draw, dtype=dtype) for size in plan.sizes)
    work = convolve_cost.direct_work(plan)
    if work[-1] < LONGEST * 1e9:
        yield "direct", work, lambda: convolve_torch.direct(x, h, plan)
    at_once = lengths_at_once(plan, dtype.is_floating_point)
    if any(at_once):
        yield "fft", convolve_cost.fft_work(plan, at_once, kind), lambda: convolve_torch.by_fft(x, h, plan)
    choices = convolve_cost.block_lengths(plan, at_once)
    for lengths in choices[:: max(1, len(choices) // 3)]:
        blocks_work = convolve_cost.blocks_work(plan, lengths, kind)
        if blocks_work[2] < LONGEST * 1e9:
            yield "overlap-add", blocks_work, partial(convolve_torch.by_blocks, x, h, plan, lengths)


def seconds(run: Callable[[], Any]) -> float:
    """Median of three or more calls after a first."""
    run()
    taken: list[float] = []
    while len(taken) < 3 or (sum(taken) < 0.02 and len(taken) < 50):
        begun = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def fit(rows: list[tuple[tuple[float, ...], float]]) -> tuple[np.ndarray[Any, Any], float]:
    """Rates of a unit of each work, and the median relative error."""
    work, taken = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    relative = work / taken[:, None]
    scale = relative.max(0) + 1e-300
    rates = nnls(relative / scale, np.ones(len(taken)))[0] / scale
    return rates, float(np.median(abs(relative @ rates - 1)))


def write(lines: list[str]) -> None:
    where = f"{platform.machine()}, NumPy {np.__version__}, SciPy {scipy.__version__}"
    text = f'''"""Seconds for a unit of each work of convolution, by method, type and dimensions.

Written by `benchmarks/fit_convolve.py` ({where}).
The units are those of `convolve_cost.py`.
"""

SECONDS: dict[tuple[str, str, int], tuple[float, ...]] = {{
'''
    TABLE.write_text(text + "\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
