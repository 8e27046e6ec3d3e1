"""`neocog export`: a trained model as a file for another runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neocog.cli.common import JsonOption, ThreadsOption, check_file, output, use_threads, write_json

if TYPE_CHECKING:
    from neocog.data.dataset import Dataset
    from neocog.predict import Predictor

EXAMPLE = "Example: neocog export runs/first --format onnx --out first.onnx"

SPLITS = ("val", "test", "train")
"""Where pictures to compare on are looked for, in this order."""


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, a model folder or coco:NAME.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The file to write: .onnx, or .xml for openvino.")
    ],
    format: Annotated[
        str, typer.Option("--format", metavar="onnx|openvino", help="What the file is for.")
    ] = "onnx",
    data: Annotated[
        str | None,
        typer.Option(
            "--data", metavar="PATH", help="Pictures to compare on (default: the run's; else generated ones)."
        ),
    ] = None,
    pictures: Annotated[
        int, typer.Option("--pictures", min=1, metavar="N", help="How many of them to compare on.")
    ] = 24,
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
    from neocog.export.model import SUFFIXES, export_model
    from neocog.export.samples import varied
    from neocog.predict import load

    use_threads(threads)
    if format in SUFFIXES:  # what else it may be is said by the library
        check_file("--out", out, SUFFIXES[format], overwrite=overwrite)
    file = output(json)
    predictor = load(run, precision="f32", progress=show_download(file))
    opened = find_pictures(run, predictor, data)
    name = "generated scenes" if opened is None else f"{opened.name}, split '{opened.split}'"
    print(f"comparing on {pictures} pictures made from {name}", file=file)
    compared = export_model(predictor, out, varied(opened, pictures), format=format, threads=threads)
    print(compared.line(), file=file)
    print(f"{out}: {out.stat().st_size / 2**20:.1f} MiB; {out.with_suffix('.json').name} says how", file=file)
    write_json({"file": str(out), "format": format, "compared": compared.to_dict()}, json)


def find_pictures(run: Path, predictor: Predictor, data: str | None) -> Dataset | None:
    """The data named, or the run's own where it can be opened; None if not. DataError for what was named."""
    from neocog.cli.evaluate import data_of
    from neocog.data.open import open_data, splits_of
    from neocog.errors import NeocogError

    def open_first(path: str, **how: Any) -> Dataset:
        split = next((one for one in SPLITS if one in splits_of(path)), SPLITS[0])
        return open_data(path, split, task=predictor.task, **how)

    if data is not None:
        return open_first(data)
    try:
        stored = data_of(run / "run.json")
        return open_first(
            stored["data"], main=stored["main"] or "largest", ignore_label=stored["ignore_label"]
        )
    except NeocogError:  # a model folder, or data that have gone
        return None
