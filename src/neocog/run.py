"""A training run and the folder it leaves: options, logs, checkpoints, model, samples, report."""

from __future__ import annotations

import copy
import json
import platform
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from neocog.backbones.backbone import freeze_batchnorm
from neocog.backbones.weights import load_weights
from neocog.checkpoint import (
    flatten_optimizer,
    load_checkpoint,
    restore_optimizer,
    save_checkpoint,
    sweep,
)
from neocog.data.dataset import Dataset, require_classes
from neocog.data.loader import Loader, collate
from neocog.data.open import open_data
from neocog.data.scenes import Scenes
from neocog.errors import CheckpointError, DataError, UsageError
from neocog.evaluate import Evaluation, evaluate
from neocog.files import JsonLines, write_atomic
from neocog.predict import STRIDE, Predictor
from neocog.reports import model_card, run_report, save_samples
from neocog.train import Step, Training, TrainOptions, fit
from neocog.transforms.colour import ColourJitter
from neocog.transforms.recipes import Recipe, training_recipe
from neocog.version import __version__
from neocog.weights import restore_weights, save_model
from neocog.zoo import BACKBONES, MODELS, create

SELECTION_METRIC = "voc_map50"
"""What decides which weights are best."""


@dataclass(frozen=True)
class Augmentation:
    """What training pictures go through, each with its own keyed randomness."""

    flip: bool = True
    vertical_flip: bool = False
    scale: tuple[float, float] | None = (0.8, 1.35)
    colour: bool = True

    def recipe(self, size: tuple[int, int]) -> Recipe:
        return training_recipe(
            size,
            flip=self.flip,
            vertical_flip=self.vertical_flip,
            scale=self.scale,
            colour=ColourJitter() if self.colour else None,
        )


@dataclass(frozen=True)
class RunOptions:
    """Everything that decides what a run does; stored in `run.json`, and compared on `--resume`."""

    model: str
    backbone: str
    data: str
    size: tuple[int, int]  # (height, width) that pictures are fitted into, pixels
    train_split: str
    val_split: str | None
    weights: str | None  # of the backbone: "imagenet", a file, or None for fresh ones
    training: TrainOptions
    augmentation: Augmentation
    options: Any  # the model's own option dataclass
    validations: int = 5  # evenly over the budget; the last one at its end


@dataclass(frozen=True)
class Machine:
    """Where and how a run works; none of it changes the weights on a CPU with a step budget."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    workers: int = 1
    save_seconds: float = 60.0  # between checkpoints
    save_steps: int | None = None  # a checkpoint every so many steps, besides
    strict: bool = False  # stop at the first fault in the data


@dataclass(frozen=True, slots=True)
class Moment:
    """A step of a run, and the validation that followed it, if one did."""

    step: Step
    validation: Evaluation | None
    best: bool  # this validation is the best so far
    remaining: float  # seconds, estimated


def default_size(backbone: str, data: Dataset) -> tuple[int, int]:
    """The backbone's own size, or less where the pictures themselves are smaller."""
    longer = median(max(data.size(index)) for index in range(min(len(data), 200)))
    side = min(BACKBONES[backbone].size, 32 * -(-int(longer) // 32))
    return side, side


def default_training(backbone: str, size: tuple[int, int], given: dict[str, Any]) -> TrainOptions:
    """Training options that suit a backbone and a picture size; `given` overrides.

    `compact` takes 16 small pictures (up to 192 px) a step or 8 larger ones, and a learning rate of 5e-4 a
    picture. Without a budget: 3 minutes.
    """
    defaults = dict(BACKBONES[backbone].training)
    batch = given.get("batch") or defaults.get("batch") or (16 if max(size) <= 192 else 8)
    defaults = {"batch": batch, "lr": 5e-4 * batch} | defaults | given
    if not any(defaults.get(name) for name in ("steps", "epochs", "minutes")):
        defaults["minutes"] = 3.0
    return TrainOptions(**defaults)


def default_augmentation(data: Dataset) -> Augmentation:
    """Flips, scale and colour for photographs; generated pictures are only flipped, both ways."""
    if isinstance(data, Scenes):
        return Augmentation(vertical_flip=True, scale=None, colour=False)
    return Augmentation()


class Run:
    """One training run. Iterate it to train; it yields after each step, and leaves its folder complete."""

    def __init__(self, out: Path, options: RunOptions, machine: Machine, *, resume: bool = False) -> None:
        """Open the data, build the network and, with `resume`, restore the last checkpoint of `out`.

        Raises UsageError if `out` holds a run with other options, DataError, CheckpointError.
        """
        self.out, self.options, self.machine = out, options, machine
        self.data = open_data(options.data, options.train_split, strict=machine.strict)
        self.validation = None if options.val_split is None else open_data(options.data, options.val_split)
        if self.validation is not None:
            require_classes(self.validation, self.data.classes, "the training split")
        self.selects = self.validation is not None and self._disjoint()
        torch.manual_seed(options.training.seed)
        self.model = create(options.model, self.data.classes, options.backbone, options.options)
        if options.weights is not None:
            backbone: Any = self.model.backbone
            load_weights(options.backbone, backbone, options.weights)
            freeze_batchnorm(backbone)  # a step's few pictures would spoil statistics of a million
        self.model.to(machine.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.total_steps = self._total_steps()
        self.training = Training(self.model, options.training, self.total_steps)
        self.best: float | None = None
        self.metrics, self.timing = JsonLines(out / "metrics.jsonl"), JsonLines(out / "timing.jsonl")
        self.history: list[dict[str, Any]] = []  # of validations
        self.evaluation: Evaluation | None = None
        self._document = self._describe()
        if resume:
            self._check_same_run()
            self._restore()
        else:
            self._write_description()
        self.loader = Loader(
            self.data,
            options.augmentation.recipe(options.size),
            batch_size=options.training.batch,
            seed=options.training.seed,
            workers=machine.workers,
            start_step=self.training.step,
            steps=self.total_steps,
            stride=STRIDE,
        )

    def __iter__(self) -> Iterator[Moment]:
        if self.training.progress() >= 1:
            self._finish()
            return
        self._warm_up()
        saved = time.monotonic()
        for step in fit(self.training, self.loader):
            self._log(step)
            evaluation, best = self._validate(step) if self._is_due(step) else (None, False)
            due = time.monotonic() - saved > self.machine.save_seconds or step.progress >= 1
            every = self.machine.save_steps
            if due or evaluation is not None or (every is not None and step.number % every == 0):
                self._save(best)
                saved = time.monotonic()
            yield Moment(step, evaluation, best, self._remaining(step))
        self._finish()

    def _warm_up(self) -> None:
        """Compile the kernels on one picture and a copy of the network: no budget should pay for that."""
        model: Any = copy.deepcopy(self.model).train()
        with suppress(DataError):  # the picture cannot be read: the loader will say so
            recipe = self.options.augmentation.recipe(self.options.size)
            batch = collate([recipe(self.data[0])], stride=STRIDE).to(self.machine.device)
            torch.stack(list(model.loss(model(batch), batch).values())).sum().backward()  # type: ignore[no-untyped-call]

    def _disjoint(self) -> bool:
        """Whether validation pictures are kept apart from training: only then may they choose the weights."""
        assert self.validation is not None
        mine = {self.data.identity(index) for index in range(len(self.data))}
        return not any(self.validation.identity(index) in mine for index in range(len(self.validation)))

    def _total_steps(self) -> int | None:
        training = self.options.training
        if training.epochs is not None:
            return max(1, round(training.epochs * len(self.data) / training.batch))
        return training.steps

    def _remaining(self, step: Step) -> float:
        return self.training.elapsed * (1 - step.progress) / step.progress

    def _log(self, step: Step) -> None:
        losses = dict(step.losses)
        self.metrics.append(
            {"step": step.number, "lr": step.lr, "gradient_norm": step.gradient_norm, "losses": losses}
        )
        self.timing.append({"step": step.number, "seconds": step.seconds, "waited": step.waited})

    def _is_due(self, step: Step) -> bool:
        """Whether this step crosses one of the evenly spaced points at which to validate."""
        if self.validation is None:
            return False
        return int(step.progress * self.options.validations) > len(self.history) or step.progress >= 1

    def predictor(self) -> Predictor:
        """The network with its averaged weights, apart from the one in training."""
        model: nn.Module = copy.deepcopy(self.model)
        model.load_state_dict(self.training.average)
        return Predictor(
            model, self.data.classes, self.options.size, self.config(), self.options.training.precision
        )

    def config(self) -> dict[str, Any]:
        """What `model/config.json` stores: enough to build the network again."""
        options = self.options
        return {
            "task": MODELS[options.model].task.value,
            "model": options.model,
            "backbone": options.backbone,
            "classes": list(self.data.classes),
            "size": list(options.size),
            "options": asdict(options.options),
            "neocog": __version__,
        }

    def _validate(self, step: Step) -> tuple[Evaluation, bool]:
        assert self.validation is not None
        evaluation = evaluate(self.predictor(), self.validation)
        score = evaluation.metrics[SELECTION_METRIC]
        best = self.selects and score is not None and (self.best is None or score > self.best)
        self.history.append({"step": step.number, "metrics": evaluation.metrics})
        self.metrics.append({"step": step.number, "validation": evaluation.metrics})
        if best:
            self.best = score
        if best or not self.selects:
            self.evaluation = evaluation
            self._give_away(evaluation)
        return evaluation, best

    def _give_away(self, evaluation: Evaluation | None) -> None:
        """Save the averaged weights as the model, and what was measured of them."""
        card = model_card(self._document, evaluation)
        save_model(self.out / "model", self.config(), self.training.average, card)
        if evaluation is not None:
            write_atomic(self.out / "evaluation.json", json.dumps(evaluation.to_dict(), indent=2) + "\n")
            assert self.validation is not None
            save_samples(self.out / "samples", self.validation, evaluation)

    def _save(self, best: bool) -> None:
        tensors, optimizer = flatten_optimizer(self.training.optimizer)
        self.metrics.sync()
        self.timing.sync()
        save_checkpoint(
            self.out,
            self.training.step,
            {"weights": self.model.state_dict(), "ema": self.training.average, "optimizer": tensors},
            {
                "optimizer": optimizer,
                "elapsed": self.training.elapsed,
                "best": self.best,
                "history": self.history,
                "seed": self.options.training.seed,
            },
            best=best,
        )

    def _restore(self) -> None:
        checkpoint = load_checkpoint(self.out)
        step = 0 if checkpoint is None else checkpoint.step
        if checkpoint is not None:
            state, tensors = checkpoint.state, checkpoint.tensors
            restore_weights(self.model, tensors["weights"], checkpoint.path / "weights.safetensors")
            for name, value in self.training.average.items():
                value.copy_(tensors["ema"][name])
            restore_optimizer(self.training.optimizer, tensors["optimizer"], state["optimizer"])
            self.training.step, self.training.elapsed = step, state["elapsed"]
            self.best, self.history = state["best"], list(state["history"])
        sweep(self.out)
        self.metrics.cut(step)
        self.timing.cut(step)

    def _describe(self) -> dict[str, Any]:
        data = self.data
        return {
            "neocog": __version__,
            "options": json.loads(json.dumps(asdict(self.options))),
            "classes": list(data.classes),
            "data": {
                "name": data.name,
                "format": data.format,
                "split": data.split,
                "images": len(data),
                "fingerprint": data.fingerprint,
                "report": data.report.to_dict() if hasattr(data, "report") else None,
            },
            "machine": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "platform": platform.platform(),
                "device": str(self.machine.device),
                "threads": torch.get_num_threads(),
                "bf16": self.training.bf16,
            },
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
        }

    def _write_description(self) -> None:
        write_atomic(self.out / "run.json", json.dumps(self._document, indent=2) + "\n")

    def _check_same_run(self) -> None:
        """Refuse to go on with other options or other data: that would be another experiment."""
        path = self.out / "run.json"
        if not path.exists():
            self._write_description()
            return
        stored = json.loads(path.read_text())
        for name, now in _flat(self._document["options"]).items():
            then = _flat(stored["options"]).get(name)
            if then != now:
                raise UsageError(
                    f"{self.out}: was started with {name} = {then}, not {now}; "
                    "give the same options, or another --out"
                )
        if stored["data"]["fingerprint"] != self._document["data"]["fingerprint"]:
            raise CheckpointError(
                f"{self.out}: the data at {self.options.data} changed since the run was started"
            )

    def _finish(self) -> None:
        """Leave the model, the unreadable pictures and the report, whatever happened before."""
        if self.validation is None:
            self._give_away(None)
        self._document["unreadable"] = list(self.loader.faults)
        self._write_description()
        run_report(self.out, self._document, self.evaluation)


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options as dotted names."""
    result: dict[str, Any] = {}
    for name, value in tree.items():
        result |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return result


def with_seed(options: RunOptions, seed: int) -> RunOptions:
    """The same run with another seed."""
    return replace(options, training=replace(options.training, seed=seed))
