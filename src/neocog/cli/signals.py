"""Signals that end a training: the step under way is finished and saved, then the program ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

PATIENCE = 0.3
"""Seconds in which a second Ctrl-C counts as the first: some wrappers pass on what the terminal sent."""


class Stoppable(Protocol):
    """What can be asked to end soon."""

    def stop(self) -> None: ...


class Stop:
    """Of work that is more than one run: whether it was told to stop, which its present run is told too."""

    def __init__(self) -> None:
        self.stopped = False
        self._run: Stoppable | None = None

    def stop(self) -> None:
        self.stopped = True
        if self._run is not None:
            self._run.stop()

    def passes_on_to(self, run: Stoppable) -> None:
        self._run = run
        if self.stopped:
            run.stop()


class Interrupts:
    """The handler. Without a run it interrupts at once; with one, only a second Ctrl-C does."""

    def __init__(self) -> None:
        self._run: Stoppable | None = None
        self._asked: float | None = None

    def watch(self, run: Stoppable) -> None:
        """From now on, ask this run to stop."""
        self._run = run

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._run is None:
            raise KeyboardInterrupt
        now = time.monotonic()
        if self._asked is None:
            self._asked = now
            self._run.stop()
            if number == signal.SIGINT and sys.stderr.isatty():
                os.write(2, b"\nstopping after this step; Ctrl-C again stops at once\n")
        elif number == signal.SIGINT and now - self._asked > PATIENCE:
            _leave()


def _leave() -> None:
    """End this process here and now: what is on the disk is whole at every moment."""
    if sys.stdout.isatty():
        os.write(1, b"\x1b[?25h")  # a live display hid the cursor
    os.write(2, b"neocog: interrupted at once; --resume goes on from what was saved\n")
    os._exit(130)


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """SIGINT, SIGTERM and SIGHUP go to one handler inside. What is ignored (as by nohup) stays ignored."""
    handler, before = Interrupts(), dict[signal.Signals, Any]()
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    try:
        yield handler
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)
