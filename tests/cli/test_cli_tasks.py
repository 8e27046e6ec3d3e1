"""Every task from the command line: it trains, validates, is measured, predicts and is compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from neocog.cards import PIPELINES
from neocog.cli import main
from neocog.cli.compare import family_of
from neocog.cli.training import run_options
from neocog.course import warm_up
from neocog.data.scenes import Scenes
from neocog.data.solids import Solids
from neocog.data.write import write_dataset
from neocog.judging import TASKS
from neocog.predict import load
from neocog.types import Batch, Task, blank_batch
from neocog.zoo import create

FORMATS = {"folders": Task.CLASSIFY, "masks": Task.SEGMENT, "voc": Task.DETECT}
QUICK = ["--steps", "2", "--threads", "1", "--workers", "0"]

MODELS = {
    "notes-digit": ("folders", Task.CLASSIFY, []),
    "compact": ("voc", Task.CLASSIFY, []),
    "lenet5": ("folders", Task.CLASSIFY, ["--set", "first=local"]),
    "localizer": ("voc", Task.LOCALIZE, ["--size", "64"]),
    "fcn-8s": ("masks", Task.SEGMENT, []),
    "deconvnet": ("masks", Task.SEGMENT, ["--set", "stages=objects-first"]),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Generated pictures in a format for each kind of truth."""
    home = tmp_path_factory.mktemp("data")
    for format, task in FORMATS.items():
        level = "single" if format == "folders" else "std"
        counts = (
            {"train": 60, "val": 24, "test": 24}
            if format == "folders"
            else dict.fromkeys(("train", "val", "test"), 6)
        )
        splits = {name: Scenes(level, name, count, size=64, task=task) for name, count in counts.items()}
        write_dataset(splits, home / format, format)
        (home / format / "classes.txt").write_text("\n".join(splits["train"].classes) + "\n")
    return {format: home / format for format in FORMATS}


@pytest.mark.parametrize("model", MODELS)
def test_it_trains_is_measured_and_predicts(model: str, folders: dict[str, Path], tmp_path: Path) -> None:
    format, task, words = MODELS[model]
    data, out = folders[format], tmp_path / "run"
    assert main(["train", model, "--data", str(data), "--out", str(out), *QUICK, *words]) == 0
    assert json.loads((out / "run.json").read_text())["task"] == task
    assert (out / "samples" / "00.png").exists() and (out / "report.html").exists()
    assert PIPELINES[task] in (out / "model" / "README.md").read_text()
    assert main(["evaluate", str(out), "--threads", "1"]) == 0
    measured = json.loads((out / "evaluation.json").read_text())
    assert measured["task"] == task and measured["split"] == "test"
    assert {column.key for column in TASKS[task].shown} <= set(measured["metrics"])
    picture = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 90, 3), np.uint8)).save(picture)
    found = load(out).predict(picture)
    assert found.to_dict()["source"] == str(picture) and found.line()
    if task is Task.SEGMENT:
        assert found.mask.shape == found.scores.shape == (50, 90)
    assert main(["predict", str(out), str(picture), "--out", str(tmp_path / "found")]) == 0
    record = json.loads((tmp_path / "found" / "predictions.json").read_text())["images"][0]
    assert (tmp_path / "found" / record["drawn"]).exists()
    if task is Task.SEGMENT:
        assert (np.asarray(Image.open(tmp_path / "found" / "masks" / record["drawn"])) == found.mask).all()


def test_inverse_graphics_learns_from_generated_solids(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["train", "dc-ign", "--data", "scenes:solids", "--val-split", "none", *QUICK]
    assert main([*words, "--out", str(out)]) == 0
    assert json.loads((out / "run.json").read_text())["task"] == "reconstruct"
    picture = tmp_path / "picture.png"
    Image.fromarray(Solids("test")[5].image).save(picture)
    found = load(out).predict(picture)
    assert found.code.shape == (32,) and found.image.shape == (64, 64, 3)
    explained = ["explain", str(out), str(picture), "--method", "units", "--threads", "1"]
    assert main([*explained, "--out", str(tmp_path / "units")]) == 0
    assert (tmp_path / "units" / "01-units.png").exists()
    assert main([*words, "--size", "99", "--out", str(tmp_path / "other")]) == 2
    assert main([*words, "--batch", "16", "--out", str(tmp_path / "other")]) == 2


def test_a_family_is_compared(folders: dict[str, Path], tmp_path: Path) -> None:
    """One table, one report; what has no meaning for the task is absent."""
    out = tmp_path / "all"
    data = str(folders["masks"])
    assert main(["compare", "fcn-32s", "fcn-8s", "--data", data, "--out", str(out), *QUICK]) == 0
    table = json.loads((out / "compare.json").read_text())
    assert table["task"] == "segment" and [row["model"] for row in table["rows"]] == ["fcn-32s", "fcn-8s"]
    assert table["rows"][0]["metrics"]["mean_iou"]["mean"] >= 0
    page = (out / "report.html").read_text()
    assert "mean IoU" in page and "x R-CNN" not in page and "The same pictures" in page


def one_picture(side: int) -> Batch:
    return replace(blank_batch((side, side)), labels=torch.zeros(1, dtype=torch.int64))


def test_the_classifiers_that_are_compared_can_all_read_small_pictures() -> None:
    """AlexNet shrinks 32 pixels to nothing, and a ResNet to one cell; here both learn from a single one."""
    for name in family_of("classify"):
        options = run_options(
            name,
            "scenes:digits",
            backbone=None,
            size=None,
            train_split="train",
            val_split="none",
            weights=None,
            settings=None,
            given={},
        )
        assert options.size[0] == {"notes-digit": 28, "alexnet": 64, "resnet18": 64}.get(name, 32)
        warm_up(create(name, 10, options.backbone, options.options), one_picture(options.size[0]))


def test_what_does_not_fit_together_is_refused(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert main(["compare", "ssd", "fcn-8s", "--data", "scenes", "--out", out]) == 2
    assert "compare one task" in capsys.readouterr().err
    assert main(["compare", "--task", "segmentation", "--data", "scenes", "--out", out]) == 2
    assert "did you mean 'segment'" in capsys.readouterr().err
    words = ["--data", str(folders["folders"]), "--out", out, "--pretrain", "0.2", *QUICK]
    assert main(["train", "compact", *words]) == 2
    assert "--pretrain learns from crops" in capsys.readouterr().err
    assert main(["train", "fcn-8s", "--data", str(folders["folders"]), "--out", out, *QUICK]) == 3
    assert "class folders" in capsys.readouterr().err
    words = ["--main", "dragon", "--out", out, *QUICK]
    assert main(["train", "localizer", "--data", str(folders["voc"]), *words]) == 3
    assert "dragon" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
