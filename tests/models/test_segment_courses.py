"""The segmenters' training in stages: crops first, then pictures, through one course."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from neocog.course import build_course
from neocog.parts.stages import Course
from neocog.plan import Augmentation, RunOptions
from neocog.testing import make_masked_batch
from neocog.train import Training, TrainOptions
from neocog.types import Objects
from neocog.zoo import MODELS, create

STAGES = {
    ("fcn-8s", "compact", "at-once"): ["pretrain", "segment"],
    ("fcn-8s", "thin", "staged"): ["pretrain", "32s", "16s", "8s"],
    ("deconvnet", "thin", "objects-first"): ["pretrain", "objects", "segment"],
}


def course(name: str, backbone: str, stages: str, pretrain: float = 0.25) -> Course:
    torch.manual_seed(0)
    options = replace(MODELS[name].options(backbone, 96), stages=stages)
    model: Any = create(name, 4, backbone, options)
    training = TrainOptions(steps=8)
    given = RunOptions(
        name, backbone, "scenes", (96, 96), "train", None, None, training, Augmentation(), options, pretrain
    )
    built = build_course(model, given)
    assert isinstance(built, Course)
    return built


@pytest.mark.parametrize("case", STAGES)
def test_every_stage_learns_from_pictures_with_masks_and_objects(case: tuple[str, str, str]) -> None:
    built = course(*case).train()
    assert [stage.name for stage in built.stages] == STAGES[case]
    whole = make_masked_batch(2, 4)
    for batch in (whole, replace(whole, targets=(Objects.empty(), Objects.empty()))):
        for number in range(len(built.stages)):
            built.enter(number)
            built.zero_grad(set_to_none=True)
            losses = built.loss(built(batch), batch)
            torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
            gradients = {name: p.grad for name, p in built.named_parameters() if p.grad is not None}
            assert all(gradient.isfinite().all() for gradient in gradients.values())
            learning = {".".join(name.split(".")[:2]) for name in gradients}
            assert "model.backbone" in learning and ("aside.crops" in learning) == (number == 0)
            assert number > 0 or len(learning) == 2


def test_its_result_is_the_network_and_scores_pictures() -> None:
    built = course("fcn-8s", "compact", "staged")
    training = Training(built, TrainOptions(steps=8), 8)
    seen = []
    for step in range(8):
        training.step = step
        training.advance()
        seen.append(built.stage.name)
    assert seen == ["pretrain"] * 2 + ["32s"] * 3 + ["16s"] * 2 + ["8s"]
    assert training.result().keys() == built.model.state_dict().keys()
