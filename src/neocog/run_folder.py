"""What a run keeps in its folder, and how it is taken up again: description, checkpoints, model.

The order in which these are written, and when, is the business of `neocog.run`.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neocog.cards import model_card
from neocog.checkpoint import (
    Checkpoint,
    flatten_optimizer,
    restore_optimizer,
    save_checkpoint,
    taking_up,
)
from neocog.data.dataset import Dataset
from neocog.errors import CheckpointError, UsageError
from neocog.evaluate import Evaluation
from neocog.files import write_atomic
from neocog.plan import RunOptions
from neocog.reports import save_samples
from neocog.train import Training
from neocog.version import __version__
from neocog.weights import check_weights, on_one_line, restore_weights, save_model
from neocog.zoo import MODELS

DESCRIPTION, EVALUATION = "run.json", "evaluation.json"


def describe(
    options: RunOptions, data: Dataset, validation: Dataset | None, training: Training
) -> dict[str, Any]:
    """The content of `run.json`: what the run does, on what, with what."""
    network = training.model if training.course is None else training.course.model
    return {
        "neocog": __version__,
        "task": MODELS[options.model].task.value,
        "options": json.loads(json.dumps(asdict(options))),
        "classes": list(data.classes),
        "data": _described(data),
        "validation": None if validation is None else _described(validation),
        "machine": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "platform": platform.platform(),
            "device": str(training.device),
            "processes": training.peers.size,
            "threads": torch.get_num_threads(),
            "bf16": training.bf16,
        },
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }


def _described(data: Dataset) -> dict[str, Any]:
    return {
        "name": data.name,
        "format": data.format,
        "split": data.split,
        "images": len(data),
        "fingerprint": data.fingerprint,
        "report": data.report.to_dict() if hasattr(data, "report") else None,
    }


def write_description(out: Path, document: Mapping[str, Any]) -> None:
    """Write `run.json`. Raises DiskError."""
    write_atomic(out / DESCRIPTION, json.dumps(document, indent=2) + "\n")


def check_same_run(out: Path, document: Mapping[str, Any]) -> None:
    """Refuse to go on with other options or other data: that would be another experiment.

    Raises UsageError for options, CheckpointError for data, or where `run.json` cannot be read.
    """
    stored = _read_description(out / DESCRIPTION)
    for name, now in _flat(document["options"]).items():
        then = _flat(stored["options"]).get(name)
        if then != now and name != "training.skip_bad_steps":  # how to get past what stopped it
            was, given = (on_one_line(str(value), 80) for value in (then, now))
            raise UsageError(
                f"{out}: was started with {name} = {was}, not {given}; "
                "give the same options, or another --out"
            )
    if stored["data"]["fingerprint"] != document["data"]["fingerprint"]:
        source = document["options"]["data"]
        raise CheckpointError(f"{out}: the data at {source} changed since the run was started")


def _read_description(path: Path) -> dict[str, Any]:
    """The `run.json` of a run to go on with."""
    try:
        stored = json.loads(path.read_bytes())
        return {"options": dict(stored["options"]), "data": {"fingerprint": stored["data"]["fingerprint"]}}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read, or damaged; start again with --overwrite") from error


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options as dotted names."""
    result: dict[str, Any] = {}
    for name, value in tree.items():
        result |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return result


@dataclass(frozen=True, slots=True)
class Kept:
    """What a checkpoint keeps of a run besides its `Training`."""

    best: float | None = None  # the best score so far
    history: Sequence[dict[str, Any]] = ()  # of validations
    unreadable: Sequence[str] = ()  # pictures that could not be read


def save_state(out: Path, training: Training, kept: Kept, *, best: bool) -> None:
    """Save a checkpoint. Raises NumbersError, DiskError."""
    tensors, optimizer = flatten_optimizer(training.optimizer)
    save_checkpoint(
        out,
        training.step,
        {"weights": training.model.state_dict(), "ema": training.average, "optimizer": tensors},
        {
            "optimizer": optimizer,
            "elapsed": training.elapsed,
            "skipped": [training.skipped, training.skipped_in_a_row],
            "stage": [0 if training.course is None else training.course.current, training.began],
            "best": kept.best,
            "history": kept.history,
            "seed": training.options.seed,
            "unreadable": kept.unreadable,
        },
        best=best,
    )


def restore_state(checkpoint: Checkpoint, training: Training) -> Kept:
    """Put a training where it was when this was saved. Raises CheckpointError if it is of another run."""
    with taking_up(checkpoint) as (state, tensors):
        restore_weights(training.model, tensors["weights"], checkpoint.path / "weights.safetensors")
        check_weights(training.model, tensors["ema"], checkpoint.path / "ema.safetensors")
        for name, value in training.average.items():
            value.copy_(tensors["ema"][name])
        restore_optimizer(training.optimizer, tensors["optimizer"], state["optimizer"])
        training.step, training.elapsed = checkpoint.step, state["elapsed"]
        training.skipped, training.skipped_in_a_row = state.get("skipped", (0, 0))
        stage, training.began = state.get("stage", (0, 0))
        if training.course is not None:
            training.course.enter(stage)
        return Kept(state["best"], list(state["history"]), list(state.get("unreadable", [])))


def model_config(options: RunOptions, classes: Sequence[str]) -> dict[str, Any]:
    """What `model/config.json` stores: enough to build the network again."""
    return {
        "task": MODELS[options.model].task.value,
        "model": options.model,
        "backbone": options.backbone,
        "classes": list(classes),
        "size": list(options.size),
        "options": asdict(options.options),
        "neocog": __version__,
    }


def give_away(
    out: Path,
    document: dict[str, Any],
    config: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    validation: Dataset | None,
    evaluation: Evaluation | None,
) -> None:
    """Save weights as the model, and what was measured of them on the validation data."""
    result = None if evaluation is None else evaluation.to_dict()
    save_model(out / "model", config, weights, model_card(document, result))
    if evaluation is not None:
        write_atomic(out / EVALUATION, json.dumps(result, indent=2) + "\n")
        assert validation is not None
        save_samples(out / "samples", validation, evaluation)
