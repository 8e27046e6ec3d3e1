"""Whether a run's model may calculate in bf16: asked of its own validation pictures, once.

The answer is kept in the run's folder, and holds as long as the weights are the same.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from neocog.data.dataset import Dataset, Derived
from neocog.data.open import open_data
from neocog.errors import DataError, DiskError
from neocog.evaluate import evaluate
from neocog.files import write_atomic
from neocog.judging import TASKS
from neocog.precision import supports_bf16
from neocog.predict import load
from neocog.run_data import RunData, read_run_data
from neocog.types import Task
from neocog.weights import WEIGHTS, find_model

MOST_LOST = 0.003
"""Of the task's main metric, from 0 to 1: 0.3 points."""

MOST_PICTURES = 500
"""That the check looks at: it runs them twice."""

KEPT = "bf16.json"
"""The answer's file in a run's folder."""


@dataclass(frozen=True)
class Bf16Check:
    """A model's main metric in both precisions, on the same pictures."""

    weights: str  # SHA-256 of the model's file
    metric: str
    f32: float
    bf16: float
    split: str
    images: int

    @property
    def passed(self) -> bool:
        """Whether bf16 loses next to nothing."""
        return self.bf16 >= self.f32 - MOST_LOST

    def line(self) -> str:
        chosen = "bf16" if self.passed else "f32"
        numbers = f"{self.metric} {self.bf16:.4f} in bf16, {self.f32:.4f} in f32"
        return f"precision: {chosen} ({numbers}, {self.images} pictures of split '{self.split}')"


def choose_precision(run: Path, device: torch.device) -> tuple[str, str]:
    """`f32` or `bf16` for a model on this device, and a line that says why.

    bf16 where the device multiplies it in hardware, and a check on the run's own pictures finds that the
    task's main metric loses at most 0.3 points. Raises as `load` and `open_data` do for the run's own files.
    """
    if not supports_bf16(device):
        return "f32", f"precision: f32 (this {device.type} has no bf16 in hardware)"
    described = read_run_data(run)
    if described is None:
        return "f32", f"precision: f32 ({run} is no run with pictures to check bf16 on)"
    weights = hashlib.sha256((find_model(run) / WEIGHTS).read_bytes()).hexdigest()
    check = _kept(run, weights)
    if check is None:
        try:
            check = _measure(run, described, weights, device)
        except DataError as error:
            return "f32", f"precision: f32 (bf16 could not be checked: {error})"
        _keep(run, check)
    return ("bf16" if check.passed else "f32"), check.line()


def _measure(run: Path, described: RunData, weights: str, device: torch.device) -> Bf16Check:
    scores = []
    for precision in ("f32", "bf16"):
        predictor = load(run, device, precision)
        data = _First(_pictures(described, predictor.task))
        scores.append(evaluate(predictor, data, proposals=run / "proposals").score or 0.0)
    metric = TASKS[predictor.task].selection
    return Bf16Check(weights, metric, scores[0], scores[1], data.split, len(data))


def _pictures(described: RunData, task: Task) -> Dataset:
    """What the model did not learn from: the validation split, or else the one for tests."""
    wanted: dict[str, Any] = {"task": task, "ignore_label": described.ignore_label, "main": described.main}
    first, second = described.unseen_splits
    try:
        return open_data(described.data, first, **wanted)
    except DataError:
        return open_data(described.data, second, **wanted)


class _First(Derived):
    """The first pictures of a data set."""

    def __len__(self) -> int:
        return min(len(self._data), MOST_PICTURES)


def _kept(run: Path, weights: str) -> Bf16Check | None:
    """The answer of an earlier check of these weights."""
    try:
        check = Bf16Check(**json.loads((run / KEPT).read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None  # none, or damaged: it is made again
    return check if check.weights == weights else None


def _keep(run: Path, check: Bf16Check) -> None:
    with suppress(DiskError):  # a run that may only be read is checked each time
        write_atomic(run / KEPT, json.dumps(asdict(check), indent=2) + "\n")
