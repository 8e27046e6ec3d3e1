"""The feature pyramid and published detectors from the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from neocog.cli import main, progress
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset

SMALL = ["--size", "64", "--threads", "1", "--workers", "0", "--val-split", "none"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("data") / "shapes"
    write_dataset({name: Scenes("std", name, count=4) for name in ("train", "test")}, target, "coco")
    return target


def test_trained_measured_and_used(folder: Path, tmp_path: Path) -> None:
    run, found = tmp_path / "run", tmp_path / "found"
    words = ["train", "faster-rcnn-fpn", "--data", str(folder), "--batch", "2", *SMALL]
    assert main([*words, "--steps", "2", "--set", "canonical=64", "--out", str(run)]) == 0
    config = json.loads((run / "model" / "config.json").read_text())["config"]
    assert config["options"]["canonical"] == 64 and config["options"]["maps"] == ["c2", "c3", "c4"]
    result = tmp_path / "result.json"
    settings = ["--set", "regions.score=0", "--set", "regions.nms=0.4"]
    assert main(["evaluate", str(run), "--threads", "1", *settings, "--json", str(result)]) == 0
    assert json.loads(result.read_text())["images"] == 4
    words = ["predict", str(run), str(folder), "--conf", "0", "--threads", "1"]
    assert main([*words, "--out", str(found)]) == 0
    assert len(json.loads((found / "predictions.json").read_text())["images"]) == 8


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("rpn.norm=true", "the maps share the RPN"),
        ("rpn.scales=[1, 2]", "must have 4 numbers"),
        ('maps=["c2", "c4"]', "must have 3 numbers"),
        ("anchors=middle", "'centre' or 'corner'"),
    ],
)
def test_options_that_cannot_be_are_usage(
    folder: Path, tmp_path: Path, setting: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "faster-rcnn-fpn", "--data", str(folder), "--steps", "1", *SMALL]
    assert main([*words, "--set", setting, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert reason in error and error.count("\n") == 1


def test_an_unknown_published_detector_is_usage(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "coco:fasterrcnn_resnet50"
    assert main(["predict", name, str(folder), "--out", str(tmp_path / "found")]) == 2
    assert "did you mean 'fasterrcnn_resnet50_fpn'?" in capsys.readouterr().err
    assert not (tmp_path / "found").exists()


def test_a_download_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    file = io.StringIO()
    show = progress.show_download(file)
    for done in (1 << 20, 2 << 20, 4 << 20):
        show(done, 4 << 20)
    lines = file.getvalue().splitlines()
    assert lines[0].startswith("fetching: 1 of 4 MiB, 0:00 left")
    assert lines[-1].startswith("fetching: 4 of 4 MiB, 0:00 left")
