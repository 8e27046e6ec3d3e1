"""Every hostile file is refused in one line with the right exit code; nothing in it runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.hostile.__main__ import ITEMS


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of all of them, driven by one process of its own."""
    target = tmp_path_factory.mktemp("hostile") / "report.json"
    words = [sys.executable, "-m", "tests.hostile", "--json", str(target)]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    assert target.exists(), done.stdout + done.stderr
    return dict(json.loads(target.read_text()))


def test_there_are_more_than_sixty_and_each_has_its_own_name() -> None:
    assert len({item.name for item in ITEMS}) == len(ITEMS) > 60


@pytest.mark.parametrize("name", [item.name for item in ITEMS])
def test_a_hostile_file_is_refused(name: str, report: dict[str, Any]) -> None:
    (result,) = (one for one in report["results"] if one["name"] == name)
    assert result["faults"] == [], result["line"]


def test_nothing_else_was_touched_and_the_hook_hears(report: dict[str, Any]) -> None:
    assert report["unchanged"]
    assert report["heard"]
