"""Errors a user can act on: one line that names the file, the record and the remedy, and an exit code.

Anything else that escapes is a bug of ours (exit code 1).
"""

from __future__ import annotations

import errno
import re
from typing import ClassVar


class NeocogError(Exception):
    """A failure with a clear cause outside the program. The message is one line, fit to print as it is."""

    exit_code: ClassVar[int] = 1


class UsageError(NeocogError):
    """The request itself is wrong: an unknown name, an option out of range, an unusable `--out`."""

    exit_code = 2


class DataError(NeocogError):
    """The data cannot be used: a missing path, an unknown format, too many faults."""

    exit_code = 3


class CheckpointError(NeocogError):
    """A model or checkpoint is missing, damaged or of another architecture."""

    exit_code = 4


class DiskError(NeocogError):
    """The disk refused: full, read-only, or over quota."""

    exit_code = 5


class NumbersError(NeocogError):
    """A loss, gradient or weight is not finite."""

    exit_code = 6


class DeviceError(NeocogError):
    """The device asked for is absent, or out of memory."""

    exit_code = 7


class Interrupted(NeocogError):
    """A signal ended a training after the step under way, which was saved."""

    exit_code = 130


_NO_MEMORY = re.compile("DefaultCPUAllocator|not enough memory|out of memory|bad_alloc|_ALLOC_FAILED")
"""In torch's words: for want of memory it raises RuntimeError, on a GPU a kind of it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is how Python, NumPy, torch or the system say that there is no memory left."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, RuntimeError):
        return _NO_MEMORY.search(str(error)) is not None
    return isinstance(error, MemoryError)


def exit_code_of(error: BaseException) -> int:
    """The exit code that an error ends the program with."""
    if isinstance(error, NeocogError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return Interrupted.exit_code
    return DeviceError.exit_code if is_out_of_memory(error) else 1
