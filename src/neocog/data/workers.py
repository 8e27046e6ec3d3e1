"""Processes that work ahead: answers to a sequence of questions, in its order, whatever their number.

PyTorch's `DataLoader` is not used. There the death of a process (short of memory, usually) shows as one of
four exceptions, or strikes through a signal handler in whatever the main thread happens to do; and batches
travel in shared memory, of which containers have 64 MB, and hold a file descriptor open for each tensor
kept. Here everything goes through one pipe a process, which breaks at once when either end dies.
"""

from __future__ import annotations

import atexit
import itertools
import multiprocessing
import queue
import signal
import threading
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, Generic, NamedTuple, TypeVar

import torch

from neocog.errors import DeviceError

Question = TypeVar("Question")
Answer = TypeVar("Answer")

AHEAD = 3
"""Questions that each process is given in advance."""


_GROUP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Often sent to a whole group of processes. The parent may want answers still, and ends these itself."""


class WorkerDied(Exception):
    """A process ended by itself; the message says how."""


class Pool(Generic[Question, Answer]):
    """`count` processes that each hold a copy of `work`, started at once and ended by `close`.

    Raises DeviceError where the system does not start so many.
    """

    def __init__(self, work: Callable[[Question], Answer], count: int) -> None:
        self._workers: list[_Worker] = []
        self.close = weakref.finalize(self, _stop, self._workers)
        _pools.add(self)
        try:
            for _ in range(count):
                self._workers.append(_start(work))
        except OSError as error:
            self.close()
            raise DeviceError(
                f"loader process {len(self._workers) + 1} of {count} cannot be started ({error.strerror}); "
                "give fewer --workers"
            ) from error

    def map(self, questions: Iterable[Question]) -> Iterator[Answer]:
        """The answers in order. Raises WorkerDied, or what `work` raised, with the worker's traceback noted.

        An iteration that is not finished leaves answers under way: close the pool then.
        """
        remaining = iter(questions)
        asked: deque[_Worker] = deque()
        turns = itertools.islice(itertools.cycle(self._workers), AHEAD * len(self._workers))
        for worker, question in zip(turns, remaining, strict=False):
            worker.send(question)
            asked.append(worker)
        while asked:
            worker = asked.popleft()
            answer = worker.receive()
            # Whoever answered gets the next question, so the turns keep their order.
            for question in itertools.islice(remaining, 1):
                worker.send(question)
                asked.append(worker)
            yield answer


class _Worker(NamedTuple):
    process: BaseProcess
    pipe: Connection

    def send(self, question: object) -> None:
        try:
            self.pipe.send(question)
        except OSError as error:
            raise self.death() from error

    def receive(self) -> Any:
        try:
            answer = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise self.death() from error
        if isinstance(answer, _Failure):
            answer.error.add_note(answer.traceback)
            raise answer.error
        return answer

    def death(self) -> WorkerDied:
        self.process.join(1)
        code = self.process.exitcode
        if code is None or code >= 0:
            return WorkerDied(f"exit code {code}")
        return WorkerDied(f"killed by {signal.Signals(-code).name}")


class _Failure(NamedTuple):
    """In place of an answer."""

    error: Exception
    traceback: str


def _start(work: Callable[[Question], Answer]) -> _Worker:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve, args=(work, theirs, ours), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


_pools: weakref.WeakSet[Pool[Any, Any]] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Before multiprocessing waits for its children, which it asks to end by a signal that these ignore."""
    for pool in list(_pools):
        pool.close()


def _stop(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.process.kill()
        worker.pipe.close()
    for worker in workers:
        worker.process.join()


def _serve(work: Callable[[Question], Answer], pipe: Connection, ours: Connection) -> None:
    """Answer until the pipe closes. A thread sends, so that the next answer is worked on meanwhile."""
    ours.close()  # a forked copy of it would keep the pipe open after the parent's death
    for name in _GROUP_SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    torch.set_num_threads(1)
    answers: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
    threading.Thread(target=_send_all, args=(answers, pipe), daemon=True).start()
    while True:
        try:
            question = pipe.recv()
        except (EOFError, OSError):
            return
        answers.put(_answer(work, question))


def _answer(work: Callable[[Question], Answer], question: Question) -> memoryview:
    """The answer or the failure, pickled here, where what cannot be pickled can still be told."""
    try:
        return ForkingPickler.dumps(work(question))
    except Exception as error:
        trace = traceback.format_exc()
        try:
            return ForkingPickler.dumps(_Failure(error, trace))
        except Exception:
            return ForkingPickler.dumps(_Failure(RuntimeError(repr(error)), trace))


def _send_all(answers: queue.SimpleQueue[memoryview], pipe: Connection) -> None:
    while True:
        try:
            pipe.send_bytes(answers.get())
        except OSError:
            return  # the parent is gone; the other thread finds out too
