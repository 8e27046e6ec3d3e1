"""A training run and the folder it leaves: options, logs, checkpoints, model, samples, report."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from neocog.backbones.weights import start_from
from neocog.checkpoint import load_checkpoint, sweep
from neocog.course import build_course, complete, warm_up
from neocog.data.dataset import Dataset, require_classes
from neocog.data.loader import Drawn, Loader
from neocog.data.packing import collate
from neocog.data.unseen import without_unseen
from neocog.distributed.norm import synchronise
from neocog.errors import DataError, DiskError, Interrupted, UsageError
from neocog.evaluate import Evaluation, evaluate, is_better
from neocog.files import JsonLines, make_folder
from neocog.parts.convolved import ConvolvedDense
from neocog.parts.dense import DenseHead
from neocog.parts.extras import DilatedDense
from neocog.parts.heads import TwoLayerHead
from neocog.plan import Machine, RunOptions, open_split, require_memory
from neocog.predict import Predictor, load, padding_of
from neocog.propose import find_all, with_proposals
from neocog.published import start_from_published
from neocog.reports import run_report
from neocog.run_folder import (
    DESCRIPTION,
    Kept,
    check_same_run,
    describe,
    give_away,
    model_config,
    restore_state,
    save_state,
    write_description,
)
from neocog.train import Step, Training, fit
from neocog.types import Task
from neocog.zoo import create

REFUSALS = 3
"""Saves in a row that the disk may refuse; the last of them ends the run."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A step of a run, and the validation that followed it, if one did."""

    step: Step
    validation: Evaluation | None
    best: bool  # this validation is the best so far
    remaining: float  # seconds, estimated
    warnings: tuple[str, ...] = ()  # what the disk refused, or a step left out, since the last moment


class Run:
    """One training run. Iterate it to train; it yields after each step, and leaves its folder complete."""

    def __init__(self, out: Path, options: RunOptions, machine: Machine, *, resume: bool = False) -> None:
        """Open the data, build the network and, with `resume`, restore the last checkpoint of `out`.

        Nothing is written yet: that an option cannot be is found here.

        Raises UsageError if `out` holds a run with other options, DataError, CheckpointError,
        DeviceError if a step's pictures do not fit into memory.
        """
        self.out, self.options, self.machine, self.resumed = out, options, machine, resume
        require_memory(options, machine)
        self.data = open_split(options, options.train_split, machine.strict)
        self.validation: Dataset | None = None
        if options.val_split is not None:
            self.validation = open_split(options, options.val_split, machine.strict)
            require_classes(self.validation, self.data.classes, "the training split")
        self.selects = self.validation is not None and self._disjoint()
        torch.manual_seed(options.training.seed)
        model: Any = create(options.model, self.data.classes, options.backbone, options.options)
        self.model: Any = model
        unseen: tuple[int, ...] = getattr(model, "unseen", ())  # of a zero-shot detector
        self.data = without_unseen(self.data, unseen)
        if self.validation is not None:
            self.validation = without_unseen(self.validation, unseen)
        self.fresh: list[str] = []  # layers that published weights of the whole model do not fill
        if options.weights == "coco":
            self.fresh = start_from_published(options.model, model)
        elif options.weights is not None:
            dense = start_from(options.backbone, model.backbone, options.weights)
            heads = TwoLayerHead | DilatedDense | ConvolvedDense
            for part in model.children():  # VGG-16's dense layers, or those of a classifier
                if isinstance(part, heads) or (model.task is Task.CLASSIFY and isinstance(part, DenseHead)):
                    part.start_from(dense)
        self._completes = getattr(model, "linear", None) is not None
        self.selects = self.selects and not self._completes  # what is not complete is not comparable
        course: Any = build_course(model, options)
        course.to(machine.device).to(memory_format=torch.channels_last)
        folder = machine.proposals or out / "proposals"
        search = getattr(model, "search", None)
        self.data = with_proposals(self.data, search, folder)
        if self.validation is not None:
            self.validation = with_proposals(self.validation, search, folder)
        self.total_steps = self._total_steps()
        self.peers = machine.peers
        self.peers.start_alike(course)
        self.training = Training(course, options.training, self.total_steps, self.peers)
        self.best: float | None = None
        self.metrics, self.timing = JsonLines(out / "metrics.jsonl"), JsonLines(out / "timing.jsonl")
        self.history: list[dict[str, Any]] = []  # of validations
        self.evaluation: Evaluation | None = None
        self.stopped = False  # by `stop`, before the end
        self.finished = False
        self.proposing_seconds = 0.0  # spent before the budget
        self._proposed = False
        self._stopping = False
        self._warnings: list[str] = []
        self._refusals = 0  # of saves, in a row
        self._unreadable: list[str] = []  # told before this process took over
        self._document = describe(options, self.data, self.validation, self.training)
        same = self._document["options"], self._document["data"]["fingerprint"]
        self.peers.require_same(same, f"{out}: options and data")
        if resume:
            self._restore()
        self.loader = Loader(
            self.data,
            Drawn(options.recipes(), options.training.seed),
            batch_size=options.training.batch,
            seed=options.training.seed,
            workers=machine.workers,
            start_step=self.training.step,
            steps=self.total_steps,
            stride=padding_of(model),
            share=self.peers.share,
            strict=machine.strict,
        )

    def stop(self) -> None:
        """End after the step under way and its checkpoint; `stopped` is then true. For signal handlers."""
        self._stopping = True

    def _stops(self) -> bool:
        """Whether this process, or another of them, was told to stop."""
        self._stopping = self.peers.any(self._stopping)
        return self._stopping

    def __iter__(self) -> Iterator[Moment]:
        if self.peers.first:
            make_folder(self.out)
            there = (self.out / DESCRIPTION).exists()
            if there and not self.resumed and self.training.step == 0:
                raise UsageError(f"{self.out}: holds a run already; resume it, or give another folder")
            if not there:
                write_description(self.out, self._document)
        step = self.training.step
        for _ in self.propose():
            pass
        if not self._stopping and self._owes_validation():
            evaluation, best = self._validate(step)
            if evaluation is not None:
                self._save(evaluation, best, final=self.training.progress() >= 1)
        stop = self._stops()
        if self.training.progress() >= 1 and not stop:
            self._finish()
        elif not stop:
            self._warm_up()
            synchronise(self.training.model, self.peers)
            yield from self._train()
        self.stopped = self._stopping and not self.finished

    def _train(self) -> Iterator[Moment]:
        saved = time.monotonic()
        for step in fit(self.training, self.peers.together(self.loader)):
            self._log(step)
            evaluation, best, stop = None, False, self._stops()
            if not stop and self._is_due(step.progress):
                evaluation, best = self._validate(step.number)
                stop = self._stops()  # what comes after this moment is for the next step
            every = self.machine.save_steps
            if (
                stop
                or evaluation is not None
                or step.progress >= 1
                or time.monotonic() - saved > self.machine.save_seconds
                or (every is not None and step.number % every == 0)
            ):
                self._save(evaluation, best, final=stop or step.progress >= 1)
                saved = time.monotonic()
            warnings, self._warnings = tuple(self._warnings), []
            yield Moment(step, evaluation, best, self._remaining(step), warnings)
            if stop:
                return
        if self.training.progress() >= 1 or self._end_unread():
            self._finish()

    def _end_unread(self) -> bool:
        """Use up the budget's last steps, of which nothing could be read. False if told to stop.

        A step passed over counts; but where others follow, the next one counts it, and here nothing follows.
        """
        if self.training.step == 0:
            raise DataError(
                f"{self.data.name}: no picture of any step could be read: {self.loader.faults[-1]}"
            )
        assert self.total_steps is not None  # the stream of a budget of time never ends
        self.training.step = self.total_steps
        self.training.advance()
        evaluation, best = None, False
        if not self._stops() and self._owes_validation():
            evaluation, best = self._validate(self.training.step)
        stop = self._stops()
        self._save(evaluation, best, final=True)
        return not stop

    def _warm_up(self) -> None:
        """Compile the kernels on one picture and a copy of the network: no budget should pay for that."""
        with suppress(DataError):  # the picture cannot be read: the loader will say so
            recipe = self.options.recipes()[-1]
            batch = collate([recipe(self.data[0])], stride=padding_of(self.model))
            warm_up(copy.deepcopy(self.training.model), batch.to(self.machine.device))

    def propose(self) -> Iterator[tuple[int, int]]:
        """Search for regions, where the model takes them from outside, before training: (done, all).

        Iterating the run does it first if nobody has. It is no part of the budget, and ends where the run is
        told to stop.
        """
        if self._proposed:
            return
        began = time.perf_counter()
        for data in (self.data, self.validation):
            for found in () if data is None else find_all(data, self.machine.workers, self.peers.share):
                if self._stopping:
                    break  # what was found is kept
                yield found
        if self._stops():  # and nobody begins before the others are done
            return
        self.proposing_seconds = time.perf_counter() - began
        self._proposed = True

    def _complete(self) -> None:
        """Fit what gradients do not (R-CNN's SVMs), on the averaged weights, once training is over."""
        if self._completes and self.training.progress() >= 1 and not self.model.linear.fitted:
            complete(self.training, copy.deepcopy(self.model), self.data, self.options)

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
        if not self.peers.first:
            return
        record: dict[str, Any] = {"step": step.number, "lr": step.lr}
        if step.skipped:
            record |= {"skipped": step.skipped, "skipped_steps": self.training.skipped}
        else:
            record |= {"gradient_norm": step.gradient_norm, "losses": dict(step.losses)}
        times = {"step": step.number, "seconds": step.seconds, "waited": step.waited}
        self._note(step.skipped or None, self.metrics.append(record), self.timing.append(times))

    def _note(self, *warnings: str | None) -> None:
        self._warnings += [warning for warning in warnings if warning is not None]

    def _is_due(self, progress: float) -> bool:
        """Whether one of the evenly spaced points at which to validate has been crossed."""
        if self.validation is None or not self.training.in_last_stage():
            return False
        points = self.training.stage_progress(progress) * self.options.validations
        return int(points) > len(self.history) or progress >= 1

    def _owes_validation(self) -> bool:
        """Whether the run was stopped before the validation that its last step called for."""
        done = self.history[-1]["step"] if self.history else 0
        return done < self.training.step and self._is_due(self.training.progress())

    def predictor(self) -> Predictor:
        """The network with its averaged weights, apart from the one in training."""
        model: nn.Module = copy.deepcopy(self.model)
        model.load_state_dict(self.training.result())
        return Predictor(model, self.data.classes, self.options.size, self.config(), self._precision)

    @property
    def _precision(self) -> str:
        """What it trains in, and is judged in."""
        return "bf16" if self.training.bf16 else "f32"

    def config(self) -> dict[str, Any]:
        """What `model/config.json` stores: enough to build the network again."""
        return model_config(self.options, self.data.classes)

    def _validate(self, number: int) -> tuple[Evaluation | None, bool]:
        """What the averaged weights achieve, and whether that is the best so far; None if told to stop."""
        assert self.validation is not None
        self._complete()
        try:
            evaluation = evaluate(
                self.predictor(),
                self.validation,
                peers=self.peers,
                stopping=lambda: self._stopping,
                strict=self.machine.strict,
            )
        except Interrupted:
            return None, False
        best = self.selects and is_better(evaluation.score, self.best)
        self.history.append({"step": number, "metrics": evaluation.metrics})
        if self.peers.first:
            self._note(self.metrics.append({"step": number, "validation": evaluation.metrics}))
        return evaluation, best

    def _give_away(self, evaluation: Evaluation | None) -> None:
        """Save the averaged weights as the model, and what was measured of them."""
        weights = self.training.result()
        give_away(self.out, self._document, self.config(), weights, self.validation, evaluation)

    def _save(self, evaluation: Evaluation | None, best: bool, *, final: bool) -> None:
        """Give the model away if it is to be, and save a checkpoint.

        What the disk refuses becomes a warning; DiskError at the third refusal in a row, and at the end.
        """
        if not self.peers.first:
            return
        try:
            if evaluation is not None and (best or not self.selects):
                self._give_away(evaluation)
                self.evaluation = evaluation
                self.best = evaluation.score if best else self.best
            self._save_checkpoint(best)
            self._refusals = 0
        except DiskError as error:
            self._refusals += 1
            if final or self._refusals == REFUSALS:
                raise
            self._note(f"{error}; not saved, the run goes on")

    def _save_checkpoint(self, best: bool) -> None:
        self.metrics.sync()
        self.timing.sync()
        kept = Kept(self.best, self.history, self._all_unreadable())
        save_state(self.out, self.training, kept, best=best)

    def _restore(self) -> None:
        """Go on from the last checkpoint of the folder, or start where there is none."""
        if self.peers.first and (self.out / DESCRIPTION).exists():
            check_same_run(self.out, self._document)
        checkpoint = self.peers.spread(load_checkpoint(self.out) if self.peers.first else None)
        if checkpoint is not None:
            kept = restore_state(checkpoint, self.training)
            self.best, self.history = kept.best, list(kept.history)
            self._unreadable = list(kept.unreadable)
        if self.peers.first:
            sweep(self.out)
            self.metrics.cut(self.training.step)
            self.timing.cut(self.training.step)

    def _all_unreadable(self) -> list[str]:
        """Pictures that could not be read, also before a resume; each once, in the order of their failure."""
        return list(dict.fromkeys([*self._unreadable, *self.loader.faults]))

    def _finish(self) -> None:
        """Leave the model, the unreadable pictures and the report, whatever happened before."""
        self._complete()
        self.finished = True
        if not self.peers.first:
            return
        if (self.out / "report.html").exists():
            return  # a finished run that was resumed: all is there
        if self.validation is None or not (self.out / "model" / "config.json").exists():
            self._give_away(None)
        elif self.evaluation is None:  # measured before a resume: the report needs more than was kept of it
            model = load(self.out, self.machine.device, self._precision)
            self.evaluation = evaluate(model, self.validation, strict=self.machine.strict)
        self._document["unreadable"] = self._all_unreadable()
        write_description(self.out, self._document)
        run_report(self.out, self._document, self.evaluation)
