"""`neocog compare`: the whole family on one data set under one budget, and the table."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from neocog.cli.common import (
    DeviceOption,
    JsonOption,
    ThreadsOption,
    check_out,
    find_device,
    output,
    prepare_out,
    print_table,
    use_threads,
    write_json,
)
from neocog.cli.training import (
    BackboneOption,
    IgnoreLabelOption,
    MainOption,
    MinutesOption,
    OptimizerOption,
    OutOption,
    OverwriteOption,
    PretrainOption,
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
    overwrite: OverwriteOption = False,
    strict: StrictOption = False,
    json: JsonOption = None,
) -> None:
    """Train models under one budget each, test them on the same pictures, and print the table."""
    from neocog.cli.progress import show, show_search
    from neocog.cli.tables import comparison_rows, print_data, print_left_out
    from neocog.compare import compare as run_comparison
    from neocog.distributed.connect import require_alone
    from neocog.judging import TASKS
    from neocog.plan import Machine

    require_alone("compare")
    check_out(out, overwrite=overwrite, reads=[data])
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
    file = output(json)
    for plan in plans:
        print(describe(plan), file=file)
    machine = Machine(find_device(device), workers, strict=strict)
    opened: set[str] = set()

    def watch(run: Run, title: str) -> Iterator[Moment]:
        if not opened:
            prepare_out(out, overwrite=overwrite)
        for data in (run.data, run.validation):
            if data is not None and data.split not in opened:  # one data set for all: told once
                opened.add(data.split)
                print_data(data, file)
        show_search(run.propose(), file)
        yield from show(run, title, file)
        print_left_out(run, file)

    for trial in run_comparison(plans, range(seeds), out, machine, test_split, watch):
        score, metric = trial.test.score, TASKS[trial.test.task].selection
        told = "-" if score is None else f"{score:.3f}"
        print(f"{trial.folder.name}: {trial.steps} steps, test {metric} {told}", file=file, flush=True)
        for line in trial.test.faults:
            print(f"  {line} (file left out)", file=file)
    table = json_module.loads((out / "compare.json").read_text())
    headings, rows = comparison_rows(table)
    print_table(headings, rows, title=f"{table['data']['name']}, split {table['data']['split']}", file=file)
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
