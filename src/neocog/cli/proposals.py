"""`neocog proposals`: selective search in every picture of a split, and how much of the truth it covers."""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from neocog.cli.common import (
    JsonOption,
    ThreadsOption,
    output,
    prepare_out,
    print_table,
    use_threads,
    write_json,
)
from neocog.cli.counting import progress
from neocog.cli.training import OutOption, OverwriteOption, StrictOption
from neocog.errors import DataError, UsageError
from neocog.files import disk_errors

if TYPE_CHECKING:
    from neocog.data.dataset import Dataset
    from neocog.metrics.proposals import RecallResult
    from neocog.proposals.search import SearchOptions
    from neocog.types import Proposals

EXAMPLE = "Example: neocog proposals scenes --split val --count 100 --mode quality --out runs/proposals"
_DECADE = (10, 15, 20, 30, 50, 70)
COUNTS = (1, 2, 3, 5, 7, *(scale * count for scale in (1, 10, 100) for count in _DECADE), 10000)
"""Numbers of proposals on the curves, up to --most."""

TOLD = (10, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
"""Numbers of proposals in the table, besides --most."""


def proposals(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A data set, or scenes[:level].")],
    out: OutOption,
    mode: Annotated[
        str, typer.Option("--mode", metavar="fast|quality", help="8 hierarchies a picture, or 80.")
    ] = "fast",
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Which split.")] = "train",
    most: Annotated[int, typer.Option("--most", min=1, metavar="N", help="Boxes kept a picture.")] = 2000,
    longest: Annotated[
        int, typer.Option("--longest", metavar="PX", help="Larger pictures are shrunk to this first.")
    ] = 500,
    shortest: Annotated[
        float,
        typer.Option("--shortest", metavar="X", help="Least side of a box, as a share of the longer side."),
    ] = 0.04,
    count: Annotated[
        int | None,
        typer.Option("--count", min=1, metavar="N", help="Pictures, spread evenly (default: all)."),
    ] = None,
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
    strict: StrictOption = False,
    json: JsonOption = None,
) -> None:
    """Find boxes that may hold an object, by selective search, and measure what they cover.

    In --out: the boxes (`proposals.jsonl`), `recall.json`, and `report.html` with curves and pictures.
    Nothing is random, and the data set is only read.
    """
    use_threads(threads)
    _proposals(path, out, split, _options(mode, longest, shortest, most), count, overwrite, strict, json)


def _proposals(
    path: str,
    out: Path,
    split: str,
    options: SearchOptions,
    count: int | None,
    overwrite: bool,
    strict: bool,
    json: str | None,
) -> None:
    from neocog.cli.proposal_report import write_report
    from neocog.cli.tables import print_data
    from neocog.data.open import open_data
    from neocog.metrics.proposals import proposal_recall
    from neocog.showing import spaced

    data = open_data(path, split, strict=strict)
    if not len(data):
        raise DataError(f"{data.name}: no images in the split '{data.split}'; choose another split")
    _keep_out(out, data)
    folder = prepare_out(out, overwrite=overwrite)
    file = output(json)
    print_data(data, file)
    indices = spaced(len(data), count or len(data))
    with progress(f"searching {data.name}") as report:
        found = _search(data, indices, options, folder / "proposals.jsonl", strict, report)
    result = proposal_recall(
        [data.objects(index) for index in found.indices],
        found.proposals,
        data.classes,
        sorted({*(number for number in COUNTS if number < options.most), options.most}),
    )
    document = _document(data, options, found, result)
    write_json(document, str(folder / "recall.json"))
    write_report(folder / "report.html", data, found.indices, found.proposals, result, document)
    for line in found.faults:
        print(f"  {line} (skipped)", file=file)
    _show(document, result, file)
    print(f"boxes: {folder / 'proposals.jsonl'}   report: {folder / 'report.html'}", file=file)
    write_json(document, json)


@dataclass(frozen=True)
class _Found:
    """What came of the pictures that could be read."""

    indices: list[int]
    proposals: list[Proposals]
    seconds: list[float]
    faults: list[str]  # pictures that could not be read, one line each


def _options(mode: str, longest: int, shortest: float, most: int) -> SearchOptions:
    from neocog.proposals.search import STRATEGIES, SearchOptions
    from neocog.zoo import known

    known(mode, STRATEGIES, "mode")
    try:
        return SearchOptions(mode, longest, shortest, most)  # type: ignore[arg-type]
    except ValueError as error:
        raise UsageError(f"--{error}") from error


def _keep_out(out: Path, data: Dataset) -> None:
    """Raise UsageError for an `--out` inside the data set, which is never written to."""
    root = getattr(data, "root", None)
    if root is not None and root.is_dir() and out.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"--out {out}: lies in the data set, which is only read; give another folder")


def _search(
    data: Dataset, indices: list[int], options: SearchOptions, boxes: Path, strict: bool, report: Any
) -> _Found:
    """Search these pictures, as many at a time as there are threads, and write their boxes in order."""
    from neocog.data.loader import FAULT_LIMIT

    found = _Found([], [], [], [])
    with disk_errors(boxes), boxes.open("w", encoding="utf-8") as file:
        for done, (index, one, fault) in enumerate(_one_by_one(data, indices, options), 1):
            if one is None:
                if strict:
                    raise DataError(f"{fault} (strict reading allows none)")
                found.faults.append(fault)
                if len(found.faults) > FAULT_LIMIT * len(indices):
                    raise DataError(
                        f"{data.name}: more than {FAULT_LIMIT:.0%} of {len(indices)} pictures cannot be "
                        f"read; run `neocog data check` on it. The last: {fault}"
                    )
            else:
                seconds, proposals = one
                found.indices.append(index)
                found.proposals.append(proposals)
                found.seconds.append(seconds)
                file.write(_line(data, index, proposals))
            report(done, len(indices))
    return found


_One = tuple[int, tuple[float, "Proposals"] | None, str]


def _one_by_one(data: Dataset, indices: list[int], options: SearchOptions) -> Iterator[_One]:
    """Index, time with proposals (None where the picture cannot be read) and fault, in order."""
    import numpy as np
    import torch

    from neocog.proposals.search import selective_search

    def search(index: int) -> _One:
        try:
            image = data[index].image
        except DataError as error:
            return index, None, str(error)
        began = time.perf_counter()
        proposals = selective_search(image, options)
        return index, (time.perf_counter() - began, proposals), ""

    selective_search(np.zeros((8, 8, 3), np.uint8), options)  # kernels load, and are no part of the times
    pool = ThreadPoolExecutor(torch.get_num_threads())
    try:
        yield from pool.map(search, indices)
    finally:
        pool.shutdown(cancel_futures=True)


def _line(data: Dataset, index: int, proposals: Proposals) -> str:
    """One line of `proposals.jsonl`."""
    height, width = data.size(index)
    boxes = [[round(value, 2) for value in box] for box in proposals.boxes.tolist()]
    record = {"image": data.identity(index), "width": width, "height": height, "boxes": boxes}
    return json_module.dumps(record, separators=(",", ":")) + "\n"


def _document(data: Dataset, options: SearchOptions, found: _Found, result: RecallResult) -> dict[str, Any]:
    """The content of `recall.json`."""
    import torch

    return {
        "data": data.name,
        "split": data.split,
        "options": asdict(options),
        "threads": torch.get_num_threads(),
        "ms_per_image": 1000 * median(found.seconds) if found.seconds else None,
        "skipped": found.faults,
        **result.to_dict(),
    }


def _show(document: dict[str, Any], result: RecallResult, file: TextIO) -> None:
    lost = f", {len(document['skipped'])} skipped" if document["skipped"] else ""
    print(
        f"{document['options']['mode']}: {result.images} images{lost}, {result.objects} objects; "
        f"median {document['ms_per_image']:.0f} ms and {result.proposals:.0f} boxes an image",
        file=file,
    )
    print_table(*table(result), file=file)


def table(result: RecallResult) -> tuple[list[str], list[list[object]]]:
    """Headings and rows: what the first N proposals cover."""
    headings = ["proposals", *(f"recall {t:g}" for t in result.thresholds), "average recall", "MABO"]
    rows: list[list[object]] = []
    for place, number in enumerate(result.counts):
        if number in TOLD or number == result.counts[-1]:
            values = [*result.recall[:, place], result.average_recall[place], result.mabo[place]]
            rows.append([number, *("-" if value != value else f"{value:.3f}" for value in values)])
    return headings, rows
