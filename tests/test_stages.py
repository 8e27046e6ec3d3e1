"""Training in stages: what learns when, where a stage ends, and that a run can be taken up in any of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from neocog.cli.training import run_options
from neocog.course import build_course
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.models.alternating import SHARES
from neocog.parts.stages import Course, Stage
from neocog.plan import Augmentation, Machine, RunOptions
from neocog.predict import load
from neocog.run import Run
from neocog.testing import CASES, FULL, make_batch
from neocog.train import Training, TrainOptions
from neocog.zoo import MODELS, create

STEPS = 10

RUNS: dict[str, tuple[str, float, list[str]]] = {
    "r-cnn": ("r-cnn", 0.3, []),
    "r-cnn with SVMs": ("r-cnn", 0.0, ["scorer=svm"]),
    "fast-rcnn": ("fast-rcnn", 0.3, []),
    "faster-rcnn alternating": ("faster-rcnn", 0.2, ["training=alternating"]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small VOC data set of generated scenes."""
    target = tmp_path_factory.mktemp("data") / "shapes"
    splits = {name: Scenes("std", name, count=count) for name, count in (("train", 12), ("val", 4))}
    write_dataset(splits, target, "voc")
    return target


def options(folder: Path, name: str) -> RunOptions:
    model, pretrain, settings = RUNS[name]
    return run_options(
        model,
        str(folder),
        backbone=None,
        size=64,
        train_split="train",
        val_split="val",
        weights=None,
        settings=settings,
        pretrain=pretrain,
        given={"batch": 4, "steps": STEPS, "seed": 3},
    )


def fingerprints(run: Path) -> dict[str, str]:
    files = [*sorted((run / "last").glob("*.safetensors")), run / "model" / "model.safetensors"]
    files.append(run / "metrics.jsonl")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("name", RUNS)
def test_taken_up_after_any_step_it_ends_in_the_same_bits(name: str, folder: Path, tmp_path: Path) -> None:
    """A run left without a word after some steps, again and again; its checkpoint may be a step old."""
    torch.set_num_threads(1)
    machine = Machine(workers=0, save_steps=2, proposals=tmp_path / "kept")
    (tmp_path / "whole").mkdir()
    for _ in Run(tmp_path / "whole", options(folder, name), machine):
        pass
    (tmp_path / "left").mkdir()
    for last in (3, 5, 7, STEPS):
        run = Run(
            tmp_path / "left", options(folder, name), replace(machine, workers=last % 2), resume=last > 3
        )
        for moment in run:
            if moment.step.number == last:
                break
    for _ in Run(tmp_path / "left", options(folder, name), machine, resume=True):
        pass
    assert fingerprints(tmp_path / "left") == fingerprints(tmp_path / "whole")
    picture = sorted((folder / "JPEGImages").iterdir())[0]
    assert load(tmp_path / "left").predict(picture).boxes.shape[1] == 4
    if "SVMs" in name:
        assert int(load(tmp_path / "left").model.linear.is_fitted) == 1


def course(name: str, pretrain: float, **settings: Any) -> Course:
    torch.manual_seed(0)
    chosen = replace(MODELS[name].options("compact", 96), **settings)
    model: Any = create(name, 2, "compact", chosen)
    training, whole = TrainOptions(steps=4), (96, 96)
    given = RunOptions(
        name, "compact", "scenes", whole, "train", None, None, training, Augmentation(), chosen, pretrain
    )
    built = build_course(model, given)
    assert isinstance(built, Course)
    return built


def changed(course: Course, batch: Any) -> set[str]:
    """The first two parts of the names of what one step changes."""
    before = {name: value.clone() for name, value in course.state_dict().items()}
    optimizer = torch.optim.SGD(course.parameters(), lr=0.1)
    torch.stack(list(course.loss(course(batch), batch).values())).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return {
        ".".join(name.split(".")[:2])
        for name, value in course.state_dict().items()
        if not torch.equal(value, before[name])
    }


def test_pretraining_teaches_the_backbone_alone() -> None:
    built = course("fast-rcnn", 0.25).train()
    batch = make_batch([FULL, FULL])
    built.enter(0)
    assert changed(built, batch) == {"model.backbone", "aside.crops"}
    built.enter(1)
    assert changed(built, batch) == {"model.backbone", "model.head"}
    assert [stage.share for stage in built.stages] == [0.25, 0.75]


def test_alternating_training_teaches_what_the_paper_says() -> None:
    built = course("faster-rcnn", 0.0, training="alternating").train()
    batch = make_batch([FULL, FULL])
    learnt = []
    for number in range(4):
        built.enter(number)
        learnt.append(changed(built, batch))
    assert learnt == [
        {"aside.proposer"},
        {"model.backbone", "model.head"},
        {"model.rpn"},
        {"model.head"},
    ]
    assert sum(SHARES) == 1


@pytest.mark.parametrize("case", CASES)
def test_every_stage_takes_every_batch(case: str) -> None:
    built = course("faster-rcnn", 0.2, training="alternating").train()
    batch = make_batch(CASES[case])
    for number in range(len(built.stages)):
        built.enter(number)
        losses = built.loss(built(batch), batch)
        assert all(torch.isfinite(loss) for loss in losses.values()), (case, built.stage.name)


def test_crops_follow_the_key_alone() -> None:
    built = course("fast-rcnn", 0.25)
    batch = make_batch([FULL, FULL])
    first, again = built(batch).regions, built(batch).regions
    assert torch.equal(first.boxes, again.boxes)
    other = replace(batch, keys=tuple(replace(key, epoch=1) for key in batch.keys))
    assert not torch.equal(first.boxes, built(other).regions.boxes)


def test_stages_divide_the_budget() -> None:
    built = course("fast-rcnn", 0.25)
    training = Training(built, TrainOptions(steps=8, warmup=0.2, ema=0.5), 8)
    seen = []
    for step in range(8):
        training.step = step
        training.advance()
        seen.append((built.stage.name, training.began, round(training.lr(training.progress()), 6)))
    assert [name for name, *_ in seen] == ["pretrain"] * 2 + ["detect"] * 6
    assert [began for _, began, _ in seen] == [0] * 2 + [2] * 6
    rates = [rate for *_, rate in seen]
    assert rates[2] < rates[3] > rates[-1]  # a warm-up and a fall of its own


def test_the_proposer_of_step_one_starts_from_the_pretrained_backbone() -> None:
    built = course("faster-rcnn", 0.5, training="alternating")
    training = Training(built, TrainOptions(steps=8), 8)
    with torch.no_grad():
        for value in built.model.backbone.parameters():  # type: ignore[union-attr]
            value.fill_(0.125)
    assert not (built.aside["proposer"].backbone.stem[0].weight == 0.125).all()  # type: ignore[union-attr, index]
    training.step = 4
    training.advance()
    assert built.stage.name == "rpn"
    assert (built.aside["proposer"].backbone.stem[0].weight == 0.125).all()  # type: ignore[union-attr, index]


def test_the_result_is_the_network_alone() -> None:
    built = course("fast-rcnn", 0.25)
    training = Training(built, TrainOptions(steps=8), 8)
    assert training.result().keys() == built.model.state_dict().keys()


def test_shares_must_add_up() -> None:
    layer = nn.Linear(1, 1)
    stage = Stage("half", 0.5, layer.forward, lambda output, batch: {}, (layer,))
    with pytest.raises(ValueError, match=r"add up to 0\.5"):
        Course(layer, [stage], {})
