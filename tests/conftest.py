"""Shared fixtures. `NEOCOG_TEST_DATA` names the folder of sample data sets; tests that need one skip by name without it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


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
