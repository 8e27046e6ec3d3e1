"""How far a long piece of work has come: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE = 2.0
"""Seconds that work may take before anything is shown."""

PAUSE = 10.0
"""Seconds between the lines where there is no terminal."""


@contextmanager
def progress(what: str, file: TextIO | None = None) -> Iterator[Callable[[int, int], None]]:
    """Give a function to be called with (done, total), and show on standard error what it is told."""
    file = file or sys.stderr
    if not file.isatty():
        yield _lines(what, file)
        return
    bar = _bar(file)
    try:
        yield _moving(bar, what)
    finally:
        bar.stop()


def _lines(what: str, file: TextIO) -> Callable[[int, int], None]:
    due = time.monotonic() + PATIENCE

    def report(done: int, total: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + PAUSE
            print(f"{what}: {done} of {total}", file=file, flush=True)

    return report


def _bar(file: TextIO) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(file=file), transient=True)


def _moving(bar: Progress, what: str) -> Callable[[int, int], None]:
    task = bar.add_task(what, total=None)
    began = time.monotonic()

    def report(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)
        if not bar.live.is_started and time.monotonic() - began >= PATIENCE:
            bar.start()

    return report
