"""The one training loop: a generator of steps, so that the caller logs, saves, draws and stops."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from neocog.distributed.peers import ALONE, Peers
from neocog.errors import NumbersError, UsageError
from neocog.optimizers import SGD, AdamW, Muon
from neocog.parts.fast_layers import fast_layers, swapped
from neocog.parts.stages import Course
from neocog.precision import Precision, check_precision, uses_bf16
from neocog.types import Batch

Optimizer = Literal["muon", "adamw", "sgd"]
"""Muon is for networks that learn from scratch, and for what it is not made for it is AdamW."""

WEIGHT_DECAY: dict[str, float] = {"muon": 0.5, "adamw": 0.05, "sgd": 5e-4}

MOST_SKIPPED = 3
"""Steps in a row that may be left out at most: more than a few bad ones are a fault, not an accident."""

MOST_BUDGET, MOST_SEED = 10**9, 2**32 - 1  # what counters and generators surely hold

_REMEDY = "; lower --lr, or look at these images"


@dataclass(frozen=True)
class TrainOptions:
    """How to train. One of `steps`, `epochs`, `minutes` is the budget; the schedule ends when it does."""

    steps: int | None = None
    epochs: float | None = None
    minutes: float | None = None
    batch: int = 8
    optimizer: Optimizer = "muon"
    lr: float = 4e-3
    weight_decay: float | None = None  # times the learning rate; None becomes the optimizer's WEIGHT_DECAY
    momentum: float = 0.9  # of SGD and Muon; AdamW uses `betas`
    betas: tuple[float, float] = (0.9, 0.99)
    warmup: float = 0.05  # share of the budget in which the learning rate rises
    clip: float = 10.0  # largest norm of the whole gradient
    ema: float = 0.998  # decay of the averaged weights
    precision: Precision = "auto"
    seed: int = 0
    skip_bad_steps: int = 0  # so many in a row, whose loss or gradient is not finite, are left out

    def __post_init__(self) -> None:
        given = [name for name in ("steps", "epochs", "minutes") if getattr(self, name) is not None]
        if len(given) > 1:
            raise UsageError(f"give one budget, not {' and '.join('--' + name for name in given)}")
        check_precision(self.precision)
        if self.optimizer not in get_args(Optimizer):
            raise UsageError(f"--optimizer {self.optimizer}: give {', '.join(get_args(Optimizer))}")
        if self.weight_decay is None:
            object.__setattr__(self, "weight_decay", WEIGHT_DECAY[self.optimizer])
        for name in (*given, "batch", "lr", "clip"):
            value = getattr(self, name)
            if not value > 0 or (value == math.inf and name != "clip"):
                raise UsageError(f"--{name} must be positive and finite, not {value}")
        if any(getattr(self, name) > MOST_BUDGET for name in given):
            raise UsageError(f"--{given[0]} must be at most {MOST_BUDGET:,}, not {getattr(self, given[0])}")
        if not 0 <= self.seed <= MOST_SEED:
            raise UsageError(f"--seed must lie in 0..{MOST_SEED}, not {self.seed}")
        for name in ("warmup", "ema", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"--{name} must lie in [0, 1), not {getattr(self, name)}")
        if not 0 <= self.skip_bad_steps <= MOST_SKIPPED:
            raise UsageError(f"--skip-bad-steps must lie in 0..{MOST_SKIPPED}, not {self.skip_bad_steps}")


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did."""

    number: int  # counted from 1
    losses: Mapping[str, float]
    lr: float
    gradient_norm: float
    progress: float  # share of the budget used, in (0, 1]
    seconds: float  # since the previous step ended
    waited: float  # of these, spent waiting for data
    skipped: str = ""  # why this step was left out, in one line; "" for one that was not


class Training:
    """Everything that changes while training: network, averaged weights, optimizer, step count, time used."""

    def __init__(
        self, model: nn.Module, options: TrainOptions, total_steps: int | None, peers: Peers = ALONE
    ) -> None:
        """`total_steps` is the budget in steps, or None when it is `options.minutes`.

        A `Course` is trained stage by stage, each with a schedule of its own over its share of the budget.
        """
        self.course = model if isinstance(model, Course) else None
        self.model, self.options, self.total_steps, self.peers = model, options, total_steps, peers
        self.loss: Callable[[Any, Batch], dict[str, Tensor]] = model.loss  # type: ignore[assignment]
        self.device = next(model.parameters()).device
        self.bf16 = uses_bf16(options.precision, self.device)
        self.fast = [] if self.bf16 or self.device.type != "cpu" else fast_layers(model)
        self.optimizer = build_optimizer(model, options, bf16=self.bf16)  # over all that some stage learns
        state = model.state_dict()
        self.average = {name: value.detach().clone() for name, value in state.items()}
        pairs = [(self.average[name], value) for name, value in state.items()]
        self._real = tuple(zip(*((a, v) for a, v in pairs if v.is_floating_point()), strict=True))
        self._counts = [(a, v) for a, v in pairs if not v.is_floating_point()]
        parameters = dict(model.named_parameters())
        self._statistics = [value for name, value in state.items() if name not in parameters]
        self._before: list[Tensor] = []  # the statistics before the step, if it may be left out
        self.step, self.elapsed = 0, 0.0
        self.began = 0  # the step at which the current stage began
        self.skipped = self.skipped_in_a_row = 0  # steps left out: of the whole run, and just now
        if self.course is not None:
            self.course.enter(0)

    def progress(self) -> float:
        """Share of the budget used so far."""
        if self.total_steps is not None:
            return min(self.step / self.total_steps, 1.0)
        return min(self.elapsed / (60 * (self.options.minutes or math.inf)), 1.0)

    def stage_progress(self, progress: float) -> float:
        """Share of the current stage that is over, from the share of the whole budget."""
        begin, end = (0.0, 1.0) if self.course is None else self.course.span()
        return min(max((progress - begin) / (end - begin), 0.0), 1.0)

    def in_last_stage(self) -> bool:
        """Whether what is trained now is the whole network, or the last of it."""
        return self.course is None or self.course.is_last()

    @torch.no_grad()
    def advance(self) -> None:
        """Enter the stage that the budget has come to."""
        course = self.course
        while course is not None and not course.is_last() and self.progress() >= course.span()[1]:
            course.enter(course.current + 1)
            self.began = self.step
            for source, target in course.stage.takes:
                for state in (self.model.state_dict(), self.average):
                    for name in [name for name in state if name.startswith(source)]:
                        state[target + name.removeprefix(source)].copy_(state[name])

    def result(self) -> dict[str, Tensor]:
        """The averaged weights of the network, without what only served its training."""
        if self.course is None:
            return self.average
        own = (name for name in self.average if name.startswith("model."))
        return {name.removeprefix("model."): self.average[name] for name in own}

    @torch.no_grad()
    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Give the network, and its average, these values of its state."""
        prefix = "" if self.course is None else "model."
        for state in (self.model.state_dict(), self.average):
            for name, value in tensors.items():
                state[prefix + name].copy_(value)

    def lr(self, progress: float) -> float:
        """Of the current stage: linear warm-up, then a straight line down to zero (Defazio et al. 2023,
        arXiv:2310.07831)."""
        warmup, peak = self.options.warmup, self.options.lr
        progress = self.stage_progress(progress)
        if self.step == self.began or progress < warmup:
            floor = 1 / self.total_steps if self.total_steps else 1e-3
            return peak * min(max(progress, floor) / max(warmup, floor), 1.0)
        return peak * (1 - progress) / (1 - warmup)

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the averaged weights towards the network's; early on faster, so that they forget the start."""
        steps = self.step - self.began
        decay = min(self.options.ema, (1 + steps) / (10 + steps))
        averages, values = self._real
        torch._foreach_lerp_(averages, values, 1 - decay)
        for average, value in self._counts:
            average.copy_(value)

    def remember(self) -> None:
        """Keep what the coming forward pass will change, if its step may be left out."""
        if self.options.skip_bad_steps:
            self._before = [value.clone() for value in self._statistics]

    def is_sound(self, number: Tensor) -> bool:
        """Whether this number and all statistics are finite."""
        checked = [value.flatten() for value in self._statistics if value.is_floating_point()]
        return bool(torch.isfinite(torch.cat([number.detach().reshape(1), *checked])).all())

    def leave_out(self, losses: Mapping[str, Tensor], batch: Batch) -> str:
        """Count the step, undo what its forward pass changed, and return why, in one line.

        Raises NumbersError, with the same line, if it is one too many or the fault was there before the step.
        """
        named = [*self._state(), *((f"loss '{name}'", value) for name, value in losses.items())]
        named += [
            (f"gradient of '{name}'", value.grad)
            for name, value in self.model.named_parameters()
            if value.grad is not None
        ]
        reason = _one_line(self.step + 1, _first_not_finite(named) or "the gradient's norm", batch)
        broken = _first_not_finite(("", value) for value in (*self.model.parameters(), *self._before))
        if broken is not None or self.skipped_in_a_row >= self.options.skip_bad_steps:
            raise NumbersError(reason + _REMEDY)
        with torch.no_grad():
            for value, before in zip(self._statistics, self._before, strict=True):
                value.copy_(before)
        self.step += 1
        self.skipped += 1
        self.skipped_in_a_row += 1
        return reason

    def require_finite(self, batch: Batch) -> None:
        """Raise NumbersError if a weight, statistic or average is not finite after the step of this batch.

        Only the averages are looked at: what is not finite in the network makes them so at once.
        """
        sums = torch.stack([value.sum() for value in self._real[0]])
        if not bool(torch.isfinite(sums).all()):  # else a sum of finite numbers overflowed
            averages = ((f"average of '{name}'", value) for name, value in self.average.items())
            culprit = _first_not_finite((*self._state(), *averages))
            if culprit is not None:
                raise NumbersError(_one_line(self.step, culprit, batch) + _REMEDY)

    def _state(self) -> Iterator[tuple[str, Tensor]]:
        """Weights and statistics, in the network's order, as messages name them."""
        parameters = dict(self.model.named_parameters())
        for name, value in self.model.state_dict().items():
            yield f"{'weight' if name in parameters else 'statistic'} '{name}'", value


def _first_not_finite(named: Iterable[tuple[str, Tensor]]) -> str | None:
    """The name of the first tensor that holds a NaN or an infinity."""
    return next((name for name, value in named if not torch.isfinite(value).all()), None)


def _one_line(step: int, culprit: str, batch: Batch) -> str:
    images = ", ".join(frame.source for frame in batch.frames)
    return f"step {step}: {culprit} is not finite (images: {images})"


def build_optimizer(model: nn.Module, options: TrainOptions, bf16: bool = False) -> torch.optim.Optimizer:
    """The optimizer; weight decay acts on matrices and filters, not on biases and normalisation.

    Muon is for convolutions that normalisation follows, which are those without biases: of these only the
    direction counts. Where there are none it is AdamW. `bf16`: precision of Muon's matrix products.
    """
    decay = options.weight_decay
    assert decay is not None
    filters = [
        module.weight
        for module in model.modules()
        if isinstance(module, nn.Conv2d) and module.bias is None and module.weight.requires_grad
    ]
    chosen = {id(weight) for weight in filters} if options.optimizer == "muon" else set()
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in chosen]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if options.optimizer == "sgd":
        return SGD(groups, lr=options.lr, momentum=options.momentum, fused=True)
    if options.optimizer == "adamw" or not filters:
        return AdamW(groups, lr=options.lr, betas=options.betas, fused=True)
    return Muon(filters, groups, options.lr, options.betas, decay, options.momentum, bf16)


def fit(training: Training, batches: Iterable[Batch]) -> Iterator[Step]:
    """Train until the budget is used or the batches end, yielding after each step.

    Every draw inside a step (dropout) follows from (seed, step). A step whose losses, gradients or statistics
    (of BatchNorm) are not finite changes nothing: it raises NumbersError, naming the first tensor that is not
    finite and the step's images, or is left out where `skip_bad_steps` allows it. Weights and averages are
    looked at after each step: where they are not finite, NumbersError, whatever the options.

    Of several processes (`training.peers`), each is given its part of every batch (`Peers.together`), and all
    yield the same steps: those of the whole batches.
    """
    model, options, peers = training.model, training.options, training.peers
    model.train()
    ended = time.perf_counter()
    for batch in batches:
        waited = time.perf_counter() - ended
        batch = batch.to(training.device)
        training.step = max(training.step, batch.step)  # after a batch of which nothing could be read
        training.advance()
        lr = training.lr(training.progress())
        training.remember()
        torch.manual_seed(options.seed * 1_000_003 + training.step + (peers.rank << 48))
        bf16 = torch.autocast(training.device.type, torch.bfloat16, enabled=training.bf16)
        with bf16, swapped(training.fast):
            output = model(batch)
            losses: dict[str, Tensor] = training.loss(output, batch)
        training.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
        losses = peers.add_up(learning, losses)
        total = torch.stack(list(losses.values())).sum()
        trained = [parameter for parameter in model.parameters() if parameter.grad is not None]
        gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients, foreach=True)
        skipped = ""
        if training.is_sound(total + norm):
            if norm > options.clip:
                nn.utils.clip_grads_with_norm_(trained, options.clip, norm, foreach=True)
            for group in training.optimizer.param_groups:
                group["lr"] = lr
            training.optimizer.step()
            training.step += 1
            training.skipped_in_a_row = 0
            training.update_average()
            training.require_finite(batch)
        else:
            skipped = training.leave_out(losses, peers.whole(batch))
        now = time.perf_counter()
        seconds, ended = peers.clock(now - ended), now
        training.elapsed += seconds
        named = {name: value.item() for name, value in losses.items()}
        progress = training.progress()
        yield Step(training.step, named, lr, norm.item(), progress, seconds, waited, skipped)
        ended = time.perf_counter()
        if progress >= 1:
            return
