"""Runs: what they leave, that two are equal, and what a disk that refuses does to them. Kills: test_kills."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from tests.references.disks import file_size_limit, read_only

from neocog.checkpoint import load_checkpoint, save_checkpoint
from neocog.cli import main
from neocog.cli.training import run_options
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.errors import UsageError
from neocog.files import JsonLines
from neocog.plan import Machine
from neocog.predict import load
from neocog.run import Run

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
    files += [path for path in [run / "metrics.jsonl"] if path.exists()]
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


def a_run(data: Path, out: Path) -> Run:
    """The run of `arguments`, to be watched from inside."""
    out.mkdir()
    given = {"batch": 4, "steps": STEPS, "seed": 7}
    options = run_options(
        "faster-rcnn",
        str(data),
        backbone=None,
        size=64,
        train_split="train",
        val_split="val",
        weights=None,
        settings=None,
        given=given,
    )
    return Run(out, options, Machine(workers=0, save_steps=3))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_log_on_a_full_disk_never_stops_a_run(whole: Path, folder: Path, tmp_path: Path) -> None:
    run = a_run(folder, tmp_path / "run")
    run.metrics = JsonLines(Path("/dev/full"))
    warnings = [warning for moment in run for warning in moment.warnings]
    assert len(warnings) == 1
    assert warnings[0].startswith("/dev/full: cannot be written (No space left on device); the run goes on")
    expected, found = fingerprints(whole), fingerprints(tmp_path / "run")
    assert found == {name: value for name, value in expected.items() if name != "metrics.jsonl"}


def test_two_refused_saves_are_told_and_change_nothing(
    whole: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def save(*given: Any, **named: Any) -> Path:
        nonlocal calls
        calls += 1
        with file_size_limit(1000) if calls in (2, 3, 5, 6) else nullcontext():
            return save_checkpoint(*given, **named)

    monkeypatch.setattr("neocog.run_folder.save_checkpoint", save)
    out = tmp_path / "run"
    warnings = []
    for moment in a_run(folder, out):
        warnings += moment.warnings
        if (out / "last").exists():
            assert load_checkpoint(out) is not None
    assert len(warnings) == 4
    assert "cannot be written (File too large); free some space" in warnings[0]
    assert warnings[0].endswith("; not saved, the run goes on")
    assert fingerprints(out) == fingerprints(whole)


def test_a_full_disk_ends_a_run_that_can_go_on_later(
    whole: Path, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    with file_size_limit(100_000):
        assert main(arguments(folder, out, "--save-steps", "2")) == 5
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 3, lines  # two warnings, then the end
    assert all("cannot be written (File too large); free some space" in line for line in lines)
    assert [line.endswith("; not saved, the run goes on") for line in lines] == [True, True, False]
    assert not [path for path in out.rglob("*") if path.name.endswith((".tmp", ".next"))]
    assert main(arguments(folder, out, "--resume")) == 0
    assert fingerprints(out) == fingerprints(whole)


def test_a_read_only_folder_is_one_line_and_code_5(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, "data")
    Path("run").mkdir()
    with read_only(Path("run")):
        assert main(arguments(Path("data"), Path("run"), "--resume")) == 5
    error = capfd.readouterr().err
    assert error.startswith("neocog: run/run.json: cannot be written (Permission denied)")
    assert error.count("\n") == 1
    assert list(Path("run").iterdir()) == []


def test_a_report_that_a_kill_prevented_is_made_on_resume(whole: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole, out, symlinks=True)
    (out / "report.html").unlink()
    assert main(arguments(folder, out, "--resume")) == 0
    assert "Precision against recall" in (out / "report.html").read_text()
    assert fingerprints(out) == fingerprints(whole)


def test_a_damaged_description_of_the_run_is_one_line(
    whole: Path, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole, out, symlinks=True)
    for content in ("", "[]", '{"options": {}, "data": 3}', "[" * 100_000):
        (out / "run.json").write_text(content)
        assert main(arguments(folder, out, "--resume")) == 4
        error = capfd.readouterr().err
        assert "run.json: cannot be read, or damaged" in error and error.count("\n") == 1


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


def test_a_run_is_not_mixed_with_another(whole: Path, folder: Path, tmp_path: Path) -> None:
    """From Python, where nobody has looked at the folder before."""
    run = a_run(folder, tmp_path / "run")
    next(iter(run))
    (tmp_path / "run").rename(tmp_path / "moved")
    again = a_run(folder, tmp_path / "run")
    (tmp_path / "run").rmdir()
    (tmp_path / "moved").rename(tmp_path / "run")
    before = (tmp_path / "run/metrics.jsonl").read_bytes()
    with pytest.raises(UsageError, match="run: holds a run already; resume it"):
        next(iter(again))
    assert (tmp_path / "run/metrics.jsonl").read_bytes() == before


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
