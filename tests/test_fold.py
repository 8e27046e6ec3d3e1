"""Folding changes the layers, not the function."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from neocog.defaults import BACKBONES
from neocog.fold import fold_batchnorm
from neocog.testing import FULL, make_batch
from neocog.zoo import create


def randomise(model: nn.Module) -> None:
    """Statistics and weights far from their start, so that a wrong fold shows."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize("name", ["compact", "resnet18", "resnet50"])
def test_folded_backbones_give_the_same_maps(name: str) -> None:
    torch.manual_seed(0)
    backbone = BACKBONES[name].build().eval()
    randomise(backbone)
    images = torch.rand(2, 3, 64, 80)
    expected = backbone(images).maps
    folded: Any = fold_batchnorm(copy.deepcopy(backbone), lambda model: model(images))
    assert norms(backbone) > 0 and norms(folded) == 0
    for level, value in folded(images).maps.items():
        torch.testing.assert_close(
            value, expected[level], rtol=1e-3, atol=1e-3 * float(expected[level].detach().std())
        )


@pytest.mark.parametrize("name", ["faster-rcnn", "faster-rcnn-fpn"])
def test_a_folded_detector_gives_the_same_scores(name: str) -> None:
    torch.manual_seed(0)
    model: Any = create(name, 3).eval()
    randomise(model)
    batch = make_batch([FULL]).without_targets()
    folded: Any = fold_batchnorm(copy.deepcopy(model), lambda one: one(batch))
    with torch.inference_mode():
        before, after = model(batch), folded(batch)
    scale = float(before.rpn.logits.std())
    torch.testing.assert_close(after.rpn.logits, before.rpn.logits, rtol=1e-3, atol=1e-3 * scale)
    assert norms(folded) == 0
