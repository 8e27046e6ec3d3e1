"""`neocog data`: check a data set, write generated scenes to files, convert between formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from neocog.cli.common import JsonOption, output, print_table, write_json
from neocog.cli.counting import progress
from neocog.errors import DataError

if TYPE_CHECKING:
    from neocog.data.check import CheckResult

app = typer.Typer(help="Check, make and convert data sets.")

MOST_PAIRS = 10
"""Pairs of equal pictures that are named; the rest are counted."""


@app.command(epilog="Example: neocog data check photos --strict --json check.json")
def check(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Folder or file of a data set.")],
    strict: Annotated[bool, typer.Option("--strict", help="Fail if anything would be left out.")] = False,
    format: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="voc, coco or yolo (default: by looking).")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Read all of a data set and report every fault.

    Nothing is written to it. Exit code 0 when training would start (faulty records are left out and
    counted), 3 when it would not, or with --strict when anything would be left out.
    """
    from neocog.data import check as checking

    with progress(f"checking {path}") as report:
        result = checking.check(path, format, report)
    _show(result, output(json))
    write_json(result.to_dict(), json)
    reason = result.stopped(strict)
    if reason:
        raise DataError(reason)


def _show(result: CheckResult, file: TextIO) -> None:
    """The result as tables, then every fault as a line."""
    names = [split.split for split in result.splits]
    print(f"{result.path}: {result.format}, {len(result.classes)} classes", file=file)
    rows = [(s.split, s.images, s.background, s.boxes, s.ignored) for s in result.splits]
    _table(("split", "images", "without objects", "boxes", "ignored"), rows, file)
    _table(
        ("class", *(f"{name} {kind}" for name in names for kind in ("images", "boxes"))),
        result.class_rows(),
        file,
    )
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
        print("\ntraining would start", file=file)


def _table(headings: Sequence[str], rows: Sequence[Sequence[object]], file: TextIO) -> None:
    print(file=file)
    print_table(headings, rows, file=file)


def _pairs(what: str, pairs: Sequence[tuple[str, str]], file: TextIO) -> None:
    if pairs:
        print(f"\n{what}: {len(pairs)}", file=file)
    for first, second in pairs[:MOST_PAIRS]:
        print(f"  {first} = {second}", file=file)
