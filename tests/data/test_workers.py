"""Processes that work ahead: order, failures, and that none outlives its pool or its parent."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neocog.data.workers import AHEAD, Pool, WorkerDied
from neocog.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def square(number: int) -> int:
    time.sleep(0.005 * (number % 3))
    return number**2


def test_answers_come_in_the_order_of_the_questions() -> None:
    pool: Pool[int, int] = Pool(square, 3)
    for count in (0, 1, 4, 50):
        assert list(pool.map(range(count))) == [number**2 for number in range(count)]


def test_endless_questions_are_asked_a_little_ahead() -> None:
    asked = itertools.count()
    answers = Pool(square, 2).map(asked)
    assert [next(answers) for _ in range(10)] == [number**2 for number in range(10)]
    assert next(asked) == 10 + 2 * AHEAD


def megabytes(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, 4_000_000, dtype=np.uint8)


def test_answers_larger_than_any_pipe_buffer() -> None:
    for seed, answer in enumerate(Pool(megabytes, 2).map(range(6))):
        np.testing.assert_array_equal(answer, megabytes(seed))
        assert answer.flags.writeable


def fail(number: int) -> int:
    if number == 2:
        raise DataError("record 2: bad; mend it")
    return number


def test_an_error_comes_in_its_turn_as_it_was() -> None:
    answers = Pool(fail, 2).map(range(5))
    assert [next(answers), next(answers)] == [0, 1]
    with pytest.raises(DataError) as caught:
        next(answers)
    assert str(caught.value) == "record 2: bad; mend it"
    assert "in fail" in caught.value.__notes__[0]


def unpicklable(number: int) -> Callable[[], int]:
    return lambda: number


def test_an_answer_that_cannot_travel_is_an_error() -> None:
    with pytest.raises(Exception, match=r"pickle|local object"):
        list(Pool(unpicklable, 1).map(range(2)))


def die(number: int) -> np.ndarray:
    if number == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return megabytes(number)


@pytest.mark.parametrize("count", [1, 2])
def test_death_is_told_at_once(count: int) -> None:
    start = time.monotonic()
    with pytest.raises(WorkerDied, match=r"^killed by SIGKILL$"):
        list(Pool(die, count).map(range(20)))
    assert time.monotonic() - start < 5


def leave(number: int) -> int:
    os._exit(3)


def test_exit_is_told_with_its_code() -> None:
    with pytest.raises(WorkerDied, match=r"^exit code 3$"):
        list(Pool(leave, 1).map(range(2)))


def test_processes_end_with_their_pool() -> None:
    for end in ("close", "collect"):
        pool = Pool(square, 2)
        next(pool.map(range(5)))
        processes = [worker.process for worker in pool._workers]
        assert all(process.is_alive() for process in processes)
        if end == "close":
            pool.close()
        del pool
        gc.collect()
        assert not any(process.is_alive() for process in processes)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


ORPHANS = """
import os, signal, sys
from neocog.data.workers import Pool
pools = [Pool(abs, 2), Pool(abs, 1)]
for pool in pools:
    assert list(pool.map([-1, -2])) == [1, 2]
print(*(worker.process.pid for pool in pools for worker in pool._workers), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_no_process_outlives_a_killed_parent() -> None:
    out = subprocess.run([sys.executable, "-c", ORPHANS], capture_output=True, text=True)
    pids = [int(pid) for pid in out.stdout.split()]
    assert len(pids) == 3, out.stderr
    deadline = time.monotonic() + 5
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(alive, pids))
