"""How a training shows itself: one live line on a terminal, a line now and then otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from neocog.evaluate import Evaluation
    from neocog.run import Moment

PLAIN_SECONDS = 10.0
"""Between two plain lines."""


def show(moments: Iterable[Moment], title: str, file: TextIO | None = None) -> Iterator[Moment]:
    """Pass moments on, showing progress, losses and the time left; each validation gets a line of its own."""
    file = file or sys.stdout
    return _live(moments, title, file) if file.isatty() else _plain(moments, title, file)


def show_search(counts: Iterable[tuple[int, int]], file: TextIO | None = None) -> None:
    """Wait for a search of regions, showing how far it is and how long it will take."""
    file = file or sys.stdout
    began = spoke = time.monotonic()
    for done, count in counts:
        now = time.monotonic()
        if now - spoke > (0.2 if file.isatty() else PLAIN_SECONDS) or (done == count and spoke > began):
            left = clock((now - began) * (count - done) / done)
            told = f"searching for regions: {done} of {count} pictures, {left} left  "
            print(told, end="\r" if file.isatty() and done < count else "\n", file=file, flush=True)
            spoke = now


def show_download(file: TextIO | None = None) -> Callable[[int, int], None]:
    """What to call with the bytes that came and those to come: it shows how far a download is."""
    file = file or sys.stdout
    began = spoke = time.monotonic()

    def show(done: int, size: int) -> None:
        nonlocal spoke
        now = time.monotonic()
        if now - spoke > (0.2 if file.isatty() else PLAIN_SECONDS) or (done >= size and spoke > began):
            left = clock((now - began) * max(size - done, 0) / done)
            told = f"fetching: {done / 2**20:.0f} of {size / 2**20:.0f} MiB, {left} left  "
            print(told, end="\r" if file.isatty() and done < size else "\n", file=file, flush=True)
            spoke = now

    return show


def _plain(moments: Iterable[Moment], title: str, file: TextIO) -> Iterator[Moment]:
    spoke = time.monotonic()
    for moment in moments:
        _warn(moment)
        if time.monotonic() - spoke > PLAIN_SECONDS and moment.validation is None:
            share = f"{moment.step.progress:4.0%}"
            print(
                f"{title}  {share}  {_status(moment)}  {clock(moment.remaining)} left", file=file, flush=True
            )
            spoke = time.monotonic()
        if moment.validation is not None:
            print(f"{title}  {validated(moment.validation, moment)}", file=file, flush=True)
        yield moment


def _live(moments: Iterable[Moment], title: str, file: TextIO) -> Iterator[Moment]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]} left  {task.fields[status]}"),
    )
    with Progress(*columns, console=Console(file=file), transient=True) as progress:
        task = progress.add_task(title, total=1.0, left="-", status="starting")
        for moment in moments:
            _warn(moment)
            progress.update(
                task, completed=moment.step.progress, left=clock(moment.remaining), status=_status(moment)
            )
            if moment.validation is not None:
                progress.console.print(f"{title}  {validated(moment.validation, moment)}", highlight=False)
            yield moment


def _warn(moment: Moment) -> None:
    for warning in moment.warnings:
        print(f"neocog: {warning}", file=sys.stderr, flush=True)


def _status(moment: Moment) -> str:
    step = moment.step
    losses = "  ".join(f"{name} {value:.3f}" for name, value in step.losses.items())
    return f"step {step.number}  {step.seconds * 1e3:.0f} ms  lr {step.lr:.1e}  {losses}"


def validated(evaluation: Evaluation, moment: Moment) -> str:
    """One line on a validation."""
    from neocog.judging import TASKS

    metrics = evaluation.metrics
    numbers = "  ".join(
        f"{key} {'-' if metrics[key] is None else format(metrics[key], '.3f')}"
        for key, *_ in TASKS[evaluation.task].shown[:2]
    )
    mark = "  (best so far)" if moment.best else ""
    return f"step {moment.step.number}  {evaluation.split}: {numbers}{mark}"


def clock(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes}:{rest:02d}"
