"""Checkpoints of an optimizer: what goes on from one goes on to the bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from neocog.checkpoint import (
    flatten_optimizer,
    load_checkpoint,
    restore_optimizer,
    save_checkpoint,
)
from neocog.errors import CheckpointError
from neocog.optimizers import Muon
from neocog.weights import restore_weights


def a_model(memory_format: torch.memory_format) -> nn.Module:
    torch.manual_seed(1)
    layers = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 7, 3), nn.Flatten())
    return nn.Sequential(layers, nn.Linear(7 * 16, 3)).to(memory_format=memory_format)


def an_optimizer(kind: str, model: nn.Module) -> torch.optim.Optimizer:
    groups = [{"params": model[0].parameters(), "lr": 0.01}, {"params": model[1].parameters(), "lr": 0.1}]
    if kind == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, weight_decay=1e-4, nesterov=True)
    if kind == "muon":
        filters = [weight for weight in model.parameters() if weight.ndim == 4]
        rest = [value for value in model.parameters() if value.ndim != 4]
        return Muon(filters, [{"params": rest, "weight_decay": 0.1}], 0.01, (0.9, 0.95), 0.1)
    return torch.optim.AdamW(groups, betas=(0.9, 0.95), amsgrad=kind == "amsgrad")


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, first: int, memory_format: torch.memory_format
) -> None:
    for step in range(first, first + 3):
        made = torch.Generator().manual_seed(step)
        images = torch.randn(4, 3, 8, 8, generator=made).contiguous(memory_format=memory_format)
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] *= 0.9


def everything(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {**model.state_dict(), **flatten_optimizer(optimizer)[0]}


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", ["sgd", "adamw", "amsgrad", "muon"])
def test_resumed_training_is_bit_identical(
    kind: str, memory_format: torch.memory_format, tmp_path: Path
) -> None:
    model = a_model(memory_format)
    optimizer = an_optimizer(kind, model)
    train(model, optimizer, 0, memory_format)
    moments, state = flatten_optimizer(optimizer)
    first = {"sgd": "momentum_buffer", "muon": "momentum"}.get(kind, "exp_avg")
    assert f"0.{first}" in moments
    save_checkpoint(tmp_path, 3, {"weights": model.state_dict(), "optimizer": moments}, {"optimizer": state})

    found = load_checkpoint(tmp_path)
    assert found is not None
    resumed = a_model(memory_format)
    restore_weights(resumed, found.tensors["weights"], found.path)
    other = an_optimizer(kind, resumed)
    restore_optimizer(other, found.tensors["optimizer"], found.state["optimizer"])
    assert other.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]

    train(model, optimizer, 3, memory_format)
    train(resumed, other, 3, memory_format)
    expected, actual = everything(model, optimizer), everything(resumed, other)
    assert expected.keys() == actual.keys()
    for name, value in expected.items():
        assert torch.equal(actual[name], value), name
        assert actual[name].stride() == value.stride(), name
    # What was loaded is a snapshot: training on did not change it.
    again = load_checkpoint(tmp_path)
    assert again is not None
    for name, value in again.tensors["optimizer"].items():
        assert torch.equal(found.tensors["optimizer"][name], value), name


def test_a_fresh_optimizer_and_one_without_moments(tmp_path: Path) -> None:
    for optimizer in (
        torch.optim.SGD([nn.Parameter(torch.ones(2))], lr=0.1),
        torch.optim.AdamW([torch.ones(2)]),
    ):
        tensors, state = flatten_optimizer(optimizer)
        assert tensors == {}
        restore_optimizer(optimizer, tensors, json.loads(json.dumps(state)))


def test_another_optimizer_gives_one_line() -> None:
    def trained(kind: Any, size: int, count: int) -> torch.optim.Optimizer:
        parameters = [nn.Parameter(torch.ones(size)) for _ in range(count)]
        optimizer = kind(parameters, lr=0.1)
        for parameter in parameters:
            parameter.grad = torch.ones(size)
        optimizer.step()
        return optimizer

    tensors, state = flatten_optimizer(trained(torch.optim.AdamW, 4, 2))
    for kind, size, count, words in (
        (torch.optim.SGD, 4, 2, ["AdamW", "SGD"]),
        (torch.optim.AdamW, 4, 3, ["AdamW"]),
        (torch.optim.AdamW, 5, 2, ["'0.exp_avg'", "(4,)", "(5,)"]),
    ):
        other = trained(kind, size, count)
        before = {name: value.clone() for name, value in flatten_optimizer(other)[0].items()}
        with pytest.raises(CheckpointError) as caught:
            restore_optimizer(other, tensors, state)
        assert "\n" not in str(caught.value) and all(word in str(caught.value) for word in words)
        assert all(torch.equal(value, before[name]) for name, value in flatten_optimizer(other)[0].items())
