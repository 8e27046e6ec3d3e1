"""Progress of long work."""

from __future__ import annotations

import io

import pytest

from neocog.cli import counting as module
from neocog.cli.counting import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


def test_lines_appear_after_two_seconds_and_then_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, file = Clock(monkeypatch), io.StringIO()
    with progress("checking", file) as report:
        for second in range(25):
            clock.now = float(second)
            report(second + 1, 25)
    assert file.getvalue() == "checking: 3 of 25\nchecking: 13 of 25\nchecking: 23 of 25\n"


def test_quick_work_shows_nothing() -> None:
    for file in (io.StringIO(), Terminal()):
        with progress("checking", file) as report:
            report(1, 1)
        assert file.getvalue() == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    file = Terminal()
    with progress("checking [red]", file) as report:
        report(3, 7)
    assert "checking [red]" in file.getvalue() and "3/7" in file.getvalue()
