"""Regions for the models that take them from outside: which search, kept where, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

from neocog.data.dataset import Dataset
from neocog.data.proposed import Proposed
from neocog.errors import DataError
from neocog.proposals.search import SearchOptions, selective_search

METHOD = "selective search 1"
"""With another number when the same options find other boxes: what was kept is then searched anew."""

TIMED = 15
"""Pictures whose search is timed."""


def with_proposals(data: Dataset, search: SearchOptions | None, folder: Path | None) -> Dataset:
    """The data with proposals of a model's search, kept in a folder; as it is where there is no search."""
    if search is None or isinstance(data, Proposed):
        return data
    return Proposed(data, partial(selective_search, options=search), f"{METHOD} {search!r}", folder)


def find_all(data: Dataset, workers: int, share: tuple[int, int] = (0, 1)) -> Iterator[tuple[int, int]]:
    """Search this process's share of the pictures now; yields (done, all). Nothing without a search."""
    if isinstance(data, Proposed):
        mine = range(share[0], len(data), share[1])
        yield from ((done, len(mine)) for done in data.prepare(mine, workers))


def search_ms(data: Dataset, search: SearchOptions) -> float:
    """Milliseconds that the search of a picture takes, one after another: the median of a few."""
    times = []
    spaced = range(0, len(data), max(1, len(data) // (TIMED + 1)))
    for index in spaced[: TIMED + 1]:
        try:
            image = data[index].image
        except DataError:
            continue
        began = time.perf_counter()
        selective_search(image, search)
        times.append(1e3 * (time.perf_counter() - began))
    return median(times[1:] or times or [0.0])  # the first may have waited for kernels
