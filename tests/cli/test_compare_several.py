"""`compare` gone on with after a kill, and shared by processes: the trainings of one process, to the bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.test_distributed import finish, start

from neocog.cli import main
from neocog.data.digits import Digits

TRIALS = [f"{model}-seed{seed}" for model in ("notes-digit", "notes-pattern") for seed in (0, 1)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few pictures of two classes, and what an undisturbed process makes of them."""
    home, digits = tmp_path_factory.mktemp("compared"), Digits("train")
    for split, numbers in (("train", range(40)), ("val", range(40, 48)), ("test", range(48, 60))):
        for number in numbers:
            folder = home / "data" / split / ("odd" if number % 2 else "even")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(digits[number].image).save(folder / f"{number}.png")
    assert main(words_for(home, home / "whole")) == 0
    return home


def words_for(home: Path, out: Path, *more: str) -> list[str]:
    words = ["compare", "notes-digit", "notes-pattern", "--data", str(home / "data"), "--steps", "3"]
    return [*words, "--seeds", "2", "--workers", "0", "--threads", "1", "--out", str(out), *more]


def table(out: Path) -> dict[str, Any]:
    """`compare.json` without what a clock says."""
    document: dict[str, Any] = json.loads((out / "compare.json").read_text())
    for row in document["rows"]:
        for name in ("train_seconds", "proposal_seconds", "ms_per_image", "peak_memory_mb"):
            del row[name]
    return document


def require_same_trainings(home: Path, out: Path) -> None:
    for trial in TRIALS:
        for name in ("metrics.jsonl", "model/model.safetensors"):
            assert (out / trial / name).read_bytes() == (home / "whole" / trial / name).read_bytes(), trial
    assert "The same pictures" in (out / "report.html").read_text()


def test_killed_and_gone_on_with(home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Before the second training has its result: the first is not done again, and the second goes on."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "neocog", *words_for(home, out)]
    point = {"NEOCOG_FAIL_AT": f"before-end-of-{TRIALS[1]}"}
    done = subprocess.run(command, env=os.environ | point, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert json.loads((out / "compare.json").read_text())["rows"][0]["seeds"] == [0]
    first = out / TRIALS[0] / "trial.json"
    before = first.stat().st_mtime_ns
    capfd.readouterr()
    assert main(words_for(home, out)) == 2
    assert "exists already" in capfd.readouterr().err
    assert main(words_for(home, out, "--resume")) == 0
    assert first.stat().st_mtime_ns == before
    require_same_trainings(home, out)
    assert table(out) == table(home / "whole")
    capfd.readouterr()
    assert main([*words_for(home, out, "--resume"), "--steps", "4"]) == 2
    assert "was started with training.steps = 3, not 4" in capfd.readouterr().err
    first.write_text("{}")
    assert main(words_for(home, out, "--resume")) == 4
    assert "remove it to test again" in capfd.readouterr().err


def test_several_processes_take_a_training_each(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ends = finish(start(["-m", "neocog", *words_for(home, out)]))
    assert [code for code, _, _ in ends] == [0, 0], ends
    assert ends[1][1] == "", "only the first process speaks"
    assert all(f"{trial}: 3 steps" in ends[0][1] for trial in TRIALS)
    require_same_trainings(home, out)
    assert table(out) == table(home / "whole") | {"processes": 2}
