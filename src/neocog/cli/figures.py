"""`neocog figures`: draw the figures of the course."""

from __future__ import annotations

from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from neocog.cli.common import (
    JsonOption,
    ThreadsOption,
    check_above,
    output,
    print_table,
    use_threads,
    write_json,
)
from neocog.errors import CheckpointError, Interrupted, UsageError

if TYPE_CHECKING:
    from neocog.run_figures import RunEntry

EXAMPLE = "Example: neocog figures max-pooling dilation --out figures"


def figures(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="Which (default: all but of trained models)."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for the files; without it a list is shown."),
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            "--format", metavar="LIST", help="Of svg, png, gif, html; moving figures have the last two too."
        ),
    ] = "svg,png,gif,html",
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            metavar="PATH",
            help="The run's folder, or that of a comparison, that the one figure of trained models is drawn "
            "from (default: what it needs is trained first, in DIR/NAME-run).",
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            metavar="M",
            help="Budget of each model that is trained first (default: 3, or 15 beside DeconvNet).",
        ),
    ] = None,
    threads: ThreadsOption = None,
    json: JsonOption = None,
) -> None:
    """Draw the figures of the course from numbers computed here and now.

    Those of trained models are drawn where they are named: from `--run`, or from what is trained first.
    """
    from neocog.pictures.figure import FORMATS
    from neocog.pictures.figures import FIGURES
    from neocog.run_figures import RUN_FIGURES
    from neocog.zoo import known

    every: dict[str, Any] = {**FIGURES, **RUN_FIGURES}
    file = output(json)
    wanted = [known(name, every, "figure") for name in dict.fromkeys(names or ())]
    kinds = [known(kind.strip(), FORMATS, "format") for kind in formats.split(",")]
    trained = [name for name in wanted if name in RUN_FIGURES]
    _check_source(run, minutes, trained)
    if out is None:
        listed = wanted or list(every)
        needs = {name: RUN_FIGURES[name].needs if name in RUN_FIGURES else None for name in listed}
        rows = [[name, every[name].title, needs[name]] for name in listed]
        print_table(["figure", "shows", "needs"], rows, file=file)
        print("give --out DIR to draw them", file=file)
        write_json({name: {"title": every[name].title, "needs": needs[name]} for name in listed}, json)
        return
    check_above(out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file; give a folder")
    sources = {name: run or out / f"{name}-run" for name in trained}
    for name, source in sources.items():
        if run is None and RUN_FIGURES[name].compares and source.exists():
            raise UsageError(f"{source}: exists already; draw from it with --run {source}, or remove it")
    use_threads(threads)
    record: dict[str, dict[str, Any]] = {}
    for name in wanted or FIGURES:
        entry = every[name]
        if name in trained and run is None:
            _train(entry, sources[name], minutes, threads, file)
        figure = entry.draw(sources[name]) if name in trained else entry.draw()
        paths = figure.save(out, kinds)
        print(f"{name}: {', '.join(map(str, paths)) or 'not in these formats'}", file=file)
        record[name] = {"title": entry.title, "alt": figure.alt, "files": [str(path) for path in paths]}
        if name in trained:
            record[name]["run"] = str(sources[name])
    if not wanted:
        others = ", ".join(RUN_FIGURES)
        print(f"of trained models, by name, with --run PATH or training first: {others}", file=file)
    write_json(record, json)


def _check_source(run: Path | None, minutes: float | None, trained: list[str]) -> None:
    """Raise UsageError for a `--run` or `--minutes` without use, CheckpointError for a path to nothing."""
    if run is not None and len(trained) != 1:
        named = "are named" if trained else "is named: see `neocog figures`"
        raise UsageError(f"--run is for one figure of trained models, and {len(trained) or 'none'} {named}")
    if minutes is not None and (run is not None or not trained):
        unused = "nothing is trained with --run" if run else "no figure of trained models is named"
        raise UsageError(f"--minutes: {unused}")
    if run is not None and not run.exists():
        raise CheckpointError(f"{run}: no such run or comparison")


def _train(entry: RunEntry, folder: Path, minutes: float | None, threads: int | None, file: TextIO) -> None:
    """Train what a figure needs in this folder, as `neocog train` or `neocog compare` do.

    The run of one model that was interrupted is gone on with.
    """
    from neocog.cli.compare import compare
    from neocog.cli.train import train

    minutes = entry.minutes if minutes is None else minutes
    with redirect_stdout(file):  # which is where these verbs tell people how far they are
        if entry.compares:
            compare(folder, list(entry.models), data=entry.data, minutes=minutes, threads=threads)
            return
        resume = folder.exists()
        try:
            train(entry.models[0], entry.data, folder, minutes=minutes, threads=threads, resume=resume)
        except Interrupted as error:
            raise Interrupted(f"{folder}: interrupted; the same command goes on from there") from error
