"""What is recorded of many things, a line of JSON each, by processes that may end at any moment.

Every process appends to a file of its own in one folder, `NAME.jsonl` or `NAME-RANK.jsonl`. A line begins
with the number of its thing, so lines may stand in any order and in any of the files: another number of
processes can go on, and `merge` puts them in order.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neocog.errors import DataError
from neocog.files import disk_errors, json_line, reached, write_pieces

FLUSH_SECONDS = 5.0
"""Between two flushes to the disk: a power cut costs so much work. A kill costs the line under way."""

_NUMBER = re.compile(rb'\{"number": (\d{1,15})[,}]')


@dataclass(frozen=True)
class _Survey:
    """Where the line of each number lies."""

    files: tuple[Path, ...]
    file: np.ndarray  # (N,) int32 which of the files; -1: nothing is recorded of this number
    place: np.ndarray  # (N,) int64 first byte of its line


class Shards:
    """The records of `count` things, of which this process writes some."""

    def __init__(self, out: Path, name: str, count: int, share: tuple[int, int] = (0, 1)) -> None:
        """`share`: the number of this process, and how many there are."""
        self.share, (rank, size) = share, share
        self.merged = out / f"{name}.jsonl"
        self._own = out / f"{name}-{rank}.jsonl" if size > 1 else self.merged
        self._out, self._name, self._count = out, name, count
        self._flushed = time.monotonic()

    def take_up(self) -> list[int]:
        """The numbers of which nothing is recorded yet. Cuts off lines that a kill or a power cut tore.

        For one process, before any other appends. Raises DiskError.
        """
        return list(np.flatnonzero(self._survey(cut=True).file < 0).tolist())

    def append(self, number: int, record: Mapping[str, Any]) -> None:
        """Record something, for good against a kill. Raises DiskError."""
        line = json_line({"number": number, **record})
        reached(f"before-record-{number}")
        with disk_errors(self._own), self._own.open("ab", buffering=0) as file:
            if file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if time.monotonic() - self._flushed > FLUSH_SECONDS:
                os.fsync(file.fileno())
                self._flushed = time.monotonic()

    def flush(self) -> None:
        """Flush this process's file to the disk. Raises DiskError."""
        if self._own.exists():
            with disk_errors(self._own), self._own.open("rb+") as file:
                os.fsync(file.fileno())

    def merge(self) -> None:
        """Put all lines into one file, in the order of their numbers, and remove the others.

        For one process, when all have flushed. Raises DataError if something is missing, DiskError.
        """
        survey = self._survey(cut=False)
        missing = int((survey.file < 0).sum())
        if missing:
            raise DataError(
                f"{self._out}: nothing is recorded of {missing} of {self._count}; go on with --resume"
            )
        if survey.files != (self.merged,) or (np.diff(survey.place) < 0).any():
            write_pieces(self.merged, _in_order(survey))
        for file in survey.files:
            if file != self.merged:
                file.unlink()

    def lines(self) -> Iterator[bytes]:
        """The merged lines."""
        with self.merged.open("rb") as file:
            yield from file

    def _survey(self, *, cut: bool) -> _Survey:
        files = [self.merged, *sorted(self._out.glob(f"{self._name}-*.jsonl"))]
        files = [file for file in files if file.exists()]
        found = _Survey(tuple(files), np.full(self._count, -1, np.int32), np.zeros(self._count, np.int64))
        for which, path in enumerate(files):
            with disk_errors(path), path.open("rb+" if cut else "rb") as file:
                place = 0
                for line in file:
                    number = _number_of(line, self._count)
                    if number is None:
                        if cut:
                            file.truncate(place)
                        break
                    if found.file[number] < 0:
                        found.file[number], found.place[number] = which, place
                    place += len(line)
        return found


def _number_of(line: bytes, count: int) -> int | None:
    """The number of a whole line; None of a torn one."""
    match = _NUMBER.match(line)
    if match is None or not line.endswith(b"}\n") or int(match[1]) >= count:
        return None
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return None
    return int(match[1])


def _in_order(survey: _Survey) -> Iterator[bytes]:
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for path in survey.files]
        for which, place in zip(survey.file.tolist(), survey.place.tolist(), strict=True):
            files[which].seek(place)
            yield files[which].readline()
