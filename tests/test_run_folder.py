"""What is taken up from a run's folder is what belongs to the run, or one line says why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from neocog.checkpoint import load_checkpoint
from neocog.errors import CheckpointError
from neocog.run_folder import Kept, restore_state, save_state
from neocog.train import Training, TrainOptions


class Line(nn.Module):
    """One layer with a loss."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def loss(self, output: object, batch: object) -> dict[str, torch.Tensor]:
        return {}


def training() -> Training:
    torch.manual_seed(0)
    return Training(Line(), TrainOptions(steps=9), 9)


def test_a_state_comes_back(tmp_path: Path) -> None:
    saved = training()
    saved.step, saved.elapsed, saved.skipped = 4, 2.5, 1
    save_state(tmp_path, saved, Kept(0.5, [{"step": 4}], ["a.png: cut"]), best=True)
    found, resumed = load_checkpoint(tmp_path), training()
    assert found is not None
    assert restore_state(found, resumed) == Kept(0.5, [{"step": 4}], ["a.png: cut"])
    assert (resumed.step, resumed.elapsed, resumed.skipped) == (4, 2.5, 1)


def test_averages_of_another_shape_are_not_spread_out(tmp_path: Path) -> None:
    saved = training()
    saved.average["layer.weight"] = torch.zeros(1, 1)  # which copying would repeat over the whole matrix
    save_state(tmp_path, saved, Kept(), best=False)
    found = load_checkpoint(tmp_path)
    assert found is not None
    with pytest.raises(
        CheckpointError, match=r"ema\.safetensors: tensor 'layer\.weight' is float32 \(1, 1\)"
    ):
        restore_state(found, training())


def test_a_pointer_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(link: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("neocog.checkpoint.read_link", refuse)
    with pytest.raises(CheckpointError, match=r"last: cannot be read \(Permission denied\)$"):
        load_checkpoint(tmp_path)
