"""Runs: what they leave, that two are equal, and that killed ones resume to the same bits."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from neocog.cli import main
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.predict import load

STEPS = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small VOC data set of generated scenes."""
    target = tmp_path_factory.mktemp("data") / "shapes"
    splits = {
        name: Scenes("std", name, count=count) for name, count in (("train", 20), ("val", 5), ("test", 5))
    }
    write_dataset(splits, target, "voc")
    return target


def arguments(data: Path, out: Path, *more: str) -> list[str]:
    common = ["--size", "64", "--batch", "4", "--steps", str(STEPS), "--threads", "1", "--seed", "7"]
    return ["train", "faster-rcnn", "--data", str(data), "--out", str(out), *common, *more]


def fingerprints(run: Path) -> dict[str, str]:
    """Digests of everything that must be the same bits: checkpoint, given model, log of metrics."""
    files = [*sorted((run / "last").glob("*.safetensors")), run / "model" / "model.safetensors"]
    files += [run / "metrics.jsonl"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run, loaded by one worker."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert main(arguments(folder, out, "--workers", "1")) == 0
    return out


def test_a_run_leaves_what_the_design_says(whole: Path, folder: Path) -> None:
    run = json.loads((whole / "run.json").read_text())
    assert run["options"]["training"]["steps"] == STEPS
    assert run["classes"] == sorted(Scenes().classes) or run["classes"] == list(Scenes().classes)
    assert run["data"]["images"] == 20
    records = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if "losses" in r] == list(range(1, STEPS + 1))
    assert len([r for r in records if "validation" in r]) == 5
    evaluation = json.loads((whole / "evaluation.json").read_text())
    assert evaluation["split"] == "val" and evaluation["images"] == 5
    assert set(evaluation["metrics"]) >= {"voc07_map50", "voc_map50", "coco_ap", "coco_ap50", "coco_ap75"}
    assert set(evaluation["ms_per_image"]) == {"total", "proposals", "network", "decode"}
    assert (whole / "samples" / "00.png").stat().st_size > 1000
    page = (whole / "report.html").read_text()
    assert (
        "<svg" in page
        and "data:image/png;base64" in page
        and "http://" not in page.replace("http://www.w3.org", "")
    )
    assert (whole / "last").is_symlink() and (whole / "best").is_symlink()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_number_of_workers_changes_nothing(
    whole: Path, folder: Path, tmp_path: Path, workers: str
) -> None:
    assert main(arguments(folder, tmp_path / "again", "--workers", workers)) == 0
    assert fingerprints(tmp_path / "again") == fingerprints(whole)


def start(words: Sequence[str]) -> subprocess.Popen[bytes]:
    code = f"import sys; from neocog.cli import main; sys.exit(main({list(words)!r}))"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def last_step(run: Path) -> int:
    """The newest step in the log of times, which has a line a step."""
    try:
        lines = (run / "timing.jsonl").read_bytes().splitlines()
    except FileNotFoundError:
        return 0
    for line in reversed(lines):
        try:
            return int(json.loads(line)["step"])
        except (ValueError, KeyError):
            continue
    return 0


def kill_at(run: Path, words: Sequence[str], step: int, delay: float) -> int:
    """Start the program, wait for a step and a little more, kill it; the step at which it died."""
    process = start(words)
    deadline = time.monotonic() + 120
    while last_step(run) < step and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()
    return last_step(run)


def test_three_kills_change_nothing(whole: Path, folder: Path, tmp_path: Path) -> None:
    """SIGKILL at three random moments, with another number of workers each time: the same bits in the end."""
    draw = random.Random(0)
    out, died = tmp_path / "killed", []
    for count, (low, high) in enumerate([(1, 6), (8, 13), (15, 19)]):
        more = ["--save-steps", "3", "--workers", str(count), *(["--resume"] if count else [])]
        died.append(
            kill_at(out, arguments(folder, out, *more), draw.randint(low, high), draw.random() * 0.05)
        )
        assert died[-1] < STEPS, "the kill came after the last step and shows nothing"
    print(f"killed at steps {died}")
    assert main(arguments(folder, out, "--save-steps", "3", "--resume")) == 0
    assert fingerprints(out) == fingerprints(whole)


def test_resume_of_a_finished_run_does_nothing_more(whole: Path, folder: Path) -> None:
    before = fingerprints(whole)
    assert main(arguments(folder, whole, "--resume")) == 0
    assert fingerprints(whole) == before


def test_resume_refuses_another_experiment(
    whole: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(folder, whole, "--resume", "--lr", "0.5")) == 2
    assert "was started with training.lr = 0.002, not 0.5" in capfd.readouterr().err


def test_an_existing_folder_is_left_alone(
    whole: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(folder, whole)) == 2
    assert "exists already" in capfd.readouterr().err


def test_the_model_given_away_answers_as_the_run(whole: Path, folder: Path, tmp_path: Path) -> None:
    picture = sorted((folder / "JPEGImages").iterdir())[0]
    first, again = load(whole).predict(picture), load(whole / "model").predict(picture)
    assert first.boxes.tolist() == again.boxes.tolist()
    assert first.to_dict()["source"] == str(picture)
    assert main(["evaluate", str(whole), "--split", "test", "--json", str(tmp_path / "test.json")]) == 0
    assert json.loads((tmp_path / "test.json").read_text())["images"] == 5


def test_a_damaged_checkpoint_is_told_in_one_line(
    whole: Path, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Last in this file: it damages the run."""
    weights = whole / "last" / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(bytes(data))
    assert main(arguments(folder, whole, "--resume")) == 4
    error = capfd.readouterr().err
    assert "weights.safetensors: damaged" in error and error.count("\n") == 1
