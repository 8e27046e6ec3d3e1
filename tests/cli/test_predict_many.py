"""A hundred thousand pictures: flat memory, and after two kills nothing twice and nothing missing.

`pytest -m slow -s tests/cli/test_predict_many.py` prints the peaks of resident memory.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from neocog.cli import main
from neocog.data.digits import Digits

DIFFERENT, FEW, MANY = 300, 10_000, 100_000
GROWTH_MB = 64
"""What 90,000 more pictures may add: their names and places, half a kilobyte each, and what a heap wastes."""


def link(source: Path, folder: Path, count: int) -> None:
    """So many links to the pictures in `source`, a thousand in a folder."""
    files = sorted(source.iterdir())
    for number in range(count):
        target = folder / f"{number // 1000:03d}" / f"{number:06d}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(files[number % len(files)])


def run(words: list[str], fail_at: str = "") -> tuple[int, int]:
    """Exit code, and peak of resident memory in MB.

    What the operating system says of an ended child is no less than this process had when it started it.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "neocog", *words],
        env=os.environ | {"NEOCOG_FAIL_AT": fail_at},
        stdout=subprocess.DEVNULL,
    )
    peak = 0
    while child.poll() is None:
        peak = max(peak, high_water(child.pid))
        time.sleep(0.02)
    return child.returncode, peak


def high_water(process: int) -> int:
    """The peak of resident memory so far, in MB; 0 of one that has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) >> 10 for line in status.splitlines() if "VmHWM" in line), 0)


def answers(path: Path) -> list[dict[str, Any]]:
    """The records in order, without what tells links to one file apart."""
    found = []
    for number, line in enumerate(path.read_text().splitlines()):
        record = json.loads(line)
        assert record.pop("number") == number
        del record["source"]
        found.append(record)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks of memory are read from /proc")
def test_memory_is_flat_and_nothing_is_lost(tmp_path: Path) -> None:
    words = ["train", "notes-digit", "--data", "scenes:digits", "--steps", "20", "--val-split", "none"]
    assert main([*words, "--threads", "1", "--out", str(tmp_path / "run")]) == 0
    (tmp_path / "files").mkdir()
    digits = Digits("test")
    for number in range(DIFFERENT):
        image = Image.fromarray(digits[number].image).resize((64, 64))
        image.save(tmp_path / "files" / f"{number:03d}.png")
    link(tmp_path / "files", tmp_path / "few", FEW)
    link(tmp_path / "files", tmp_path / "many", MANY)
    peaks = {}
    for name, pictures in (("alone", "files"), ("found-few", "few")):
        words = ["predict", str(tmp_path / "run"), str(tmp_path / pictures), "--no-draw", "--threads", "1"]
        code, peaks[name] = run([*words, "--out", str(tmp_path / name)])
        assert code == 0
    words = ["predict", str(tmp_path / "run"), str(tmp_path / "many"), "--no-draw", "--threads", "1"]
    words += ["--out", str(tmp_path / "found-many"), "--resume"]
    killed = -signal.SIGKILL
    for point, end in (("before-record-30000", killed), ("before-record-60000", killed), ("", 0)):
        code, peak = run(words, point)
        assert code == end
        peaks["found-many"] = max(peak, peaks.get("found-many", 0))
    print(f"peaks of resident memory, MB: {peaks}")
    assert min(peaks.values()) > 100
    assert peaks["found-many"] < peaks["found-few"] + GROWTH_MB
    each = answers(tmp_path / "alone" / "predictions.jsonl")
    for name, count in (("found-few", FEW), ("found-many", MANY)):
        found = answers(tmp_path / name / "predictions.jsonl")
        assert len(found) == count
        assert all(record == each[number % DIFFERENT] for number, record in enumerate(found))
        assert len(json.loads((tmp_path / name / "predictions.json").read_text())["images"]) == count
