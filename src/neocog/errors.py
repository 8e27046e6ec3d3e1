"""Errors a user can act on: one line that names the file, the record and the remedy, and an exit code.

Anything else that escapes is a bug of ours (exit code 1).
"""

from __future__ import annotations

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
