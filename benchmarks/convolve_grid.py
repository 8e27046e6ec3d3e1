"""`neocog.convolve` against `scipy.signal.convolve` over a fixed grid: `python benchmarks/convolve_grid.py`.

The grid, `convolve_grid.json`, lists sizes, kernels and types; inputs are square or cubic, normal numbers
(integers from -99 to 99). Both sides choose their method themselves. SciPy has as many transform workers as
ours has threads. Results are first compared; then turns alternate, and the table gives medians of wall-clock
milliseconds and the ratio theirs / ours. At the end: geometric means, the smallest ratio, and the error in a
signal with a range of a million.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from scipy import fft, signal

import neocog
from neocog.ops.convolve_plan import Mode

GRID = Path(__file__).with_suffix(".json")
QUICK = 2e6  # numbers in an input, above which a case is not quick
Array = NDArray[Any]


class Case(NamedTuple):
    dimensions: int
    dtype: str
    size: int
    kernel: int
    mode: Mode

    @property
    def name(self) -> str:
        return f"{self.dimensions}-D {self.dtype} {self.size} by {self.kernel}"

    def inputs(self) -> tuple[Array, Array]:
        draw = np.random.default_rng(0)
        made = []
        for side in (self.size, self.kernel):
            shape = (side,) * self.dimensions
            if self.dtype == "int64":
                made.append(draw.integers(-99, 100, shape))
            elif self.dtype == "complex128":
                made.append(draw.normal(size=shape) + 1j * draw.normal(size=shape))
            else:
                made.append(draw.normal(size=shape).astype(self.dtype))
        return made[0], made[1]


def cases(quick: bool) -> list[Case]:
    rows = json.loads(GRID.read_text(encoding="utf-8"))
    every = [
        Case(row["dimensions"], row["dtype"], row["size"], kernel, row["mode"])
        for row in rows
        for kernel in row["kernels"]
    ]
    return [case for case in every if not quick or case.size**case.dimensions < QUICK]


def agree(ours: Array, theirs: Array, dtype: str) -> bool:
    """Equal as integers, or within rounding of the peak."""
    if dtype == "int64":
        return bool((ours == theirs).all())
    near = float(abs(theirs).max()) * (2e-5 if dtype == "float32" else 1e-11)
    return ours.dtype == theirs.dtype and float(abs(ours - theirs).max()) <= near


def milliseconds(ours: Callable[[], Any], theirs: Callable[[], Any], budget: float) -> tuple[float, float]:
    """Median of a call of each, in alternate turns of three at least, until `budget` seconds are spent."""
    calls = [max(1, round(0.002 / max(_turn(run, 1), 1e-7))) for run in (ours, theirs)]
    taken: tuple[list[float], list[float]] = ([], [])
    spent = 0.0
    while len(taken[0]) < 3 or (spent < budget and len(taken[0]) < 30):
        for run, count, record in zip((ours, theirs), calls, taken, strict=True):
            seconds = _turn(run, count)
            spent += seconds
            record.append(1000 * seconds / count)
    return statistics.median(taken[0]), statistics.median(taken[1])


def _turn(run: Callable[[], Any], calls: int) -> float:
    begun = time.perf_counter()
    for _ in range(calls):
        run()
    return time.perf_counter() - begun


def measure(threads: int, options: argparse.Namespace) -> Iterator[tuple[Case, float]]:
    torch.set_num_threads(threads)
    with fft.set_workers(threads):
        for case in cases(options.quick):
            if options.only not in case.name:
                continue
            x, h = case.inputs()
            runs = [partial(function, x, h, case.mode) for function in (neocog.convolve, signal.convolve)]
            if not agree(runs[0](), runs[1](), case.dtype):
                sys.exit(f"{case.name}: the two do not agree")
            ours, theirs = milliseconds(runs[0], runs[1], options.seconds)
            method = neocog.choose_method(x, h, case.mode).method
            numbers = f"{ours:10.3f}{theirs:11.3f}{theirs / ours:8.2f}"
            print(f"{threads:7}  {case.name:32}{case.mode:6}{method:12}{numbers}", flush=True)
            yield case, theirs / ours


def summary(rows: list[tuple[Case, float]]) -> None:
    def mean(name: str, chosen: Callable[[Case], bool]) -> None:
        ratios = [ratio for case, ratio in rows if chosen(case)]
        if ratios:
            value = math.exp(statistics.fmean(map(math.log, ratios)))
            print(f"geometric mean, {name}: {value:.2f} ({len(ratios)} rows)")

    mean("all", lambda case: True)
    mean("kernels up to 15", lambda case: case.kernel <= 15)
    for dimensions in (1, 2, 3):
        mean(f"{dimensions}-D", lambda case: case.dimensions == dimensions)  # noqa: B023
    mean("2-D by 3", lambda case: (case.dimensions, case.kernel) == (2, 3))
    mean("1-D 1000000 by 1001", lambda case: (case.size, case.kernel) == (1_000_000, 1001))
    if rows:
        case, least = min(rows, key=lambda row: row[1])
        print(f"smallest ratio: {least:.2f} ({case.name})")


def accuracy() -> None:
    """The error where a float32 signal is a million times quieter, relative to the largest result there."""
    print("float32, second half a million times quieter: error there over the largest result there")
    draw = np.random.default_rng(0)
    for side, kernel, dimensions in ((20_000, 1001, 1), (1_000_000, 3001, 1), (512, 31, 2), (64, 9, 3)):
        x = draw.normal(size=(side,) * dimensions)
        x[side // 2 :] *= 1e-6
        x, h = x.astype(np.float32), draw.normal(size=(kernel,) * dimensions).astype(np.float32)
        exact = signal.oaconvolve(x.astype(float), h.astype(float), "valid")
        quiet = slice(side // 2, None)  # in mode valid, what sees none of the loud half
        functions = (neocog.convolve, signal.convolve)
        errors = [
            abs(f(x, h, "valid")[quiet] - exact[quiet]).max() / abs(exact[quiet]).max() for f in functions
        ]
        choice = neocog.choose_method(x, h, "valid")
        how = f"{choice.method} in {choice.computed_in}"
        print(f"{dimensions}-D {side} by {kernel}: ours {errors[0]:.1e} ({how}), SciPy's {errors[1]:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only inputs of less than two million numbers")
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default 1 2)"
    )
    parser.add_argument(
        "--only", default="", help="cases whose name, as in '2-D float32 512 by 3', has this text"
    )
    parser.add_argument("--seconds", type=float, default=0.3, help="to spend on a case, about (default 0.3)")
    options = parser.parse_args()
    versions = f"NumPy {np.__version__}, SciPy {scipy.__version__}, numba {numba.__version__}"
    print(f"Python {platform.python_version()}, {versions}, {platform.machine()}")
    print(f"threads  {'case':32}mode  our method     ours ms   SciPy ms   ratio")
    for threads in options.threads:
        rows = list(measure(threads, options))
        print(f"\n{threads} thread{'s' * (threads > 1)}")
        summary(rows)
        print()
    accuracy()


if __name__ == "__main__":
    main()
