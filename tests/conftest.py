"""Shared fixtures. `NEOCOG_TEST_DATA` names the folder of sample data sets; without it their tests skip."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# What starts the tests may ignore signals (nohup, a shell's background), and what is ignored is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
for _name in ("SIGTERM", "SIGHUP"):
    if hasattr(signal, _name):
        signal.signal(getattr(signal, _name), signal.SIG_DFL)

# Kernels compile on first use, and machines of the check are slow: a deadline would only measure that.
settings.register_profile("neocog", deadline=None, derandomize=True)
settings.load_profile("neocog")


@pytest.fixture(scope="session")
def sample_data() -> Callable[[str], Path]:
    """A function from a data set's name to its folder."""

    def find(name: str) -> Path:
        root = os.environ.get("NEOCOG_TEST_DATA", "")
        path = Path(root) / name
        if not root or not path.is_dir():
            pytest.skip(f"sample data set '{name}' is not here (set NEOCOG_TEST_DATA)")
        return path

    return find
