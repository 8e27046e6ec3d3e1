"""The whole family on one data set under one budget: train, test, and print the table."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import torch

from neocog.compare_report import compare_report
from neocog.data.dataset import require_classes
from neocog.evaluate import Evaluation, evaluate
from neocog.files import write_atomic
from neocog.ops.summary import summarize
from neocog.plan import Machine, RunOptions, open_split, with_seed
from neocog.predict import load
from neocog.run import Moment, Run
from neocog.types import blank_batch
from neocog.zoo import MODELS, create


@dataclass(frozen=True, slots=True)
class Trial:
    """One model trained with one seed, and what it achieves on the test split."""

    options: RunOptions
    folder: Path
    seconds: float  # of optimisation
    searching: float  # seconds that the search for regions took before it
    steps: int
    test: Evaluation
    peak_memory_mb: float  # of the whole process, so far


def _drain(run: Run, title: str) -> Iterable[Moment]:
    return run


def compare(
    plans: Sequence[RunOptions],
    seeds: Sequence[int],
    out: Path,
    machine: Machine,
    test_split: str = "test",
    watch: Callable[[Run, str], Iterable[Moment]] = _drain,
) -> Iterator[Trial]:
    """Train every plan with every seed, test each, and write `compare.json` (after each) and `report.html`.

    Budgets count optimisation only, pre-training included; compilation, the search for regions, validation
    and test are outside. Each training is a run folder `out/MODEL-BACKBONE-seedN`; `watch` iterates it, and
    may show it. Models that search for the same regions share them, in `out/proposals`.
    """
    test_data = open_split(plans[0], test_split, machine.strict)
    machine = replace(machine, proposals=out / "proposals")
    trials: list[Trial] = []
    for plan in plans:
        for seed in seeds:
            options = with_seed(plan, seed)
            folder = run_of(out, options.model, options.backbone, seed)
            run = Run(folder, options, machine)
            require_classes(test_data, run.data.classes, "the training split")
            for _ in watch(run, options.model):
                pass
            predictor = load(folder, machine.device, "bf16" if run.training.bf16 else "f32")
            test = evaluate(predictor, test_data, strict=machine.strict, proposals=machine.proposals)
            trial = Trial(
                options,
                folder,
                run.training.elapsed,
                run.proposing_seconds,
                run.training.step,
                test,
                _peak_memory_mb(),
            )
            trials.append(trial)
            table = tabulate(trials)  # after each: what follows may fail
            write_atomic(out / "compare.json", json.dumps(table, indent=2) + "\n")
            yield trial
    tests: dict[str, Evaluation] = {}
    for trial in trials:
        tests.setdefault(trial.options.model, trial.test)  # the first seed stands for all in pictures
    compare_report(out, table, test_data, tests)


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
        "data": {"name": first.test.data, "split": first.test.split, "images": first.test.images},
        "threads": torch.get_num_threads(),
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
    results = [trial.test.to_dict() for trial in trials]
    parameters, gflops = cost(options, len(results[0]["per_class"]), trials[0].test.regions)
    times = [result["ms_per_image"] for result in results]
    return {
        "model": options.model,
        "backbone": options.backbone,
        "parameters": parameters,
        "gflops": gflops,
        "precision": results[0]["precision"],
        "train_seconds": mean(trial.seconds for trial in trials),
        "proposal_seconds": mean(trial.searching for trial in trials),
        "regions": trials[0].test.regions,
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


def _peak_memory_mb() -> float:
    """The largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
