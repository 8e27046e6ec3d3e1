"""Trainings killed at any moment: the same bits in the end. The long runs: `python -m tests.kills --help`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    os.name == "nt" or not Path("/proc/self/stat").exists(), reason="needs fork and SIGKILL, and reads /proc"
)

ROOT = Path(__file__).parent.parent
POINTS = [
    "before-ema.safetensors",  # the weights are there
    "before-MANIFEST.json",  # all but the manifest
    "before-fsync",
    "after-fsync",
    "before-rename",
    "after-rename",
    "before-link",
    "between-best-and-last",
    "before-removal",  # after the link
    "half-removed",
]


def records(folder: Path, command: str) -> list[dict[str, Any]]:
    """What a command of `tests.kills` found. All of them run once a session, in one process."""
    kills = folder / "kills"
    if not kills.exists():
        words = ["training", "points", "signals", "--folder", str(kills), "--of", "12", "--points", *POINTS]
        done = subprocess.run(
            [sys.executable, "-m", "tests.kills", *words], cwd=ROOT, capture_output=True, text=True
        )
        print(done.stdout, done.stderr)  # each kill with its phase and step
    return [json.loads(line) for line in (kills / f"{command}.jsonl").read_text().splitlines()]


def test_twelve_kills_in_any_phase_change_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each run is killed up to five times, resumed with 0, 1 or 2 loader processes, and compared at last."""
    found = records(tmp_path_factory.getbasetemp(), "training")
    assert [record["problems"] for record in found] == [[]] * len(found)
    kills = [kill for record in found for kill in record["kills"]]
    assert len(kills) == 12
    assert len({kill["phase"] for kill in kills}) >= 4
    assert len({kill["step"] for kill in kills}) >= 4


def test_death_at_each_fail_point_of_a_save_changes_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One run dies at every point in turn: what was saved loads, nothing is left over, the end is equal."""
    (record,) = records(tmp_path_factory.getbasetemp(), "points")
    assert record["problems"] == []
    assert [kill["phase"] for kill in record["kills"]] == POINTS
