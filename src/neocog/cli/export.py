"""`neocog export`: a trained model as a file for another runtime."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from neocog.cli.common import JsonOption, ThreadsOption, check_file, output, use_threads, write_json
from neocog.cli.training import PublishedOption
from neocog.errors import UsageError

if TYPE_CHECKING:
    from neocog.data.dataset import Dataset
    from neocog.predict import Predictor

EXAMPLE = "Example: neocog export runs/first --format onnx --out first.onnx"


def export(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run folder or a model folder; with --weights, a model's name."),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The file to write: .onnx, or .xml for openvino.")
    ],
    format: Annotated[
        str, typer.Option("--format", metavar="onnx|openvino", help="What the file is for.")
    ] = "onnx",
    weights: PublishedOption = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", metavar="PATH", help="Pictures to compare on (default: the run's; else generated ones)."
        ),
    ] = None,
    pictures: Annotated[
        int, typer.Option("--pictures", min=1, metavar="N", help="How many of them to compare on.")
    ] = 24,
    int8: Annotated[
        bool, typer.Option("--int8", help="Convolutions and dense layers in int8; prints what it costs.")
    ] = False,
    calibrate: Annotated[
        int, typer.Option("--calibrate", min=1, metavar="N", help="Training pictures that set int8's scales.")
    ] = 128,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
    threads: ThreadsOption = None,
    json: JsonOption = None,
) -> None:
    """Write a model as one ONNX or OpenVINO file, with normalisation, decoding and suppression inside.

    Before the file is there, it and the model are asked about the same pictures, of many sizes, one and three
    at a time; where they differ nothing is written. What to do with a picture before the network is stored in
    the file, and beside it as JSON. Needs: pip install "neocog[export]".
    """
    from neocog.cli.progress import show_download
    from neocog.data.dataset import require_classes
    from neocog.export.model import SUFFIXES, export_model
    from neocog.export.packages import PACKAGES, require
    from neocog.export.samples import varied
    from neocog.predict import load

    use_threads(threads)
    if format in SUFFIXES:  # what else it may be is said by the library
        check_file("--out", out, SUFFIXES[format], overwrite=overwrite)
        require(*PACKAGES[format])
    file = output(json)
    predictor = load(run, precision="f32", progress=show_download(file), weights=weights)
    own = run if weights is None else None
    opened = find_pictures(own, predictor, data)
    calibration = []
    if int8:
        if opened is None:
            raise UsageError(f"--int8 is set by training pictures, and {run} has none: give --data PATH")
        require_classes(opened, predictor.classes, "the model")
        training = find_pictures(own, predictor, data, learnt=True)
        calibration = whole_pictures(training, calibrate)
    name = "generated scenes" if opened is None else f"{opened.name}, split '{opened.split}'"
    print(f"comparing on {pictures} pictures made from {name}", file=file)
    seen = varied(opened, pictures)
    compared = export_model(predictor, out, seen, format=format, calibration=calibration, threads=threads)
    print(compared.line(), file=file)
    numbers = out if format == "onnx" else out.with_suffix(".bin")
    size = f"{numbers.stat().st_size / 2**20:.1f} MiB"
    print(f"{out}: {size} of weights, described in {out.with_suffix('.json').name}", file=file)
    result = {"file": str(out), "format": format, "compared": compared.to_dict()}
    if opened is not None and int8:
        result["int8"] = measure(predictor, out, opened, len(calibration), threads, file)
    write_json(result, json)


def measure(
    predictor: Predictor, out: Path, data: Dataset, calibrated: int, threads: int | None, file: TextIO
) -> dict[str, Any]:
    """The main metric of the model in float32 and of its file in int8, printed."""
    from neocog.evaluate import evaluate
    from neocog.export.reader import Exported
    from neocog.judging import TASKS

    exported: Any = Exported(out, threads)
    before, after = (evaluate(one, data).score for one in (predictor, exported))
    metric = TASKS[predictor.task].selection
    told = " and ".join("-" if score is None else f"{score:.4f}" for score in (before, after))
    print(
        f"int8, calibrated on {calibrated} training pictures: {metric} in float32 and in int8 {told}, "
        f"on {len(data)} pictures of {data.name}, split '{data.split}'",
        file=file,
    )
    return {"calibrated_on": calibrated, "metric": metric, "float32": before, "int8": after}


def whole_pictures(data: Dataset | None, number: int) -> list[Any]:
    """The first so many pictures of a data set that can be read."""
    from neocog.errors import DataError

    found: list[Any] = []
    for index in range(0 if data is None else len(data)):
        if len(found) == number:
            break
        with suppress(DataError):
            found.append(data[index].image)  # type: ignore[index]
    return found


def find_pictures(
    run: Path | None, predictor: Predictor, data: str | None, *, learnt: bool = False
) -> Dataset | None:
    """Pictures of the data named, or of the run's own; None where these cannot be opened.

    Those that the model learnt from, or, as far as there are others, has not seen. Raises DataError where
    the data named cannot be opened.
    """
    from neocog.data.open import open_data, splits_of
    from neocog.errors import NeocogError
    from neocog.run_data import read_run_data

    def open_first(path: str, unseen: Sequence[str], **how: Any) -> Dataset:
        splits = ("train",) if learnt else (*unseen, "train")
        split = next((one for one in splits if one in splits_of(path)), splits[0])
        return open_data(path, split, task=predictor.task, **how)

    if data is not None:
        return open_first(data, ("val", "test"))
    try:
        stored = None if run is None else read_run_data(run)
        if stored is None:  # a published model, or a model folder
            return None
        how = {"main": stored.main, "ignore_label": stored.ignore_label}
        return open_first(stored.data, stored.unseen_splits, **how)
    except NeocogError:  # data that have gone
        return None
