"""`evaluate --resume`: killed and gone on with, by one process or several, the same numbers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from tests.test_distributed import finish, start

from neocog.cli import main
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset

PICTURES, BROKEN, DIES = 40, 3, 17


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small detector, and data one of whose test pictures cannot be read."""
    home = tmp_path_factory.mktemp("evaluate")
    splits = {name: Scenes("std", name, count=count) for name, count in (("train", 8), ("test", PICTURES))}
    write_dataset(splits, home / "data", "voc")
    words = ["--data", str(home / "data"), "--size", "64", "--steps", "2", "--val-split", "none"]
    assert main(["train", "ssd", *words, "--workers", "0", "--threads", "1", "--out", str(home / "run")]) == 0
    pictures = sorted((home / "data" / "JPEGImages").iterdir())
    tests = (home / "data" / "ImageSets" / "Main" / "test.txt").read_text().split()
    broken = next(one for one in pictures if one.stem == tests[BROKEN])
    broken.write_bytes(garbled(broken.read_bytes()))
    return home / "run"


def garbled(png: bytes) -> bytes:
    """The same PNG file with pixels that cannot be inflated, and right sums over them: decoding tells."""
    at = png.index(b"IDAT")
    length = int.from_bytes(png[at - 4 : at], "big")
    chunk = b"IDAT" + b"\xff" * length
    return png[:at] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + png[at + 4 + length + 4 :]


def words(run: Path, out: Path, *more: str) -> list[str]:
    return ["evaluate", str(run), "--threads", "1", "--json", str(out), *more]


def measured(file: Path) -> dict[str, Any]:
    """The numbers, but for times."""
    found = json.loads(file.read_bytes())
    return {name: value for name, value in found.items() if name != "ms_per_image"}


def kept(run: Path) -> list[Path]:
    return list(run.glob("evaluating-*"))


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_and_gone_on_with(run: Path, tmp_path: Path, processes: int) -> None:
    assert main(words(run, tmp_path / "whole.json")) == 0
    command = [sys.executable, "-m", "neocog", *words(run, tmp_path / "dead.json", "--resume")]
    done = subprocess.run(command, env=os.environ | {"NEOCOG_FAIL_AT": f"before-record-{DIES}"}, check=False)
    assert done.returncode == -signal.SIGKILL
    (folder,) = kept(run)
    lines = [json.loads(line) for line in (folder / "measured.jsonl").read_text().splitlines()]
    before = {line["number"] for line in lines}
    assert before == set(range(DIES)) - {BROKEN}  # what cannot be read is told of at the end
    if processes == 1:
        assert main(words(run, tmp_path / "again.json", "--resume")) == 0
    else:
        command = ["-m", "neocog", *words(run, tmp_path / "again.json", "--resume")]
        assert [code for code, _, _ in finish(start(command))] == [0, 0]
    assert measured(tmp_path / "again.json") == measured(tmp_path / "whole.json")
    assert json.loads((tmp_path / "again.json").read_bytes())["images"] == PICTURES - 1
    assert not kept(run)


def test_records_of_another_model_are_not_taken(run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "neocog", *words(run, tmp_path / "dead.json", "--resume")]
    subprocess.run(command, env=os.environ | {"NEOCOG_FAIL_AT": f"before-record-{DIES}"}, check=False)
    (left,) = kept(run)
    assert main(words(run, tmp_path / "other.json", "--resume", "--set", "score=0.2")) == 0
    assert kept(run) == [left]
    assert measured(tmp_path / "other.json")["metrics"] != json.loads((run / "evaluation.json").read_bytes())


def test_without_a_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(run / "model")
    assert main(["evaluate", model, "--data", str(run.parent / "data"), "--resume"]) == 2
    assert "--resume records in a run's folder" in capsys.readouterr().err
