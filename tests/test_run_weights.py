"""A run that starts from weights in a file: they arrive, and the statistics of their BatchNorm stay."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from neocog.backbones.resnet import resnet18
from neocog.cli import main


def test_statistics_that_were_loaded_are_kept(tmp_path: Path) -> None:
    torch.manual_seed(0)
    given = resnet18(1000).state_dict()
    for name, value in given.items():
        if name.endswith("running_mean"):
            value.normal_()
    file = tmp_path / "resnet18.safetensors"
    save_file({name: value.contiguous() for name, value in given.items()}, file)
    out = tmp_path / "run"
    words = ["train", "faster-rcnn", "--backbone", "resnet18", "--weights", str(file), "--data", "scenes"]
    budget = ["--size", "64", "--steps", "2", "--batch", "2", "--workers", "0", "--threads", "1"]
    assert main([*words, *budget, "--val-split", "none", "--out", str(out)]) == 0
    trained = load_file(out / "model" / "model.safetensors")
    for name in ("bn1.running_mean", "bn1.running_var", "bn1.weight", "layer3.1.bn2.running_mean"):
        assert torch.equal(trained[f"backbone.{name}"], given[name]), name
    assert not torch.equal(trained["backbone.conv1.weight"], given["conv1.weight"])
