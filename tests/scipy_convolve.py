"""SciPy's own tests of convolve and correlate, with our functions in their place.

`python -m tests.scipy_convolve` runs the classes TestConvolve, TestCorrelate, TestCorrelateReal and
TestCorrelateComplex of the SciPy that is installed, on NumPy arrays and then on torch tensors (what SciPy
itself skips for torch is skipped). Nothing is deselected. It prints the counts, and exits with 1 if a test
fails, none ran or ours was never called.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import scipy.signal

import neocog

CLASSES = ("TestConvolve", "TestCorrelate", "TestCorrelateReal", "TestCorrelateComplex")


class OurFunctions:
    """A pytest plugin that puts ours into SciPy's test module, and counts calls and outcomes."""

    def __init__(self) -> None:
        self.calls = 0
        self.outcomes: Counter[str] = Counter()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for module in {item.module for item in items if isinstance(item, pytest.Function)}:
            vars(module).update(
                convolve=self._counted(neocog.convolve),
                correlate=self._counted(neocog.correlate),
                choose_conv_method=lambda *inputs, **options: neocog.choose_method(*inputs, **options).method,
            )

    def _counted(self, function: Any) -> Any:
        def call(*inputs: Any, **options: Any) -> Any:
            self.calls += 1
            return function(*inputs, **options)

        return call

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.outcome] += 1


def run(backend: str) -> bool:
    """Run the classes on arrays of one library in this process; whether all passed by calling ours."""
    tests = Path(scipy.signal.__file__).parent / "tests" / "test_signaltools.py"
    ours = OurFunctions()
    root = str(Path(scipy.__file__).parent)
    options = ["-q", "-c", os.devnull, "--rootdir", root, "--confcutdir", root, "-p", "no:cacheprovider"]
    code = pytest.main([*options, *(f"{tests}::{name}" for name in CLASSES)], plugins=[ours])
    counts = ", ".join(f"{count} {outcome}" for outcome, count in ours.outcomes.items())
    print(f"{backend}: {counts}; {ours.calls} calls of ours")
    return code == 0 and ours.outcomes["passed"] > 0 and ours.calls > 0


def main(backends: list[str]) -> int:
    """Each library in a process of its own, as SciPy reads its choice when it is imported."""
    if len(backends) == 1:
        return 0 if run(backends[0]) else 1
    codes = []
    plain = {name: value for name, value in os.environ.items() if name != "SCIPY_ARRAY_API"}
    for backend, asked in (("numpy", {}), ("torch", {"SCIPY_ARRAY_API": '["torch"]'})):
        command = [sys.executable, "-m", "tests.scipy_convolve", backend]
        codes.append(subprocess.run(command, env=plain | asked, check=False).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
