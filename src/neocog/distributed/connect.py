"""How the processes that torchrun started find each other, and how one notices that another is gone."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from neocog.distributed.peers import LOST, Group, Peers
from neocog.errors import DeviceError, UsageError, exit_code_of

PATIENCE = 25.0
"""Seconds without a sign of life after which a process counts as lost."""

_LONGEST = timedelta(hours=1)
"""How long one process may work while the others wait for it, as long as it shows that it lives."""


@contextmanager
def connect(device: torch.device, patience: float = PATIENCE) -> Iterator[Peers]:
    """The processes that torchrun started, or this one alone where it did not.

    `device` is `cpu`, or `cuda` without a number: each process takes the GPU of its own. Raises UsageError,
    DeviceError. When one process fails, the others end too, at the latest after `patience` seconds without a
    sign of life; and one of them says why, in one line: the rest leave by SystemExit.
    """
    rank, size = _place()
    if size == 1:
        yield Peers(device)
        return
    group, store = _join(rank, size, _own_device(device))
    watch = _Watch(store, group.rank, size, patience)
    try:
        yield group
        group.end()  # all of them end well, or none
    except (Exception, KeyboardInterrupt) as error:
        if not watch.may_tell():
            raise SystemExit(exit_code_of(error)) from error
        raise
    finally:
        watch.stop()
    with suppress(DeviceError):  # the store is the first process's, which leaves when nobody asks it any more
        group.end()
    dist.destroy_process_group()


def _place() -> tuple[int, int]:
    """The number of this process and how many there are, as torchrun says. Raises UsageError."""
    if os.environ.get("WORLD_SIZE", "") in ("", "1"):
        return 0, 1
    usual = {"RANK": "", "WORLD_SIZE": "", "LOCAL_RANK": "0"}
    words = {name: os.environ.get(name, word) for name, word in usual.items()}
    if not all(word.isdecimal() for word in words.values()) or int(words["RANK"]) >= int(words["WORLD_SIZE"]):
        told = ", ".join(f"{name}={word!r}" for name, word in words.items())
        raise UsageError(f"the environment has {told}: start with torchrun, or unset WORLD_SIZE")
    return int(words["RANK"]), int(words["WORLD_SIZE"])


def _own_device(device: torch.device) -> torch.device:
    if device.type != "cuda":
        return device
    if str(device) != "cuda":
        raise UsageError(f"--device {device}: several processes take a GPU each; give --device cuda")
    local, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local >= there:
        raise DeviceError(
            f"no GPU for process {local} of this machine, which has {there}: start {there} processes, "
            "or give --device cpu"
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def _join(rank: int, size: int, device: torch.device) -> tuple[Group, Any]:
    """Meet the others: small things by gloo, what lies on GPUs by nccl."""
    backend = "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl"
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        store = next(rendezvous("env://", timeout=timedelta(minutes=5)))[0]
        own = PrefixStore(f"neocog/{attempt}", store)
        dist.init_process_group(backend, store=own, rank=rank, world_size=size, timeout=_LONGEST)
    except (RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise DeviceError(f"process {rank} of {size} cannot meet the others ({reason})") from error
    return Group(rank, size, device, own), own


class _Watch:
    """Signs of life. A process that is killed closes its connections; one that hangs, or whose machine is
    gone, is only noticed by its silence. Then this process ends too: it cannot leave its meeting."""

    def __init__(self, store: Any, rank: int, size: int, patience: float) -> None:
        self._store, self._rank, self._patience = store, rank, patience
        self._others = [other for other in range(size) if other != rank]
        self._heard = dict.fromkeys(self._others, time.monotonic())
        self._asked = time.monotonic()  # when the store last answered
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._show_life, self._look)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Wait for the threads too: one that asks the store while the interpreter ends aborts the process."""
        self._ended.set()
        for thread in self._threads:
            thread.join(1.0)  # not for ever: the store may be gone

    def may_tell(self) -> bool:
        """Whether no other process has said yet what went wrong."""
        try:
            return bool(self._store.add("told", 1) == 1)
        except RuntimeError:
            return True

    def _show_life(self) -> None:
        counts: Mapping[int, int] = dict.fromkeys(self._others, 0)
        while not self._ended.wait(self._patience / 10):
            try:
                self._store.add(f"alive/{self._rank}", 1)
                now = {other: self._store.add(f"alive/{other}", 0) for other in self._others}
            except RuntimeError:
                continue  # the store is gone: its silence will be noticed
            self._asked = time.monotonic()
            for other in self._others:
                if now[other] != counts[other]:
                    self._heard[other] = self._asked
            counts = now

    def _look(self) -> None:
        while not self._ended.wait(self._patience / 10):
            silent = [
                rank for rank, heard in self._heard.items() if time.monotonic() - heard > self._patience
            ]
            if silent:
                answers = time.monotonic() - self._asked < self._patience
                if not answers or self.may_tell():
                    print(
                        f"neocog: process {silent[0]}: no sign of life; {LOST}", file=sys.stderr, flush=True
                    )
                os._exit(DeviceError.exit_code)
