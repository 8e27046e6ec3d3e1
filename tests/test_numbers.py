"""Numbers that are not finite: wherever and whenever they appear, no saved state ever holds one.

Sixty injections (ten places, three moments, two kinds) into real runs of a tiny detector, then the steps that
may be left out, and a few whole command lines.
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.checkpoint import load_checkpoint
from neocog.cli import main
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.errors import NumbersError, UsageError
from neocog.evaluate import is_better
from neocog.plan import Augmentation, Machine, RunOptions
from neocog.run import Run
from neocog.testing import FULL, make_batch
from neocog.train import Training, TrainOptions, fit
from neocog.types import Batch, Detections, Task
from neocog.zoo import MODELS

STEPS = 4
MOMENTS = {"first": 1, "middle": 3, "last": STEPS}
KINDS = {"nan": math.nan, "infinity": math.inf}


class Tiny(nn.Module):
    """Convolution, BatchNorm, one score a picture: a detector that finds one box everywhere."""

    task = Task.DETECT
    search = None
    options = MODELS["faster-rcnn"].options("compact", 64)

    def __init__(self) -> None:
        super().__init__()
        self.idle = nn.Parameter(torch.ones(2, 2))  # no loss depends on it
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.norm = nn.BatchNorm2d(4)
        self.score = nn.Linear(4, 1)

    def forward(self, batch: Batch) -> Tensor:
        return self.score(F.relu(self.norm(self.conv(batch.images))).mean(dim=(2, 3))).squeeze(1)

    def loss(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"first": output.square().mean(), "second": (output - 1).abs().mean()}

    def decode(self, output: Tensor, batch: Batch) -> list[Detections]:
        box = torch.tensor([[0.0, 0.0, 32.0, 32.0]])
        return [
            Detections(box, score.float().sigmoid().reshape(1), torch.zeros(1).long()) for score in output
        ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small VOC data set of generated scenes."""
    target = tmp_path_factory.mktemp("data") / "shapes"
    write_dataset(
        {name: Scenes("std", name, count=count, size=64) for name, count in (("train", 8), ("val", 2))},
        target,
        "voc",
    )
    return target


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs build the tiny detector, draw no pictures and do not wait for the disk."""
    monkeypatch.setattr("neocog.run.create", lambda *_: Tiny())
    monkeypatch.setattr("neocog.predict.create", lambda *_: Tiny())
    monkeypatch.setattr("neocog.run_folder.save_samples", lambda *_: None)
    monkeypatch.setattr("neocog.run.run_report", lambda *_: None)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def start(folder: Path, out: Path, *, skip: int = 0, resume: bool = False) -> Run:
    """A run of four steps of two pictures, validated and saved after each."""
    out.mkdir(exist_ok=True)
    training = TrainOptions(steps=STEPS, batch=2, lr=1e-2, precision="f32", skip_bad_steps=skip)
    plain = Augmentation(flip=False, scale=None, colour=False)
    names = ("faster-rcnn", "compact", str(folder), (64, 64), "train", "val", None)
    settings = MODELS["faster-rcnn"].options("compact", 64)
    options = RunOptions(*names, training, plain, settings, validations=STEPS)
    return Run(out, options, Machine(workers=0, save_steps=1), resume=resume)


def saved(out: Path) -> dict[str, str]:
    """Digests of every file of `last`, `best` and the model given away."""
    files = [path for name in ("last", "best", "model") for path in sorted((out / name).glob("*"))]
    return {
        f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def tensors(out: Path) -> dict[str, str]:
    """Of these, what is the same whenever the run is the same: not the states, which hold times."""
    return {name: digest for name, digest in saved(out).items() if name.endswith(".safetensors")}


def into(tensor: Callable[[Run], Tensor]) -> Callable[[Run, int, float, pytest.MonkeyPatch], None]:
    """An injection that overwrites one element of a tensor just before the step."""

    def poison(run: Run, step: int, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
        target = tensor(run)
        with torch.no_grad():
            target[(0,) * target.ndim] = value

    return poison


def poison_loss(run: Run, step: int, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    real = run.training.loss

    def loss(output: Tensor, batch: Batch) -> dict[str, Tensor]:
        losses = real(output, batch)
        return losses | {"second": losses["second"] + value} if batch.step + 1 == step else losses

    run.training.loss = loss


def poison_gradient(run: Run, step: int, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    run.model.score.weight.register_hook(lambda gradient: gradient.fill_(value))


def poison_score(run: Run, step: int, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Tiny.decode

    def decode(self: Tiny, output: Tensor, batch: Batch) -> list[Detections]:
        return [Detections(one.boxes, one.scores + value, one.labels) for one in real(self, output, batch)]

    monkeypatch.setattr(Tiny, "decode", decode)


def poison_metric(run: Run, step: int, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("neocog.judging")
    real = module.voc_average_precision
    monkeypatch.setattr(module, "voc_average_precision", lambda *args: replace(real(*args), voc_map=value))


PLACES: dict[str, tuple[Callable[[Run, int, float, pytest.MonkeyPatch], None], str]] = {
    "loss": (poison_loss, "loss 'second'"),
    "gradient": (poison_gradient, "gradient of 'score.weight'"),
    "weight": (into(lambda run: run.model.score.weight), "weight 'score.weight'"),
    "idle weight": (into(lambda run: run.model.idle), "weight 'idle'"),
    "mean": (into(lambda run: run.model.norm.running_mean), "statistic 'norm.running_mean'"),
    "variance": (into(lambda run: run.model.norm.running_var), "statistic 'norm.running_var'"),
    "average": (into(lambda run: run.training.average["conv.weight"]), "average of 'conv.weight'"),
    "optimizer": (
        into(lambda run: run.training.optimizer.state[run.model.conv.weight]["exp_avg"]),
        "weight 'conv.weight'",
    ),
    "score": (poison_score, "answer.0.scores"),
    "metric": (poison_metric, "voc_map50"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("place", PLACES)
def test_it_stops_the_run_and_is_never_saved(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, moment: str, kind: str
) -> None:
    poison, culprit = PLACES[place]
    # An optimizer has no state before its first step.
    step = max(MOMENTS[moment], 2) if place == "optimizer" else MOMENTS[moment]
    run = start(folder, tmp_path / "run")
    before: dict[str, str] = {}
    moments = iter(run)
    for _ in range(step - 1):
        next(moments)
    before = saved(run.out)
    assert (before == {}) == (step == 1)
    poison(run, step, KINDS[kind], monkeypatch)
    with pytest.raises(NumbersError) as caught:
        list(moments)
    message = str(caught.value)
    assert f"{culprit} is not finite" in message and "\n" not in message
    if place == "score":
        assert message.startswith(str(folder)) and ".png: " in message
    elif place != "metric":
        assert message.startswith(f"step {step}: ") and message.count(".png") == 2
    assert saved(run.out) == before
    if step > 1:
        checkpoint = load_checkpoint(run.out)  # which refuses what is not finite
        assert checkpoint is not None and checkpoint.step == step - 1


def test_a_score_that_is_not_finite_is_never_the_best_whatever_the_order() -> None:
    for order in itertools.permutations([math.nan, 0.3, None, 0.5, math.inf, -math.inf]):
        best: float | None = None
        for score in order:
            if is_better(score, best):
                best = score
        assert best == 0.5
    assert is_better(0.0, None) and is_better(0.1, math.nan) and not is_better(0.5, 0.5)


def spoil(run: Run, steps: set[int]) -> Run:
    """Make the loss of these steps not a number."""
    real = run.training.loss

    def loss(output: Tensor, batch: Batch) -> dict[str, Tensor]:
        losses = real(output, batch)
        return losses | {"second": losses["second"] * math.nan} if batch.step + 1 in steps else losses

    run.training.loss = loss
    return run


def state_of(training: Training) -> list[Tensor]:
    """Copies of everything a step changes, but for the counters."""
    moments = [
        value
        for state in training.optimizer.state.values()
        for value in state.values()
        if isinstance(value, Tensor)
    ]
    tensors = [*training.model.state_dict().values(), *training.average.values(), *moments]
    return [tensor.clone() for tensor in tensors]


def same(left: list[Tensor], right: list[Tensor]) -> bool:
    return len(left) == len(right) and all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("place", ["loss", "gradient", "picture", "huge picture"])
def test_a_step_that_is_left_out_changes_nothing(place: str) -> None:
    """Weights, moments, averages, and the statistics that its forward pass had already moved."""
    model = Tiny()
    training = Training(model, TrainOptions(steps=4, skip_bad_steps=1, precision="f32"), 4)
    batches = [make_batch([FULL, FULL], seed=number) for number in range(4)]
    if place == "picture":
        batches[2].images[0, 0, 0, 0] = math.nan
    if place == "huge picture":  # its variance overflows; normalised by that it is 0, and the loss finite
        batches[2].images[0] *= 1e30
    handles = []
    before = None
    for step in fit(training, batches):
        if step.number == 2:
            before = state_of(training)
            if place == "loss":
                training.loss = lambda output, batch: {"first": output.sum() * math.inf}
            if place == "gradient":
                handles.append(model.idle.register_hook(lambda gradient: gradient))  # of no use: no gradient
                handles.append(model.conv.weight.register_hook(lambda gradient: gradient * math.nan))
        elif step.number == 3:
            assert before is not None and same(state_of(training), before)
            assert step.skipped.startswith("step 3: ") and "is not finite (images: " in step.skipped
            training.loss = model.loss
            for handle in handles:
                handle.remove()
        else:
            assert not step.skipped
    assert training.step == 4 and training.skipped == 1
    assert before is not None and not same(state_of(training), before)


def test_so_many_in_a_row_are_left_out_and_no_more() -> None:
    bad = {2, 3, 5, 6, 8, 9, 10}

    def batches(allowed: int) -> list[int]:
        training = Training(Tiny(), TrainOptions(steps=12, skip_bad_steps=allowed, precision="f32"), 12)
        pictures = [make_batch([FULL, FULL], seed=number) for number in range(12)]
        for number in bad:
            pictures[number - 1].images.fill_(math.nan)
        left_out = []
        with pytest.raises(NumbersError, match=r"^step \d+: .* is not finite \(images: .*\); lower --lr"):
            for step in fit(training, pictures):
                if step.skipped:
                    left_out.append(step.number)
            raise NumbersError("step 0: nothing is not finite (images: ); lower --lr") from None
        return left_out

    assert batches(0) == []
    assert batches(1) == [2]
    assert batches(2) == [2, 3, 5, 6, 8, 9]
    assert batches(3) == sorted(bad)
    with pytest.raises(UsageError, match=r"--skip-bad-steps must lie in 0\.\.3, not 4"):
        TrainOptions(steps=1, skip_bad_steps=4)


def test_a_state_that_was_broken_before_the_step_is_not_left_out() -> None:
    """Skipping would go on with it for ever."""
    for name in ("score.weight", "norm.running_var"):
        training = Training(Tiny(), TrainOptions(steps=4, skip_bad_steps=3, precision="f32"), 4)
        steps = fit(training, [make_batch([FULL, FULL], seed=number) for number in range(4)])
        next(steps)
        training.model.state_dict()[name].fill_(math.nan)
        with pytest.raises(NumbersError, match=rf"^step 2: (weight|statistic) '{name}' is not finite"):
            next(steps)


def test_the_log_counts_what_was_left_out_and_a_resumed_run_has_the_same_bits(
    folder: Path, tmp_path: Path
) -> None:
    whole = spoil(start(folder, tmp_path / "whole", skip=2), {2, 3})
    moments = list(whole)
    assert [bool(moment.step.skipped) for moment in moments] == [False, True, True, False]
    records = [json.loads(line) for line in (whole.out / "metrics.jsonl").read_text().splitlines()]
    left_out = [record for record in records if "skipped" in record]
    assert [(r["step"], r["skipped_steps"]) for r in left_out] == [(2, 1), (3, 2)]
    assert all("loss 'second' is not finite (images: " in record["skipped"] for record in left_out)
    for cut in (1, 2, 3):
        out = tmp_path / f"cut-{cut}"
        first = iter(spoil(start(folder, out, skip=2), {2, 3}))
        for _ in range(cut):
            next(first)
        del first
        list(spoil(start(folder, out, skip=2, resume=True), {2, 3}))
        assert tensors(out) == tensors(whole.out)
        assert (out / "metrics.jsonl").read_bytes() == (whole.out / "metrics.jsonl").read_bytes()


def test_resuming_does_not_forget_how_many_were_left_out(folder: Path, tmp_path: Path) -> None:
    moments = iter(spoil(start(folder, tmp_path / "run", skip=2), {2, 3, 4}))
    for _ in range(3):
        next(moments)
    del moments
    with pytest.raises(NumbersError, match=r"^step 4: loss 'second' is not finite"):
        list(spoil(start(folder, tmp_path / "run", skip=2, resume=True), {2, 3, 4}))


def test_a_batch_passed_over_keeps_its_number() -> None:
    """After a batch of which nothing could be read, a resumed run must ask for the right next one."""
    training = Training(Tiny(), TrainOptions(steps=5, precision="f32"), 5)
    numbered = [replace(make_batch([FULL, FULL], seed=step), step=step) for step in (0, 1, 3, 4)]
    assert [step.number for step in fit(training, numbered)] == [1, 2, 4, 5]


def command(folder: Path, out: Path, *more: str) -> list[str]:
    words = ["train", "faster-rcnn", "--data", str(folder), "--out", str(out), "--size", "64"]
    return [*words, "--batch", "2", "--steps", "3", "--workers", "0", "--threads", "1", *more]


def test_a_learning_rate_beyond_reason_ends_in_one_line_and_exit_6(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()  # the real network
    assert main(command(folder, tmp_path / "run", "--lr", "1e38", "--precision", "f32")) == 6
    error = capfd.readouterr().err
    assert error.startswith("neocog: step ") and "is not finite (images: " in error
    assert error.count("\n") == 1 and not (tmp_path / "run" / "last").exists()


def test_the_command_line_leaves_bad_steps_out_when_told_to(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    real = Tiny.forward

    def forward(self: Tiny, batch: Batch) -> Tensor:
        output = real(self, batch)
        return output * math.nan if self.training and batch.step == 1 else output

    monkeypatch.setattr(Tiny, "forward", forward)
    assert main(command(folder, tmp_path / "stops")) == 6
    assert "step 2: loss 'first' is not finite (images: " in capfd.readouterr().err
    assert main(command(folder, tmp_path / "goes-on", "--skip-bad-steps", "1")) == 0
    output = capfd.readouterr()
    assert "step 2: loss 'first' is not finite (images: " in output.out + output.err
    assert main(command(folder, tmp_path / "stops", "--resume", "--skip-bad-steps", "1")) == 0
    both = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("stops", "goes-on")]
    assert both[0] == both[1]


def test_a_network_that_overflows_does_not_predict_nothing(folder: Path, tmp_path: Path) -> None:
    """Decoding drops what is not finite, and an empty answer would look like one."""
    run = start(folder, tmp_path / "run")
    list(run)
    run.training.average["score.bias"].fill_(math.inf)
    with pytest.raises(NumbersError, match=r"\.png: the network's output is not finite"):
        run.predictor().predict(sorted((folder / "JPEGImages").iterdir())[0])
