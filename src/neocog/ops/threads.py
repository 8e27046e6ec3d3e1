"""Work shared among threads that wait for it: starting one costs more than many a convolution."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from itertools import pairwise


def share(run: Callable[[int, int], object], count: int, threads: int) -> None:
    """Call `run(begin, end)` on even parts of range(count), one a thread; the first part runs in this one.

    Returns when all are done, and raises what any of them raised.
    """
    bounds = [count * i // threads for i in range(threads + 1)]
    others = [_pool(threads - 1, os.getpid()).submit(run, *part) for part in pairwise(bounds[1:])]
    try:
        run(0, bounds[1])
    finally:
        wait(others)
    for one in others:
        one.result()


@lru_cache(maxsize=2)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Of this process: a fork has none of its parent's threads."""
    return ThreadPoolExecutor(threads, "neocog")
