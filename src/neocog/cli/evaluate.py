"""`neocog evaluate`: the official numbers of a trained model."""

from __future__ import annotations

import hashlib
import json as json_module
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neocog.cli.common import (
    DeviceOption,
    JsonOption,
    PredictPrecisionOption,
    ThreadsOption,
    output,
    processes,
    settle_precision,
    use_threads,
    write_json,
)
from neocog.cli.signals import Stop, interrupts
from neocog.cli.training import IgnoreLabelOption, PublishedOption, StrictOption, TestSetOption, WorkersOption
from neocog.errors import UsageError

if TYPE_CHECKING:
    from neocog.data.dataset import Dataset
    from neocog.distributed.peers import Peers
    from neocog.predict import Predictor

EXAMPLE = "Example: neocog evaluate runs/first --split test"


def evaluate(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run folder or a model folder; with --weights, a model's name."),
    ],
    data: Annotated[
        str | None, typer.Option("--data", metavar="PATH", help="A data set (default: the one of the run).")
    ] = None,
    split: Annotated[
        str, typer.Option("--split", metavar="NAME", help="Which split to measure on.")
    ] = "test",
    weights: PublishedOption = None,
    batch: Annotated[int, typer.Option("--batch", min=1, metavar="N", help="Pictures at a time.")] = 1,
    workers: WorkersOption = 0,
    threads: ThreadsOption = None,
    device: DeviceOption = "auto",
    precision: PredictPrecisionOption = "f32",
    settings: TestSetOption = None,
    strict: StrictOption = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Record each picture in the run's folder at once, and go on after a kill."
        ),
    ] = False,
    ignore_label: IgnoreLabelOption = None,
    main: Annotated[
        str | None,
        typer.Option("--main", metavar="largest|CLASS", help="As in training (default: the run's)."),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Measure a trained model by the official metrics of its task, and its milliseconds an image."""
    with processes(device) as peers:
        from neocog.cli.progress import show_download
        from neocog.cli.settings import apply_settings
        from neocog.predict import load

        use_threads(threads)
        change = partial(apply_settings, settings=settings) if settings else None
        file = output(json, peers.first)
        told = show_download(file)
        precision = peers.spread(settle_precision(precision, run, peers.device, file))
        predictor = load(run, peers.device, precision, change, told, weights)
        folder = run if weights is None and (run / "run.json").exists() else None
        if data is None and folder is None:
            raise UsageError(f"{run}: no run.json in it that names the data; give --data PATH")
        if resume and folder is None:
            raise UsageError(f"--resume records in a run's folder, and {run} is none")
        _evaluate(
            folder,
            predictor,
            data,
            split,
            batch,
            workers,
            strict,
            json,
            peers,
            ignore_label=ignore_label,
            main=main,
            keep=not settings,
            resume=resume,
        )


def _evaluate(
    folder: Path | None,
    predictor: Predictor,
    data: str | None,
    split: str,
    batch: int,
    workers: int,
    strict: bool,
    json: str | None,
    peers: Peers,
    *,
    ignore_label: int | None,
    main: str | None,
    keep: bool,
    resume: bool,
) -> None:
    """`folder`: of the run; None for a model without one. `keep`: whether the numbers are those of the run as
    it is, and belong in its folder. `resume`: record there, and go on from what is recorded."""
    from neocog.cli.progress import show_search
    from neocog.cli.tables import print_data, print_evaluation
    from neocog.data.dataset import require_classes
    from neocog.data.open import open_data
    from neocog.evaluate import evaluate as measure
    from neocog.files import write_atomic
    from neocog.propose import find_all, with_proposals
    from neocog.run_data import RunData, read_run_data
    from neocog.types import Task

    described = None if folder is None else read_run_data(folder)
    stored = described or RunData("", None, None, "largest")
    opened = open_data(
        data or stored.data,
        split,
        strict=strict,
        task=predictor.task,
        ignore_label=stored.ignore_label if ignore_label is None else ignore_label,
        main=main or stored.main,
    )
    file, known = output(json, peers.first), len(predictor.classes)
    detects = predictor.task is Task.DETECT
    if detects and set(opened.classes) < set(predictor.classes):  # such as COCO's 80 of its 90 category ids
        predictor = predictor.among(opened.classes)
    require_classes(opened, predictor.classes, "the model")
    print_data(opened, file)
    if len(predictor.classes) < known:
        print(f"  of the model's {known} classes only these {len(predictor.classes)} count", file=file)
    kept = None if folder is None else folder / "proposals"  # where training kept them
    opened = with_proposals(opened, predictor.search, kept)
    show_search(find_all(opened, workers, peers.share), file)
    how: dict[str, Any] = {"batch": batch, "workers": workers, "peers": peers, "strict": strict}
    if folder is None or not resume:
        evaluation = measure(predictor, opened, **how)
    else:
        records = folder / f"evaluating-{_job(predictor, opened, batch)}"
        with interrupts() as signals:
            stop = Stop()
            signals.watch(stop)
            evaluation = measure(predictor, opened, kept=records, stopping=lambda: stop.stopped, **how)
        if peers.first:
            shutil.rmtree(records)
    if not peers.first:
        return
    print_evaluation(evaluation, file)
    for line in evaluation.faults:
        print(f"  {line} (file left out)", file=file)
    write_json(evaluation.to_dict(), json)
    if keep and folder is not None:
        write_atomic(folder / "evaluation.json", json_module.dumps(evaluation.to_dict(), indent=2) + "\n")


def _job(predictor: Predictor, data: Dataset, batch: int) -> str:
    """Some digits that are others for another model, other data, or another way to measure them."""
    told = hashlib.sha256()
    for name, value in predictor.model.state_dict().items():
        told.update(name.encode() + value.float().cpu().numpy().tobytes())
    how = [predictor.model.options, predictor.size, predictor.classes, predictor.bf16, batch]
    told.update(repr([how, data.fingerprint, data.split]).encode())
    return told.hexdigest()[:12]
