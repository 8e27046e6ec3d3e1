"""Values that no machine takes: each is one line with the right exit code, never a traceback."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from neocog.cli import main
from neocog.data.scenes import Scenes
from neocog.data.workers import Pool
from neocog.data.write import write_dataset
from neocog.errors import CheckpointError, DataError, DeviceError, NeocogError, UsageError

LONG = "a" * 300


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("refused") / "data"
    write_dataset({name: Scenes("std", name, count=4, size=64) for name in ("train", "val")}, target, "voc")
    return target


def one_line(words: list[str], code: int, capfd: pytest.CaptureFixture[str]) -> str:
    capfd.readouterr()
    assert main(words) == code, words
    error = capfd.readouterr().err
    assert error.startswith("neocog: ") and error.count("\n") == 1 and "bug" not in error, error
    return error


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["data", "check", LONG], DataError),
        (["data", "scenes", LONG], UsageError),
        (["data", "convert", "DATA", LONG, "--format", "voc"], UsageError),
        (["train", "faster-rcnn", "--data", LONG, "--out", "OUT"], DataError),
        (["train", "faster-rcnn", "--data", "DATA", "--out", LONG], UsageError),
        (["train", "faster-rcnn", "--data", "DATA", "--out", "OUT", "--weights", f"{LONG}.pt"], UsageError),
        (["evaluate", LONG], CheckpointError),
        (["predict", LONG, "x.png", "--out", "OUT"], CheckpointError),
        (["models", "--json", LONG], UsageError),
        (["convert-weights", "DATA/classes.txt", LONG], UsageError),
    ],
    ids=lambda words: " ".join(words).replace(LONG, "LONG") if isinstance(words, list) else "",
)
def test_a_name_too_long_for_the_system(
    words: list[str], code: type[NeocogError], data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [word.replace("DATA", str(data)).replace("OUT", str(tmp_path / "out")) for word in words]
    assert "file name too long" in one_line(words, code.exit_code, capfd).lower()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--seed", "99999999999999999999"], "--seed must lie in 0..4294967295"),
        (["--epochs", "1e308"], "--epochs must be at most"),
        (["--steps", "9" * 30], "--steps must be at most"),
        (["--minutes", "1e300"], "--minutes must be at most"),
        (["--workers", "1000000", "--steps", "1"], "'--workers'"),
        (["--threads", "1000000", "--steps", "1"], "'--threads'"),
    ],
)
def test_numbers_too_large_to_count_with(
    more: list[str], said: str, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "faster-rcnn", "--data", str(data), "--out", str(tmp_path / "out"), *more]
    assert said in one_line(words, 2, capfd)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"RANK": "0", "LOCAL_RANK": "y"},
        {"RANK": "x", "LOCAL_RANK": "0"},
        {"RANK": "7", "LOCAL_RANK": "0"},
    ],
)
def test_an_environment_that_only_looks_like_torchrun(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, word in {"WORLD_SIZE": "2", **given}.items():
        monkeypatch.setenv(name, word)
    assert "start with torchrun, or unset WORLD_SIZE" in one_line(["evaluate", "nowhere"], 2, capfd)


def test_processes_that_do_not_start_leave_none(monkeypatch: pytest.MonkeyPatch) -> None:
    real, started = os.fork, []

    def fork() -> int:
        if len(started) == 2:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        number = real()
        if number:
            started.append(number)
        return number

    monkeypatch.setattr(os, "fork", fork)
    work: Any = str
    with pytest.raises(DeviceError, match=r"^loader process 3 of 4 cannot be started \(Resource temporarily"):
        Pool(work, 4)
    for number in started:
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)
