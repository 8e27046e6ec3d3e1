"""`neocog data`: check a data set, write generated scenes to files, convert between formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from neocog.cli.common import JsonOption, SeedOption, output, print_table, write_json
from neocog.cli.counting import progress
from neocog.errors import DataError

if TYPE_CHECKING:
    from neocog.data.check import CheckResult
    from neocog.data.dataset import Dataset

app = typer.Typer(help="Check, make and convert data sets.")

KINDS = "voc, coco, yolo, masks or folders."

IgnoreOption = Annotated[
    int | None,
    typer.Option("--ignore-label", metavar="N", help="A number in masks that means ignored, besides 255."),
]

MOST_PAIRS = 10
"""Pairs of equal pictures that are named; the rest are counted."""


@app.command(epilog="Example: neocog data check photos --strict --json check.json")
def check(
    path: Annotated[str, typer.Argument(metavar="PATH", help="Folder or file of a data set.")],
    strict: Annotated[bool, typer.Option("--strict", help="Fail if anything would be left out.")] = False,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="voc, coco, yolo, masks, folders or idx (default: by looking).",
        ),
    ] = None,
    ignore_label: IgnoreOption = None,
    json: JsonOption = None,
) -> None:
    """Read all of a data set and report every fault.

    Nothing is written to it. Exit code 0 when training would start (faulty records are left out and
    counted), 3 when it would not, or with --strict when anything would be left out.
    """
    from neocog.data import check as checking

    with progress(f"checking {path}") as report:
        result = checking.check(path, format, report, ignore_label)
    _show(result, output(json))
    write_json(result.to_dict(), json)
    reason = result.stopped(strict)
    if reason:
        raise DataError(reason)


@app.command(epilog="Example: neocog data scenes pictures --format coco --count 1000")
def scenes(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write; new or empty.")],
    format: Annotated[str, typer.Option("--format", metavar="NAME", help=KINDS)] = "voc",
    count: Annotated[
        int,
        typer.Option(
            "--count", min=1, metavar="N", help="Pictures to train on; a tenth each to val and test."
        ),
    ] = 4000,
    level: Annotated[str, typer.Option("--level", metavar="NAME", help="std, hard, single, pairs.")] = "std",
    size: Annotated[int, typer.Option("--size", min=32, metavar="PX", help="Side of the pictures.")] = 128,
    seed: SeedOption = 0,
    json: JsonOption = None,
) -> None:
    """Write generated scenes to files.

    The pictures are those of `--data scenes`, with their splits. The format decides the truth: boxes (voc,
    coco, yolo), a class for every pixel (masks), or the class of the main object (folders).
    """
    from neocog.data.scenes import Scenes
    from neocog.data.write import FORMATS
    from neocog.types import Task

    counts = {"train": count, "val": max(1, count // 10), "test": max(1, count // 10)}
    task = FORMATS.get(format, Task.DETECT)
    splits = {split: Scenes(level, split, number, seed, size, task) for split, number in counts.items()}
    _write(splits, folder, format, json)


@app.command(epilog="Example: neocog data convert photos photos-coco --format coco")
def convert(
    source: Annotated[str, typer.Argument(metavar="SRC", help="A data set, or scenes[:level].")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write; new or empty.")],
    format: Annotated[str, typer.Option("--format", metavar="NAME", help=KINDS)],
    known: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="Format of SRC (default: by looking).")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if anything would be left out.")] = False,
    ignore_label: IgnoreOption = None,
    json: JsonOption = None,
) -> None:
    """Write a data set again in another format.

    Splits and classes are kept, and files of pictures are copied as they are. The format must be one of the
    same task: boxes become boxes, class folders and IDX files become class folders, masks become masks. What
    cannot be read in SRC is reported and left out, as training would.
    """
    from neocog.data.open import covers, open_data, splits_of
    from neocog.data.records import Recorded
    from neocog.data.write import FORMATS, check_source
    from neocog.types import Task

    task = FORMATS.get(format, Task.DETECT)
    check_source(source, known, format)
    names = splits_of(source, known, task)
    splits = {
        name: open_data(source, name, format=known, strict=strict, task=task, ignore_label=ignore_label)
        for name in names
    }
    files = {name: data for name, data in splits.items() if isinstance(data, Recorded)}
    if "trainval" in files and covers(files, files["trainval"]):
        del splits["trainval"]
    _write(splits, folder, format, json, strict)


def _write(
    splits: Mapping[str, Dataset], folder: Path, format: str, json: str | None, strict: bool = False
) -> None:
    """Write a data set, and say what was written and what was left out."""
    from neocog.data.records import Recorded
    from neocog.data.write import write_dataset
    from neocog.types import Task

    file = output(json)
    with progress(f"writing {folder}") as report:
        written = write_dataset(splits, folder, format, report, strict=strict)
    for data in splits.values():
        for line in data.report.lines() if isinstance(data, Recorded) else ():
            print(line, file=file)
    counts = dict(written.splits)
    sizes = ", ".join(f"{split} {count}" for split, count in counts.items())
    unmarked = (
        f"; {written.left_out} ignored objects left out, which {format} cannot mark"
        if written.left_out
        else ""
    )
    boxes = f", {written.boxes} boxes" if next(iter(splits.values())).task is Task.DETECT else ""
    print(f"{folder}: {format}, {written.images} images ({sizes}){boxes}{unmarked}", file=file)
    classes = list(next(iter(splits.values())).classes)
    write_json({"path": str(folder), "format": format, "classes": classes, **asdict(written)}, json)


def _show(result: CheckResult, file: TextIO) -> None:
    """The result as tables, then every fault as a line."""
    names = [split.split for split in result.splits]
    print(f"{result.path}: {result.format}, {len(result.classes)} classes", file=file)
    for other in result.others:
        print(f"  also {other}, which --format {other} checks", file=file)
    boxes = "boxes" in result.kinds
    rows = [(s.split, s.images, s.background, s.boxes, s.ignored)[: 5 if boxes else 2] for s in result.splits]
    _table(("split", "images", "without objects", "boxes", "ignored")[: 5 if boxes else 2], rows, file)
    _table(
        ("class", *(f"{name} {kind}" for name in names for kind in result.kinds)), result.class_rows(), file
    )
    if boxes:
        _table(("root of box area", *names), result.size_rows(), file)
        _table(("root of share of image", *names), result.share_rows(), file)
    for split in result.splits:
        if split.lines:
            print(f"\n{split.split}", file=file)
        for line in split.lines:
            print(f"  {line}", file=file)
    _pairs("the same picture twice in a split", result.identical, file)
    _pairs("the same picture in two splits", result.leaks, file)
    kinds = [(s.split, kind) for s in result.splits for kind in s.report.get("faults", ())]
    counted = [(split, kind["reason"], kind["outcome"], kind["count"]) for split, kind in kinds]
    _table(("split", "fault", "done", "count"), counted, file)
    if not result.stopped():
        flags = result.flags()
        print(f"\ntraining would start{f' with{flags}' if flags else ''}", file=file)


def _table(headings: Sequence[str], rows: Sequence[Sequence[object]], file: TextIO) -> None:
    print(file=file)
    print_table(headings, rows, file=file)


def _pairs(what: str, pairs: Sequence[tuple[str, str]], file: TextIO) -> None:
    if pairs:
        print(f"\n{what}: {len(pairs)}", file=file)
    for first, second in pairs[:MOST_PAIRS]:
        print(f"  {first} = {second}", file=file)
