"""`neocog figures`: draw the figures of the course."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neocog.cli.common import JsonOption, check_above, output, print_table, write_json
from neocog.errors import UsageError

EXAMPLE = "Example: neocog figures max-pooling dilation --out figures"


def figures(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME...", help="Which (default: all but of trained models)."),
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
    json: JsonOption = None,
) -> None:
    """Draw the figures of the course from numbers computed here and now."""
    from neocog.pictures.figure import FORMATS
    from neocog.pictures.figures import FIGURES
    from neocog.zoo import known

    file = output(json)
    wanted = [known(name, list(FIGURES), "figure") for name in names or FIGURES]
    kinds = [known(kind.strip(), FORMATS, "format") for kind in formats.split(",")]
    if out is None:
        print_table(["figure", "shows"], [[name, FIGURES[name].title] for name in wanted], file=file)
        print("give --out DIR to draw them", file=file)
        write_json({name: {"title": FIGURES[name].title} for name in wanted}, json)
        return
    check_above(out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file; give a folder")
    record = {}
    for name in wanted:
        figure = FIGURES[name].draw()
        paths = figure.save(out, kinds)
        print(f"{name}: {', '.join(map(str, paths)) or 'not in these formats'}", file=file)
        record[name] = {
            "title": FIGURES[name].title,
            "alt": figure.alt,
            "files": [str(path) for path in paths],
        }
    write_json(record, json)
