"""Runs that end with batches of which nothing can be read: as complete as any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.badinputs.image_bytes import flipped_checksum

from neocog.checkpoint import load_checkpoint
from neocog.cli import main
from neocog.cli.training import run_options
from neocog.data.open import open_data
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.errors import DataError
from neocog.ops.rng import generator
from neocog.plan import Machine
from neocog.run import Run
from neocog.types import SampleKey

PICTURES = 18


def last_of_epoch(epoch: int) -> int:
    """The picture that the stream of seed 0 ends an epoch with."""
    return int(generator(SampleKey(0, epoch, 0), "order").permutation(PICTURES)[-1])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set whose first epoch ends with a picture that does not decode."""
    root = tmp_path / "data"
    splits = {name: Scenes("std", name, count=PICTURES, size=64) for name in ("train", "val")}
    write_dataset(splits, root, "voc")
    path = root / open_data(root, "train").identity(last_of_epoch(0))
    with Image.open(path) as file:
        image = file.convert("RGB")
    path.write_bytes(flipped_checksum(image))
    return root


def words(data: Path, out: Path, *more: str) -> list[str]:
    fixed = ["--size", "64", "--batch", "1", "--threads", "1"]
    return ["train", "faster-rcnn", "--data", str(data), "--out", str(out), *fixed, *more]


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.parametrize("budget", [("--steps", str(PICTURES)), ("--epochs", "1")])
@pytest.mark.parametrize("val", ["val", "none"])
def test_the_last_step_is_passed_over_and_the_run_complete(
    val: str, budget: tuple[str, str], workers: str, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert main(words(data, out, *budget, "--workers", workers, "--val-split", val)) == 0
    assert [one["step"] for one in records(out) if "losses" in one] == list(range(1, PICTURES))
    found = load_checkpoint(out)
    assert found is not None and found.step == PICTURES
    assert (out / "report.html").exists() and (out / "model/model.safetensors").exists()
    assert len(json.loads((out / "run.json").read_text())["unreadable"]) == 1
    if val == "val":
        assert records(out)[-1].keys() == {"step", "validation"} and records(out)[-1]["step"] == PICTURES
        assert (out / "evaluation.json").exists()
    before = sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*") if path.is_file())
    assert main(words(data, out, *budget, "--workers", workers, "--val-split", val, "--resume")) == 0
    after = sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*") if path.is_file())
    logs = {out / "metrics.jsonl", out / "timing.jsonl"}  # cut anew, to the same content
    assert [one for one in before if one[0] not in logs] == [one for one in after if one[0] not in logs]


def a_run(data: Path, out: Path, steps: int, *, resume: bool = False) -> Run:
    given = {"batch": 1, "steps": steps, "seed": 0}
    common = {"backbone": None, "size": 64, "weights": None, "settings": None, "given": given}
    options = run_options("faster-rcnn", str(data), train_split="train", val_split="val", **common)
    return Run(out, options, Machine(workers=0, save_steps=1), resume=resume)


def test_a_stop_in_its_place_leaves_a_run_that_goes_on(data: Path, tmp_path: Path) -> None:
    whole, cut = a_run(data, tmp_path / "whole", PICTURES), a_run(data, tmp_path / "cut", PICTURES)
    list(whole)
    for moment in cut:
        if moment.step.number == PICTURES - 1:
            cut.stop()
    assert cut.stopped and not cut.finished and not (cut.out / "report.html").exists()
    again = a_run(data, tmp_path / "cut", PICTURES, resume=True)
    list(again)
    assert again.finished and again.training.step == PICTURES
    assert records(cut.out) == records(whole.out)


def test_a_run_of_which_nothing_can_be_read_is_an_error(data: Path, tmp_path: Path) -> None:
    order = generator(SampleKey(0, 0, 0), "order").permutation(PICTURES)
    good, bad = (
        data / open_data(data, "train").identity(index) for index in (int(order[0]), last_of_epoch(0))
    )
    good.write_bytes(bad.read_bytes())
    bad.write_bytes(
        next(one for one in (data / "JPEGImages").iterdir() if one not in (good, bad)).read_bytes()
    )
    with pytest.raises(DataError, match="no picture of any step could be read"):
        list(a_run(data, tmp_path / "run", 1))
