"""With the same weights, classifiers give torchvision's logits. Needs torchvision (`pytest -m oracle`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from neocog.models.classifier import classifier_from_torchvision
from neocog.types import blank_batch
from neocog.zoo import create

pytestmark = pytest.mark.oracle

NAMES = ["alexnet", "vgg16", "resnet18", "resnet34", "resnet50", "resnet101"]


def randomise(model: nn.Module) -> None:
    """Statistics, scales and biases that differ from one channel to the next."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.4, 0.8)
            nn.init.uniform_(part.running_var, 0.5, 2.0)  # type: ignore[arg-type]
            nn.init.normal_(part.running_mean, 0.0, 0.2)  # type: ignore[arg-type]
        bias = getattr(part, "bias", None)
        if isinstance(bias, torch.Tensor):
            nn.init.normal_(bias, 0.0, 0.1)


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_logits_are_torchvisions(name: str) -> None:
    models: Any = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    theirs = getattr(models, name)(weights=None).eval()
    randomise(theirs)
    ours: Any = create(name, 1000).eval()
    ours.load_state_dict(classifier_from_torchvision(theirs.state_dict()))
    images = torch.rand(1, 3, 224, 224)
    batch = replace(blank_batch((224, 224)), images=images)
    found = ours(batch).logits
    expected = theirs((images - ours.backbone.mean) / ours.backbone.std)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
