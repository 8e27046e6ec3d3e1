"""Muon, with which networks that learn from scratch need about half the steps; SGD and AdamW, faster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

ROUNDS = 5
"""Newton-Schulz iterations of `orthogonal`."""

COEFFICIENTS = 3.4445, -4.7750, 2.0315
"""Of the odd polynomial that one iteration applies to every singular value. It is steepest at 0, and leaves
them between 0.7 and 1.2, which does as well as 1 (Jordan et al. 2024)."""

SIZE = 0.6
"""Root mean square of a filter's change in units of the learning rate."""


class SGD(torch.optim.SGD):
    """torch's SGD with momentum, in one pass over memory also where filters lie channels last.

    Given such filters as they are, torch's fused steps copy all that they read and write, which takes four
    times as long.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Change every parameter that has a gradient."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            averages: list[Tensor | None] = [None] * len(weights)
            if group["momentum"]:
                for weight in weights:
                    if weight not in self.state:
                        self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
                averages = [_in_memory(self.state[w]["momentum_buffer"], w) for w in weights]
            sgd(
                [_in_memory(weight, weight) for weight in weights],
                [_in_memory(weight.grad, weight) for weight in weights],
                averages,
                fused=True,
                weight_decay=group["weight_decay"],
                momentum=group["momentum"],
                lr=group["lr"],
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )


class AdamW(torch.optim.AdamW):
    """torch's AdamW, in the way of `SGD`."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Change every parameter that has a gradient."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            for weight in weights:
                if weight not in self.state:
                    self.state[weight] = {
                        "step": torch.zeros((), dtype=torch.float32, device=weight.device),
                        "exp_avg": torch.zeros_like(weight),
                        "exp_avg_sq": torch.zeros_like(weight),
                    }
            adamw(
                [_in_memory(weight, weight) for weight in weights],
                [_in_memory(weight.grad, weight) for weight in weights],
                [_in_memory(self.state[weight]["exp_avg"], weight) for weight in weights],
                [_in_memory(self.state[weight]["exp_avg_sq"], weight) for weight in weights],
                [],
                [self.state[weight]["step"] for weight in weights],
                fused=True,
                amsgrad=False,
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=False,
            )


class Muon(torch.optim.Optimizer):
    """Momentum whose matrix is made orthogonal, for the filters; AdamW for everything else.

    A filter's gradient lies mostly in few directions, and so do the steps that follow it. Bringing all
    singular values of the momentum to about one lets the rare directions be learnt as fast as the common
    ones. Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; sizes of steps as in Liu et al.
    2025, arXiv:2502.16982, but thrice as large; decoupled weight decay.
    """

    def __init__(
        self,
        filters: Iterable[Tensor],
        others: Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
        momentum: float = 0.95,
        bf16: bool = False,
    ) -> None:
        """`filters` (O, ...) are O x rest matrices; `others` are parameter groups of AdamW, as are `betas`.

        `bf16`: multiply matrices in that precision, which suffices, and is twice as fast where processors
        have it.
        """
        self._adam = AdamW([*others, {"params": []}], lr=lr, betas=betas, fused=True)
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "bf16": bf16}
        super().__init__([{"params": list(filters)}], defaults)
        self.param_groups += self._adam.param_groups[:-1]

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Change every parameter that has a gradient."""
        first, *others = self.param_groups
        self._adam.param_groups, self._adam.state = others, self.state  # both are new after loading
        self._adam.step()
        weights = [weight for weight in first["params"] if weight.grad is not None]
        if not weights:
            return
        for weight in weights:
            if weight not in self.state:
                self.state[weight]["momentum"] = torch.zeros_like(weight)
        gradients, averages = zip(*((w.grad, self.state[w]["momentum"]) for w in weights), strict=True)
        torch._foreach_lerp_(averages, gradients, 1 - first["momentum"])
        ahead = torch._foreach_lerp(gradients, averages, first["momentum"])  # Nesterov's
        lr, most = first["lr"], torch.finfo(weights[0].dtype).max  # torch refuses factors beyond that
        torch._foreach_mul_(weights, max(1 - lr * first["weight_decay"], -most))
        alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for weight, change in zip(weights, ahead, strict=True):
            matrix, change = _as_matrix(weight, weight), _as_matrix(change, weight)
            if len(matrix) > matrix.shape[1]:
                matrix, change = matrix.mT, change.mT
            alike[matrix.shape].append((matrix, change))
        for (_, columns), pairs in alike.items():
            changes = torch.stack([change for _, change in pairs])
            steps = orthogonal(changes.bfloat16() if first["bf16"] else changes)
            for (matrix, _), step in zip(pairs, steps, strict=True):
                matrix.add_(step, alpha=-min(lr * SIZE * columns**0.5, most))


def _in_memory(values: Tensor, like: Tensor) -> Tensor:
    """The same values, seen with their axes in the order in which those of `like` lie in memory."""
    return values.permute(sorted(range(like.ndim), key=like.stride, reverse=True))


def _as_matrix(filters: Tensor, like: Tensor) -> Tensor:
    """Filters (O, ...) as O rows, whose columns have the order that they have in the memory of `like`."""
    return _in_memory(filters, like).reshape(len(filters), -1)


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices (N, R, C) with the same singular vectors and singular values of about 1; best with R <= C.

    Those that were below about a thousandth of the largest stay smaller; zero stays zero.
    """
    a, b, c = COEFFICIENTS
    smallest = torch.finfo(torch.float32).tiny
    # Twice, as the squares of small numbers vanish and those of large ones overflow.
    x: Tensor = matrices / matrices.abs().amax(dim=(1, 2), keepdim=True).clamp(min=smallest)
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=smallest)
    for _ in range(ROUNDS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x
