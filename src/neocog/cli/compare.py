"""`neocog compare`: the whole family on one data set under one budget, and the table."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from neocog.cli.common import (
    DeviceOption,
    JsonOption,
    ThreadsOption,
    check_out,
    output,
    prepare_out,
    print_table,
    processes,
    use_threads,
    write_json,
)
from neocog.cli.signals import Stop, interrupts
from neocog.cli.training import (
    BackboneOption,
    IgnoreLabelOption,
    MainOption,
    MinutesOption,
    OptimizerOption,
    OutOption,
    OverwriteOption,
    PretrainOption,
    ResumeOption,
    SizeOption,
    StepsOption,
    StrictOption,
    TrainSplitOption,
    ValSplitOption,
    WorkersOption,
    describe,
    run_options,
)

if TYPE_CHECKING:
    from neocog.run import Moment, Run
    from neocog.trials import Trial

EXAMPLE = "Example: neocog compare faster-rcnn --data scenes --minutes 3 --out runs/compare"


def compare(
    out: OutOption,
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL...]", help="Which models (default: the family)."),
    ] = None,
    data: Annotated[
        str, typer.Option("--data", metavar="PATH", help="A data set, or scenes[:level].")
    ] = "scenes",
    task: Annotated[
        str, typer.Option("--task", metavar="NAME", help="Whose family, where no model is named.")
    ] = "detect",
    ignore_label: IgnoreLabelOption = None,
    main: MainOption = "largest",
    minutes: MinutesOption = None,
    steps: StepsOption = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, metavar="N", help="Seeds 0 to N-1.")] = 1,
    backbone: BackboneOption = None,
    size: SizeOption = None,
    optimizer: OptimizerOption = None,
    pretrain: PretrainOption = None,
    train_split: TrainSplitOption = "train",
    val_split: ValSplitOption = "val",
    test_split: Annotated[
        str, typer.Option("--test-split", metavar="NAME", help="Split of the table.")
    ] = "test",
    workers: WorkersOption = 1,
    threads: ThreadsOption = None,
    device: DeviceOption = "auto",
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    strict: StrictOption = False,
    json: JsonOption = None,
) -> None:
    """Train models under one budget each, test them on the same pictures, and print the table.

    Under torchrun each process takes the next model and seed. After Ctrl-C, SIGTERM, SIGHUP or a kill
    --resume goes on: with the training that was under way, from its last checkpoint.
    """
    from neocog.compare import compare as run_comparison
    from neocog.plan import Machine

    with interrupts() as signals, processes(device) as peers:
        if peers.first:
            check_out(out, overwrite=overwrite, resume=resume, reads=[data])
        use_threads(threads)
        names = models or family_of(task)
        require_one_task(names)
        given = {"minutes": minutes, "steps": steps, "optimizer": optimizer}
        plans = [
            replace(
                run_options(
                    name,
                    data,
                    backbone=backbone,
                    size=size,
                    train_split=train_split,
                    val_split=val_split,
                    ignore_label=ignore_label,
                    main=main,
                    weights=None,
                    settings=None,
                    pretrain=pretrain,
                    given=given,
                ),
                validations=1,  # at its end: R-CNN's take a third of its training each
            )
            for name in names
        ]
        file, stop = output(json, peers.first), Stop()
        for plan in plans:
            print(describe(plan), file=file)
        machine = Machine(peers.device, workers, strict=strict, peers=peers)
        signals.watch(stop)
        trials = run_comparison(
            plans,
            range(seeds),
            out,
            machine,
            test_split,
            _Watch(stop, file),
            begin=lambda: prepare_out(out, overwrite=overwrite, resume=resume),
            stopping=lambda: stop.stopped,
            resume=resume,
        )
        for trial in trials:
            _tell(trial, file)
        if peers.first:
            _show_table(out, json, file)


class _Watch:
    """Shows how a run of a comparison goes, and tells it of signals."""

    def __init__(self, stop: Stop, file: TextIO) -> None:
        self._stop, self._file = stop, file
        self._opened: set[str] = set()

    def __call__(self, run: Run, title: str) -> Iterator[Moment]:
        from neocog.cli.progress import show, show_search
        from neocog.cli.tables import print_data, print_left_out

        self._stop.passes_on_to(run)
        for data in (run.data, run.validation):
            if data is not None and data.split not in self._opened:  # one data set for all: told once
                self._opened.add(data.split)
                print_data(data, self._file)
        show_search(run.propose(), self._file)
        yield from show(run, title, self._file)
        print_left_out(run, self._file)


def _tell(trial: Trial, file: TextIO) -> None:
    from neocog.judging import TASKS
    from neocog.types import Task

    metric = TASKS[Task(trial.test["task"])].selection
    score = trial.test["metrics"][metric]
    told = "-" if score is None else f"{score:.3f}"
    print(f"{trial.folder.name}: {trial.steps} steps, test {metric} {told}", file=file, flush=True)
    for line in trial.test["unreadable"]:
        print(f"  {line} (file left out)", file=file)


def _show_table(out: Path, json: str | None, file: TextIO) -> None:
    from neocog.cli.tables import comparison_rows

    table = json_module.loads((out / "compare.json").read_text())
    headings, rows = comparison_rows(table)
    print_table(headings, rows, title=f"{table['data']['name']}, split {table['data']['split']}", file=file)
    if table["processes"] > 1:
        print(f"{table['processes']} processes worked side by side: times are longer for it", file=file)
    print(f"table: {out / 'compare.json'}   report: {out / 'report.html'}", file=file)
    write_json(table, json)


def family_of(task: str) -> list[str]:
    """The models that are compared unasked. Raises UsageError for a task that there is not."""
    from neocog.types import Task
    from neocog.zoo import MODELS, known

    known(task, list(Task), "task")
    return [name for name, entry in MODELS.items() if entry.task == task and entry.compared]


def require_one_task(names: list[str]) -> None:
    """Raise UsageError for models of different tasks: no one table could hold them."""
    from neocog.errors import UsageError
    from neocog.zoo import MODELS, known

    tasks = {MODELS[known(name, MODELS, "model")].task: name for name in names}
    if len(tasks) > 1:
        (first, one), (second, other), *_ = tasks.items()
        raise UsageError(f"{one} is for the task '{first}' and {other} for '{second}': compare one task")
