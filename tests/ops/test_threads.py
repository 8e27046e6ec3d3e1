"""Shares cover the work once, on any number of threads, also after a fork, and tell of what went wrong."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neocog.ops.threads import share


@given(st.integers(0, 40), st.integers(1, 5))
def test_every_piece_is_done_once(count: int, threads: int) -> None:
    done: list[int] = []
    share(lambda begin, end: done.extend(range(begin, end)), count, threads)
    assert sorted(done) == list(range(count))


def test_the_first_part_runs_here_and_the_others_do_not() -> None:
    meet = threading.Barrier(3, timeout=60)  # none goes on before all have begun
    seen: dict[int, threading.Thread] = {}

    def run(begin: int, end: int) -> None:
        meet.wait()
        seen[begin] = threading.current_thread()

    share(run, 3, 3)
    assert seen[0] is threading.current_thread()
    assert len(set(seen.values())) == 3


@pytest.mark.parametrize("bad", [0, 1])
def test_what_a_part_raises_is_raised_when_all_are_done(bad: int) -> None:
    done = []

    def run(begin: int, end: int) -> None:
        if begin == bad:
            raise OverflowError("too much")
        done.append(begin)

    with pytest.raises(OverflowError, match="too much"):
        share(run, 2, 2)
    assert done == [1 - bad]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_has_threads_of_its_own() -> None:
    share(lambda begin, end: None, 2, 2)
    child = os.fork()
    if child == 0:
        done: list[int] = []
        share(lambda begin, end: done.append(begin), 2, 2)
        os._exit(0 if sorted(done) == [0, 1] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
