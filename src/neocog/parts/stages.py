"""Training in stages: parts of one budget in which a network learns from other losses, or in part only.

Pre-training before detection is one use; Faster R-CNN's alternating training is another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from neocog.types import Batch


@dataclass(frozen=True)
class Stage:
    """One part of the budget."""

    name: str
    share: float  # of the budget
    network: Callable[[Batch], Any]  # batch -> output
    loss: Callable[[Any, Batch], dict[str, Tensor]]
    learns: tuple[nn.Module, ...]  # everything else stays as it is, statistics of BatchNorm included
    takes: tuple[tuple[str, str], ...] = ()
    """(prefix, other prefix) of names in the course's state: at its start the first become the second."""


class Course(nn.Module):
    """A network (`model`), what only serves its training (`aside`), and its stages, one of them current."""

    def __init__(self, model: nn.Module, stages: Sequence[Stage], aside: Mapping[str, nn.Module]) -> None:
        """The shares of the stages must add up to 1; ValueError if they do not."""
        super().__init__()
        if abs(sum(stage.share for stage in stages) - 1) > 1e-6:
            raise ValueError(f"the shares of the stages add up to {sum(stage.share for stage in stages)}")
        self.model, self.aside, self.stages = model, nn.ModuleDict(dict(aside)), tuple(stages)
        self._trainable = [name for name, value in self.named_parameters() if value.requires_grad]
        self.current = 0

    @property
    def stage(self) -> Stage:
        return self.stages[self.current]

    def span(self) -> tuple[float, float]:
        """Where in the budget the current stage begins and ends, in [0, 1]; the last one ends at 1."""
        begin = sum(stage.share for stage in self.stages[: self.current])
        return begin, 1.0 if self.is_last() else begin + self.stage.share

    def is_last(self) -> bool:
        return self.current == len(self.stages) - 1

    def enter(self, number: int) -> None:
        """Make a stage current: only what it learns has gradients, and gathers statistics."""
        self.current = number
        learning = {id(value) for module in self.stage.learns for value in module.parameters()}
        parameters = dict(self.named_parameters())
        for name in self._trainable:
            parameters[name].requires_grad_(id(parameters[name]) in learning)
        self.train(self.training)

    def train(self, mode: bool = True) -> Course:
        super().train(False)
        self.training = mode
        if mode:
            for module in self.stage.learns:
                module.train()
        return self

    def forward(self, batch: Batch) -> Any:
        return self.stage.network(batch)

    def loss(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        return self.stage.loss(output, batch)
