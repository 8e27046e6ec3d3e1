"""The family as a whole: what `compare` trains, and what every model's entry promises."""

from __future__ import annotations

import pytest
import torch

from neocog.defaults import BACKBONES
from neocog.types import Task
from neocog.zoo import MODELS, create


@pytest.mark.parametrize(
    ("task", "names"),
    [
        (Task.DETECT, ["r-cnn", "fast-rcnn", "faster-rcnn", "r-fcn", "ssd", "yolo"]),
        (Task.CLASSIFY, ["notes-digit", "notes-pattern", "lenet5", "alexnet", "resnet18", "compact"]),
        (Task.LOCALIZE, ["localizer"]),
    ],
)
def test_what_compare_trains_unasked(task: Task, names: list[str]) -> None:
    assert [name for name, entry in MODELS.items() if entry.task == task and entry.compared] == names


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_built_on_every_backbone_it_names(name: str) -> None:
    """By default options at its usual size, on the meta device."""
    for backbone in MODELS[name].backbones:
        with torch.device("meta"):
            model = create(name, 3, backbone)
        assert sum(parameter.numel() for parameter in model.parameters()) > 0
        assert model.task == MODELS[name].task
    assert set(MODELS[name].backbones) <= set(BACKBONES)
