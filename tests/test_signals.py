"""Signals to a training: it finishes its step, saves, says so in a line, and ends with the same bits."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.test_kills import records

from neocog.cli import signals as signals_module
from neocog.cli.signals import Interrupts, interrupts
from neocog.data.workers import Pool

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


class Told:
    """Counts how often it is told to stop."""

    times = 0

    def stop(self) -> None:
        self.times += 1


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """One training ended again and again by signals to its group of processes, then completed."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("reads /proc")
    return records(tmp_path_factory.getbasetemp(), "signals")


def test_each_signal_ends_a_training_with_one_line_and_a_checkpoint(trials: list[dict[str, Any]]) -> None:
    seen = [(trial["signal"], trial["phase"]) for trial in trials[:5]]
    assert seen == [
        ("SIGTERM", "step"),
        ("SIGINT", "validation"),
        ("SIGHUP", "between"),
        ("SIGTERM", "opening"),
        ("SIGINT", "saving"),
    ]
    for trial in trials[:5]:
        assert trial["problems"] == [], trial  # no process outlives it
        assert trial["status"] == 130, trial
        assert len(trial["said"]) == 1, trial
        if trial["phase"] != "opening":
            match = re.fullmatch(
                r"neocog: interrupted after step (\d+); --resume goes on from there", trial["said"][0]
            )
            assert match, trial
            assert (
                int(match[1]) == trial["saved"] == trial["step"] + (trial["phase"] in ("step", "saving"))
            ), trial


def test_a_second_ctrl_c_ends_at_once(trials: list[dict[str, Any]]) -> None:
    trial = trials[5]
    assert trial["problems"] == []
    assert trial["status"] == 130
    assert trial["seconds"] < 5  # its save takes ten
    assert trial["said"] == ["neocog: interrupted at once; --resume goes on from what was saved"]


def test_the_interrupted_training_ends_with_the_same_bits(trials: list[dict[str, Any]]) -> None:
    assert trials[6] == {"signal": None, "problems": []}


def test_before_there_is_a_run_a_signal_interrupts() -> None:
    with interrupts():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)


def test_handlers_are_put_back_and_what_is_ignored_stays_so() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    with interrupts() as handler:
        assert signal.getsignal(signal.SIGHUP) is handler
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with interrupts() as handler:
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGHUP, old)


def test_only_a_second_ctrl_c_after_a_moment_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    now = 100.0
    monkeypatch.setattr(signals_module, "_leave", lambda: left.append(1))
    monkeypatch.setattr(signals_module.time, "monotonic", lambda: now)
    handler, run = Interrupts(), Told()
    handler.watch(run)
    handler(signal.SIGINT, None)
    handler(signal.SIGINT, None)  # a wrapper passes on what the terminal sent
    now += 60
    handler(signal.SIGTERM, None)  # a process manager repeats itself
    assert (run.times, left) == (1, [])
    handler(signal.SIGINT, None)
    assert (run.times, left) == (1, [1])


def test_threads_other_than_the_main_one_change_no_handler() -> None:
    seen: list[Any] = []

    def inside() -> None:
        with interrupts():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def slow_square(number: int) -> int:
    time.sleep(0.02)
    return number**2


def test_loader_processes_leave_signals_to_their_parent() -> None:
    pool: Pool[int, int] = Pool(slow_square, 2)
    answers = pool.map(range(20))
    assert next(answers) == 0
    for worker in pool._workers:
        assert worker.process.pid is not None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(worker.process.pid, number)
    assert list(answers) == [number**2 for number in range(1, 20)]
    pool.close()
    assert not any(worker.process.is_alive() for worker in pool._workers)


def test_a_program_that_ends_ends_its_loader_processes() -> None:
    """Also when a finalizer was made before multiprocessing was there, which then waits for them first."""
    code = (
        "import weakref; thing = type('Thing', (), {})(); weakref.finalize(thing, print, 'end')\n"
        "from neocog.data.workers import Pool\n"
        "pool = Pool(abs, 2); print(list(pool.map([-1])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split()) == (0, ["[1]", "end"]), done.stderr
