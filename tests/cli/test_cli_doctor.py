"""`neocog doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from neocog.cli import main
from neocog.zoo import MODELS


def test_all_is_well_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--device", "cpu", "--json", str(tmp_path / "doctor.json")]) == 0
    result = json.loads((tmp_path / "doctor.json").read_text(encoding="utf-8"))
    assert result["machine"]["torch"] == torch.__version__
    assert result["machine"]["torch threads"] == torch.get_num_threads()
    assert {one["name"] for one in result["checks"]} >= {
        "non-maximum suppression",
        "RoI align",
        "scenes",
        *MODELS,
    }
    assert all(one["ok"] and one["ms"] > 0 and not one["message"] for one in result["checks"])
    out = capsys.readouterr().out
    assert f"torch threads     {torch.get_num_threads()}\n" in out
    assert "self-test on cpu" in out and "failed" not in out


def test_a_wrong_operator_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def keep_all(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
        return scores.argsort(descending=True)

    monkeypatch.setattr("neocog.ops.nms.nms", keep_all)
    assert main(["doctor", "--device", "cpu", "--json", "-"]) == 1
    out, err = capsys.readouterr()
    failed = [one for one in json.loads(out)["checks"] if not one["ok"]]
    assert [(one["name"], one["message"]) for one in failed] == [
        ("non-maximum suppression", "kept [1, 0, 2], not [1, 2]")
    ]
    assert "failed" in err


def test_an_operator_that_raises_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> Tensor:
        raise RuntimeError("no kernel\nfor this")

    monkeypatch.setattr("neocog.ops.roi.roi_align", broken)
    assert main(["doctor", "--device", "cpu"]) == 1
    assert "RuntimeError: no kernel for this\n" in capsys.readouterr().out
