"""`neocog predict`: answers to files, folders and globs, as JSON and as drawn pictures."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from neocog.cli.common import (
    DeviceOption,
    JsonOption,
    PredictPrecisionOption,
    ThreadsOption,
    as_json,
    check_out,
    output,
    prepare_out,
    processes,
    settle_precision,
    use_threads,
    write_json_pieces,
)
from neocog.cli.signals import Stop, interrupts
from neocog.cli.training import OutOption, OverwriteOption, PublishedOption, ResumeOption, StrictOption
from neocog.errors import DataError, Interrupted, UsageError
from neocog.files import write_atomic, write_pieces

if TYPE_CHECKING:
    from neocog.cli.predicting import Work
    from neocog.distributed.peers import Peers
    from neocog.shards import Shards

MOST_STEM = 200
"""Bytes of a drawn picture's stem: a name has 255, and needs a number and a suffix."""

EXAMPLE = "Example: neocog predict runs/first photos/ 'more/*.jpg' --out found --conf 0.5"


def predict(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run folder or a model folder; with --weights, a model's name."),
    ],
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="SOURCE...", help="Images, folders or globs.")
    ] = None,
    out: OutOption = Path("predictions"),
    weights: PublishedOption = None,
    listed: Annotated[
        str | None,
        typer.Option("--list", metavar="FILE", help="More sources, one a line (-: standard input)."),
    ] = None,
    conf: Annotated[
        float,
        typer.Option(
            "--conf", min=0.0, max=1.0, metavar="X", help="Lowest score of a detection that is reported."
        ),
    ] = 0.5,
    draw: Annotated[bool, typer.Option("--draw/--no-draw", help="Draw a PNG of each picture.")] = True,
    readers: Annotated[
        int,
        typer.Option(
            "--workers", min=0, max=64, metavar="N", help="Threads that read pictures ahead (0: none)."
        ),
    ] = 1,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    strict: StrictOption = False,
    threads: ThreadsOption = None,
    device: DeviceOption = "auto",
    precision: PredictPrecisionOption = "f32",
    json: JsonOption = None,
) -> None:
    """What a model says of pictures: `predictions.json` and a drawn PNG for each, in --out.

    A segmenter also leaves its masks, as PNGs whose grey levels are the classes' numbers, in `masks/`. What
    came of each picture is recorded at once, a line each in `predictions.jsonl`; after Ctrl-C, SIGTERM,
    SIGHUP or a kill --resume goes on from there.
    """
    from neocog.cli.predicting import Work
    from neocog.cli.progress import show_download
    from neocog.predict import load

    use_threads(threads)
    with interrupts() as signals, processes(device) as peers:
        if peers.first:
            check_out(out, overwrite=overwrite, resume=resume, reads=[run, *(sources or ())])
        file = output(json, peers.first)
        precision = peers.spread(settle_precision(precision, run, peers.device, file))
        predictor = load(run, peers.device, precision, progress=show_download(file), weights=weights)
        paths = list(find_images([*(sources or ()), *_read_list(listed, peers)]))
        work = Work(predictor, paths, drawn_names(paths), out, conf, draw, strict, readers, weights)
        shards, stop = _open(run, work, peers, resume=resume, overwrite=overwrite), Stop()
        signals.watch(stop)
        _predict(work, shards, peers, stop, file)
        if peers.first:
            _put_together(run, work, shards, json, file)


def _open(run: Path, work: Work, peers: Peers, *, resume: bool, overwrite: bool) -> Shards:
    """The records of this job, in a folder that is there now: those of an earlier time, or none yet."""
    from neocog.cli.predicting import JOB, describe, is_there, require_readable
    from neocog.distributed.shared import require_shared
    from neocog.shards import Shards

    out, job = work.out, describe(run, work)
    peers.require_same(job, "model and pictures")
    if peers.first and not (resume and is_there(out, job)):
        require_readable(work)
        folders = {Path(path).parent for path in work.paths}
        check_out(out, overwrite=overwrite, resume=resume, reads=folders)
        prepare_out(out, overwrite=overwrite, resume=resume)
        write_atomic(out / JOB, as_json(job))
    require_shared(out, peers)
    return Shards(out, "predictions", len(work.paths), peers.share)


def _predict(work: Work, shards: Shards, peers: Peers, stop: Stop, file: TextIO) -> None:
    """Do together what is not done yet. Raises Interrupted, in all processes, if one was told to stop."""
    from neocog.cli.predicting import share

    todo: list[int] = peers.spread(shards.take_up() if peers.first else [])
    every, before, mine = len(work.paths), len(work.paths) - len(todo), 0
    if before:
        print(f"resumed: {before} of {every} pictures are done", file=file)
    for number, record, line in work.predict(share(todo, peers, lambda: stop.stopped)):
        shards.append(number, record)
        mine += 1
        if peers.size == 1 or "skipped" not in record:  # several: those of all are told of at the end
            print(line, file=file)
    shards.flush()
    done = before + peers.total(mine)
    if peers.any(stop.stopped):
        raise Interrupted(f"interrupted: {done} of {every} pictures are done; --resume goes on from there")


def _put_together(run: Path, work: Work, shards: Shards, json: str | None, file: TextIO) -> None:
    """Leave the records in order, and `predictions.json`."""
    from neocog.cli.predicting import RESULT, document, skipped

    shards.merge()
    result = work.out / RESULT
    write_pieces(result, document(str(run), work.weights, work.conf, shards))
    if json is not None:
        write_json_pieces(document(str(run), work.weights, work.conf, shards), json)
    lost = 0
    for fault in skipped(shards):
        lost += 1
        if shards.share[1] > 1:
            print(f"{fault} (skipped)", file=file)
    told = f", {lost} skipped" if lost else ""
    print(f"{len(work.paths) - lost} pictures{told}: {result}", file=file)


def _read_list(target: str | None, peers: Peers) -> list[str]:
    """The sources that a file, or standard input, has a line of each; the first process reads it."""
    from neocog.data.files import data_errors

    if target is None:
        return []
    lines: list[str] = []
    if peers.first:
        with data_errors(Path(target)):
            data = sys.stdin.buffer.read() if target == "-" else Path(target).read_bytes()
        lines = [line for line in os.fsdecode(data).splitlines() if line.strip()]
    return peers.spread(lines)


def find_images(sources: Iterable[str]) -> Iterator[str]:
    """Image files of all sources, in order: files as they are, folders and globs sorted by name."""
    from neocog.data.files import data_errors

    nothing = True
    for source in sources:
        nothing = False
        with data_errors(Path(source)):
            found = _found(source)
        if not found:
            folder = Path(source).is_dir()
            reason = "no images in this folder" if folder else "no such file, and no file matches it"
            raise DataError(f"{source}: {reason}")
        yield from found
    if nothing:
        raise UsageError("no pictures: give files, folders or globs, or --list FILE with a line of each")


def _found(source: str) -> list[str]:
    from neocog.data.files import images_below

    path = Path(source)
    if path.is_dir():
        names = sorted(images_below(path), key=lambda name: name.split("/"))
        return [str(path / name) for name in names]
    if path.exists():
        return [str(path)]
    return [str(one) for one in sorted(Path(name) for name in glob.glob(source, recursive=True))]  # noqa: PTH207


def drawn_names(paths: Iterable[str]) -> list[str]:
    """A PNG name for each picture; numbered where two pictures have one name, and cut to what disks take."""
    names: list[str] = []
    taken: set[str] = set()
    counts: dict[str, int] = {}  # how far the numbers of a name have come
    for path in paths:
        stem = Path(path).stem
        while len(os.fsencode(stem)) > MOST_STEM:
            stem = stem[:-1]
        count = counts.get(stem.lower(), 1)
        name = f"{stem}.png" if count == 1 else f"{stem}-{count}.png"
        while name.lower() in taken:
            count += 1
            name = f"{stem}-{count}.png"
        taken.add(name.lower())
        names.append(name)
        if count > 1:
            counts[stem.lower()] = count
    return names
