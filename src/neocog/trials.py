"""The trials of a comparison: what came of each, kept in its folder, and the table of them all."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import torch

from neocog.data.dataset import Dataset
from neocog.errors import CheckpointError
from neocog.files import reached, write_atomic
from neocog.ops.summary import summarize
from neocog.plan import RunOptions
from neocog.types import blank_batch
from neocog.zoo import MODELS, create

TRIAL = "trial.json"


@dataclass(frozen=True, slots=True)
class Trial:
    """One model trained with one seed, and what it achieves on the test split."""

    options: RunOptions
    folder: Path
    seconds: float  # of optimisation
    searching: float  # seconds that the search for regions took before it
    steps: int
    test: dict[str, Any]  # what `Evaluation.to_dict` says of the test
    regions: int  # median number of them in a test picture, where they come from outside
    peak_memory_mb: float  # of the whole process, so far
    processes: int  # that worked side by side, which lengthens times where they share a machine


_KEPT = tuple(field.name for field in fields(Trial) if field.name not in ("options", "folder"))


def keep_trial(trial: Trial, data: Dataset) -> None:
    """Write what came of a trial, tested on this data, into its folder. Raises DiskError."""
    stored = {name: getattr(trial, name) for name in _KEPT} | {"test_data": data.fingerprint}
    reached(f"before-end-of-{trial.folder.name}")
    write_atomic(trial.folder / TRIAL, json.dumps(stored, indent=2) + "\n")


def read_trial(out: Path, options: RunOptions, data: Dataset) -> Trial | None:
    """What is kept of a trial in its comparison's folder.

    None if it did not come to its end, or was tested on other data. Raises CheckpointError.
    """
    folder = run_of(out, options.model, options.backbone, options.training.seed)
    path = folder / TRIAL
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_bytes())
        tested = stored["test_data"], stored["test"]["split"]
        trial = Trial(options, folder, **{name: stored[name] for name in _KEPT})
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read, or damaged; remove it to test again") from error
    return trial if tested == (data.fingerprint, data.split) else None


def run_of(out: Path, model: str, backbone: str, seed: int) -> Path:
    """The run's folder of one trial in the folder of its comparison."""
    names = dict.fromkeys((model, backbone))  # classifiers are their backbones
    return out / f"{'-'.join(names)}-seed{seed}"


def tabulate(trials: Sequence[Trial]) -> dict[str, Any]:
    """The content of `compare.json`: a row a model, means and spreads over its seeds."""
    first = trials[0]
    names = list(dict.fromkeys((trial.options.model, trial.options.backbone) for trial in trials))
    groups = [[t for t in trials if (t.options.model, t.options.backbone) == name] for name in names]
    budget = first.options.training
    return {
        "task": MODELS[first.options.model].task.value,
        "budget": {"minutes": budget.minutes, "steps": budget.steps, "epochs": budget.epochs},
        "data": {"name": first.test["data"], "split": first.test["split"], "images": first.test["images"]},
        "threads": torch.get_num_threads(),
        "processes": max(trial.processes for trial in trials),
        "rows": _with_speedups([_row(group) for group in groups]),
    }


def _with_speedups(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, each with how many times faster than R-CNN it is, if R-CNN is among them."""
    for slowest in [row["ms_per_image"] for row in rows if row["model"] == "r-cnn"][:1]:
        for row in rows:
            ms = row["ms_per_image"]
            bare, bare_rcnn = (times["network"] + times["decode"] for times in (ms, slowest))
            row["speedup_over_rcnn"] = {
                "with_proposals": slowest["total"] / ms["total"],
                "without_proposals": bare_rcnn / bare,
            }
    return rows


def _row(trials: Sequence[Trial]) -> dict[str, Any]:
    options = trials[0].options
    results = [trial.test for trial in trials]
    parameters, gflops = cost(options, len(results[0]["per_class"]), trials[0].regions)
    times = [result["ms_per_image"] for result in results]
    return {
        "model": options.model,
        "backbone": options.backbone,
        "parameters": parameters,
        "gflops": gflops,
        "precision": results[0]["precision"],
        "train_seconds": mean(trial.seconds for trial in trials),
        "proposal_seconds": mean(trial.searching for trial in trials),
        "regions": trials[0].regions,
        "steps": round(mean(trial.steps for trial in trials)),
        "seeds": [trial.options.training.seed for trial in trials],
        "metrics": {name: _spread([r["metrics"][name] for r in results]) for name in results[0]["metrics"]},
        "ms_per_image": {
            name: None if times[0][name] is None else median(time[name] for time in times)
            for name in times[0]
        },
        "speedup_over_rcnn": {"with_proposals": None, "without_proposals": None},
        "peak_memory_mb": max(trial.peak_memory_mb for trial in trials),
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean and sample standard deviation; None where there is nothing to take it over."""
    known = [value for value in values if value is not None]
    return {"mean": mean(known) if known else None, "std": stdev(known) if len(known) > 1 else None}


def cost(options: RunOptions, classes: int, regions: int = 0) -> tuple[int, float]:
    """Parameters, and thousand millions of multiply-adds for one picture of the run's size.

    `regions`: how many are given with it to a model that takes them from outside.
    """
    model = create(options.model, classes, options.backbone, options.options)
    summary = summarize(model, blank_batch(options.size, regions=1))
    if not regions:
        return summary.parameters, summary.gflops
    each = summarize(model, blank_batch(options.size, regions=2)).gflops - summary.gflops
    return summary.parameters, summary.gflops + (regions - 1) * each


def peak_memory_mb() -> float:
    """The largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
