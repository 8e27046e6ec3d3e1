"""Disks that refuse, and disks that lie."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: what a full disk does, without one. (Python ignores SIGXFSZ.)"""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def flipped_bits(path: Path) -> Iterator[int]:
    """Flip one bit of each byte of a file in turn, in place; yields the byte's place, then puts it back."""
    chance, data = random.Random(0), path.read_bytes()
    with path.open("rb+", buffering=0) as file:
        for place, byte in enumerate(data):
            for value in (byte ^ (1 << chance.randrange(8)), byte):
                file.seek(place)
                file.write(bytes([value]))
                if value != byte:
                    yield place


@contextlib.contextmanager
def read_only(*folders: Path) -> Iterator[None]:
    """Nothing may be written into these folders. Root, whom permissions do not bind, is nobody meanwhile.

    Name folders relative to the current one: nobody may not enter those above it.
    """
    if os.name == "nt":
        pytest.skip("needs POSIX modes")
    modes = {folder: folder.stat().st_mode for folder in (Path(), *folders)}
    root = os.geteuid() == 0
    try:
        for folder in modes:
            folder.chmod(0o555 if folder in folders else 0o755)
        if root:
            os.seteuid(65534)
        yield
    finally:
        if root:
            os.seteuid(0)
        for folder, mode in modes.items():
            folder.chmod(mode)
