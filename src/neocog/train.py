"""The one training loop: a generator of steps, so that the caller logs, saves, draws and stops."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from neocog.errors import NumbersError, UsageError
from neocog.precision import Precision, check_precision, uses_bf16
from neocog.types import Batch


@dataclass(frozen=True)
class TrainOptions:
    """How to train. One of `steps`, `epochs`, `minutes` is the budget; the schedule ends when it does."""

    steps: int | None = None
    epochs: float | None = None
    minutes: float | None = None
    batch: int = 8
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = 4e-3
    weight_decay: float = 0.05
    momentum: float = 0.9  # of SGD; AdamW uses `betas`
    betas: tuple[float, float] = (0.9, 0.99)
    warmup: float = 0.05  # share of the budget in which the learning rate rises
    clip: float = 10.0  # largest norm of the whole gradient
    ema: float = 0.998  # decay of the averaged weights
    precision: Precision = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        given = [name for name in ("steps", "epochs", "minutes") if getattr(self, name) is not None]
        if len(given) > 1:
            raise UsageError(f"give one budget, not {' and '.join('--' + name for name in given)}")
        check_precision(self.precision)
        for name in (*given, "batch", "lr", "clip"):
            if not getattr(self, name) > 0:
                raise UsageError(f"--{name} must be positive, not {getattr(self, name)}")
        for name in ("warmup", "ema", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"--{name} must lie in [0, 1), not {getattr(self, name)}")


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


class Training:
    """Everything that changes while training: network, averaged weights, optimizer, step count, time used."""

    def __init__(self, model: nn.Module, options: TrainOptions, total_steps: int | None) -> None:
        """`total_steps` is the budget in steps, or None when it is `options.minutes`."""
        self.model, self.options, self.total_steps = model, options, total_steps
        self.loss: Callable[[Any, Batch], dict[str, Tensor]] = model.loss  # type: ignore[assignment]
        self.device = next(model.parameters()).device
        self.optimizer = build_optimizer(model, options)
        state = model.state_dict()
        self.average = {name: value.detach().clone() for name, value in state.items()}
        pairs = [(self.average[name], value) for name, value in state.items()]
        self._real = tuple(zip(*((a, v) for a, v in pairs if v.is_floating_point()), strict=True))
        self._counts = [(a, v) for a, v in pairs if not v.is_floating_point()]
        self.step, self.elapsed = 0, 0.0
        self.bf16 = uses_bf16(options.precision, self.device)

    def progress(self) -> float:
        """Share of the budget used so far."""
        if self.total_steps is not None:
            return min(self.step / self.total_steps, 1.0)
        return min(self.elapsed / (60 * (self.options.minutes or math.inf)), 1.0)

    def lr(self, progress: float) -> float:
        """Linear warm-up, then half a cosine down to zero (Loshchilov and Hutter 2017, arXiv:1608.03983)."""
        warmup, peak = self.options.warmup, self.options.lr
        if self.step == 0 or progress < warmup:
            floor = 1 / self.total_steps if self.total_steps else 1e-3
            return peak * min(max(progress, floor) / max(warmup, floor), 1.0)
        return peak * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the averaged weights towards the network's; early on faster, so that they forget the start."""
        decay = min(self.options.ema, (1 + self.step) / (10 + self.step))
        averages, values = self._real
        torch._foreach_lerp_(averages, values, 1 - decay)
        for average, value in self._counts:
            average.copy_(value)


def build_optimizer(model: nn.Module, options: TrainOptions) -> torch.optim.Optimizer:
    """AdamW or SGD; weight decay acts on matrices and filters, not on biases and normalisation."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=options.lr, momentum=options.momentum, fused=True)
    return torch.optim.AdamW(groups, lr=options.lr, betas=options.betas, fused=True)


def fit(training: Training, batches: Iterable[Batch]) -> Iterator[Step]:
    """Train until the budget is used or the batches end, yielding after each step.

    Every draw inside a step (dropout) follows from (seed, step). Raises NumbersError, naming the first tensor
    that is not finite and the step's images, before the weights are touched.
    """
    model, options = training.model, training.options
    model.train()
    ended = time.perf_counter()
    for batch in batches:
        waited = time.perf_counter() - ended
        batch = batch.to(training.device)
        lr = training.lr(training.progress())
        torch.manual_seed(options.seed * 1_000_003 + training.step)
        with torch.autocast(training.device.type, torch.bfloat16, enabled=training.bf16):
            output = model(batch)
            losses: dict[str, Tensor] = training.loss(output, batch)
        total = torch.stack(list(losses.values())).sum()
        training.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        trained = [parameter for parameter in model.parameters() if parameter.grad is not None]
        gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients, foreach=True)
        if not torch.isfinite(total + norm):
            raise NumbersError(explain_non_finite(model, losses, batch, training.step + 1))
        nn.utils.clip_grads_with_norm_(trained, options.clip, norm, foreach=True)
        for group in training.optimizer.param_groups:
            group["lr"] = lr
        training.optimizer.step()
        training.step += 1
        training.update_average()
        now = time.perf_counter()
        seconds, ended = now - ended, now
        training.elapsed += seconds
        named = {name: value.item() for name, value in losses.items()}
        progress = training.progress()
        yield Step(training.step, named, lr, norm.item(), progress, seconds, waited)
        ended = time.perf_counter()
        if progress >= 1:
            return


def explain_non_finite(model: nn.Module, losses: Mapping[str, Tensor], batch: Batch, step: int) -> str:
    """One line: the first tensor that is not finite, and the images of the step."""
    named = [(f"loss '{name}'", value) for name, value in losses.items()]
    named += [(f"weight '{name}'", value) for name, value in model.state_dict().items()]
    named += [
        (f"gradient of '{name}'", value.grad)
        for name, value in model.named_parameters()
        if value.grad is not None
    ]
    culprit = next((name for name, value in named if not torch.isfinite(value).all()), "the gradient's norm")
    images = ", ".join(frame.source for frame in batch.frames)
    return f"step {step}: {culprit} is not finite (images: {images}); lower --lr, or look at these images"
