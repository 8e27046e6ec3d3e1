"""SciPy's own tests, with our functions in the place of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_scipys_own_tests_pass() -> None:
    root = Path(__file__).parent.parent.parent
    command = [sys.executable, "-m", "tests.scipy_convolve"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert done.stdout.count("calls of ours") == 2
