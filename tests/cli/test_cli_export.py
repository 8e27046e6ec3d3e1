"""`neocog export`: what it prints and leaves, on which pictures it compares, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neocog.backbones.resnet import resnet18
from neocog.cli import main
from neocog.errors import CheckpointError
from neocog.export import packages
from neocog.export.reader import Exported

SHORT = ["--threads", "1", "--workers", "0", "--steps", "40"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "run"
    assert main(["train", "notes-digit", "--data", "scenes:digits", "--out", str(out), *SHORT]) == 0
    return out


def test_a_run_becomes_a_file(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, result = tmp_path / "deep" / "digits.onnx", tmp_path / "result.json"
    words = ["export", str(run), "--out", str(out), "--pictures", "8", "--json", str(result)]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "comparing on 8 pictures made from scenes:digits, split 'val'" in told
    assert "the same answers as the model's: 8 pictures of " in told
    assert sorted(path.name for path in out.parent.iterdir()) == ["digits.json", "digits.onnx"]
    compared = json.loads(result.read_text())["compared"]
    assert compared["pictures"] == 8 and compared["batches"] == [1, 3] and compared["undecided"] == []
    assert compared["largest_score_difference"] < 1e-4 and compared["detections"] is None
    assert main(words) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0


def test_a_model_folder_is_compared_on_generated_pictures(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", str(run / "model"), "--format", "openvino", "--out", str(tmp_path / "digits.xml")]
    assert main([*words, "--pictures", "4"]) == 0
    assert "comparing on 4 pictures made from generated scenes" in capsys.readouterr().out
    assert main([*words, "--int8", "--overwrite"]) == 2
    assert "has none: give --data PATH" in capsys.readouterr().err


def test_a_published_model_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    weights, out = tmp_path / "resnet18.pth", tmp_path / "resnet18.onnx"
    torch.save(resnet18(1000).state_dict(), weights)
    words = ["export", "resnet18", "--weights", str(weights), "--out", str(out), "--pictures", "3"]
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--threads", "1"]) == 0
    assert "made from generated scenes" in capsys.readouterr().out
    exported = Exported(out)
    assert exported.description["resize"] == "centre" and len(exported.classes) == 1000


def test_a_runtime_that_fails_is_one_line(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "digits.onnx"
    assert main(["export", str(run), "--out", str(out), "--pictures", "3"]) == 0
    exported = Exported(out)

    def fail(feed: Any) -> Any:
        raise RuntimeError("no memory\n  for this")

    monkeypatch.setattr(exported.session, "run", fail)
    with pytest.raises(CheckpointError) as caught:
        exported.predict(np.zeros((20, 30, 3), np.uint8))
    assert str(caught.value).startswith("digits.onnx: its runtime fails on a batch of 1, ")
    assert str(caught.value).endswith(" px (no memory for this)")


def test_int8_shows_what_it_costs(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, result = tmp_path / "digits.onnx", tmp_path / "result.json"
    words = ["export", str(run), "--out", str(out), "--pictures", "4", "--json", str(result)]
    assert main([*words, "--int8", "--calibrate", "20"]) == 0
    assert (
        "int8, calibrated on 20 training pictures: top1 in float32 and in int8 0." in capsys.readouterr().out
    )
    measured: dict[str, Any] = json.loads(result.read_text())["int8"]
    assert measured["float32"] > 0.3 and abs(measured["float32"] - measured["int8"]) < 0.1
    assert Exported(out).description["int8"] == {"calibrated_on": 20}


def test_without_the_extra_one_line_says_how_to_get_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "onnxscript" else object())
    assert main(["export", str(run), "--out", str(tmp_path / "digits.onnx")]) == 2
    error = capsys.readouterr().err
    assert error == 'neocog: exporting needs the package onnxscript: pip install "neocog[export]"\n'
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--format", "onnx", "--out", "a.xml"], r"give a name that ends in .onnx"),
        (["--format", "tflite", "--out", "a.tflite"], "give onnx or openvino"),
        (["--out", "a.onnx", "--data", "nowhere"], "nowhere"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    words: list[str],
    told: str,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(run), *words]) in (2, 3)
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_extra_is_imported_only_when_it_is_used() -> None:
    code = (
        "import sys, neocog.export.model, neocog.cli;"
        "print({'onnx', 'onnxscript', 'onnxruntime', 'openvino'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
