"""`neocog train`: from a folder of labelled images to a measured, saved model."""

from __future__ import annotations

from typing import Annotated

import typer

from neocog.cli.common import (
    DeviceOption,
    JsonOption,
    PrecisionOption,
    SeedOption,
    ThreadsOption,
    check_out,
    output,
    prepare_out,
    processes,
    use_threads,
    write_json,
)
from neocog.cli.signals import interrupts
from neocog.cli.training import (
    AugmentOption,
    BackboneOption,
    BatchOption,
    DataOption,
    EpochsOption,
    IgnoreLabelOption,
    LrOption,
    MainOption,
    MinutesOption,
    OptimizerOption,
    OutOption,
    OverwriteOption,
    PretrainOption,
    SetOption,
    SizeOption,
    SkipOption,
    StepsOption,
    StrictOption,
    TrainSplitOption,
    ValSplitOption,
    WeightsOption,
    WorkersOption,
    describe,
    run_options,
)
from neocog.errors import Interrupted

EXAMPLE = "Example: neocog train faster-rcnn --data photos/ --out runs/first --minutes 6"


def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="See `neocog models`.")],
    data: DataOption,
    out: OutOption,
    backbone: BackboneOption = None,
    size: SizeOption = None,
    batch: BatchOption = None,
    lr: LrOption = None,
    optimizer: OptimizerOption = None,
    steps: StepsOption = None,
    epochs: EpochsOption = None,
    minutes: MinutesOption = None,
    train_split: TrainSplitOption = "train",
    val_split: ValSplitOption = "val",
    ignore_label: IgnoreLabelOption = None,
    main: MainOption = "largest",
    weights: WeightsOption = None,
    pretrain: PretrainOption = None,
    augment: AugmentOption = None,
    precision: PrecisionOption = "auto",
    seed: SeedOption = 0,
    workers: WorkersOption = 1,
    threads: ThreadsOption = None,
    device: DeviceOption = "auto",
    settings: SetOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint of --out.")
    ] = False,
    overwrite: OverwriteOption = False,
    strict: StrictOption = False,
    skip_bad_steps: SkipOption = 0,
    save_steps: Annotated[
        int | None,
        typer.Option(
            "--save-steps", min=1, metavar="N", help="Checkpoint every N steps too (default: each minute)."
        ),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Train a model on labelled images, measure it on the validation split, and save it.

    Ctrl-C, SIGTERM and SIGHUP end it after the step under way, which is saved; --resume goes on from there.
    """
    with interrupts() as signals, processes(device) as peers:
        from neocog.cli.progress import show, show_search
        from neocog.cli.tables import print_data, print_evaluation, print_left_out
        from neocog.plan import Machine
        from neocog.run import Run

        if peers.first:
            check_out(out, overwrite=overwrite, resume=resume, reads=[data, weights or data])
        use_threads(threads)
        machine = Machine(peers.device, workers, save_steps=save_steps, strict=strict, peers=peers)
        given = {
            "batch": batch,
            "lr": lr,
            "optimizer": optimizer,
            "steps": steps,
            "epochs": epochs,
            "minutes": minutes,
            "precision": precision,
            "seed": seed,
            "skip_bad_steps": skip_bad_steps,
        }
        options = run_options(
            model,
            data,
            backbone=backbone,
            size=size,
            train_split=train_split,
            val_split=val_split,
            ignore_label=ignore_label,
            main=main,
            weights=weights,
            settings=settings,
            pretrain=pretrain,
            augment=augment,
            given=given,
        )
        file = output(json, peers.first)
        run = Run(out, options, machine, resume=resume)
        if peers.first:
            prepare_out(out, overwrite=overwrite, resume=resume)
        signals.watch(run)
        print_data(run.data, file)
        if run.validation is not None:
            print_data(run.validation, file)
        print(describe(options), file=file)
        if run.fresh:
            print(f"all layers start from published weights but {', '.join(run.fresh)}", file=file)
        if resume:
            print(f"resumed at step {run.training.step}", file=file)
        show_search(run.propose(), file)
        for _ in show(run, model, file):
            pass
        print_left_out(run, file)
        if run.stopped:
            raise Interrupted(f"interrupted after step {run.training.step}; --resume goes on from there")
        if run.evaluation is not None:
            print_evaluation(run.evaluation, file)
        print(f"model: {out / 'model'}   report: {out / 'report.html'}", file=file)
        if peers.first:
            write_json(None if run.evaluation is None else run.evaluation.to_dict(), json)
