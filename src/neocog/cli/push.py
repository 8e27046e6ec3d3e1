"""`neocog push`: a trained model to the Hugging Face hub, or to a folder as it would be there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from neocog.cli.common import JsonOption, check_above, output, write_json
from neocog.errors import UsageError

EXAMPLE = "Example: neocog push runs/first --out to-give-away, then: neocog push to-give-away --to ORG/NAME"


def push(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder or a model folder.")],
    to: Annotated[
        str | None, typer.Option("--to", metavar="ORG/NAME", help="Upload it as this model of the hub.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write what would be uploaded here instead; new or empty."),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--licence", metavar="ID", help="Of the weights, as the hub names it: apache-2.0, mit, ..."
        ),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option("--dataset", metavar="NAME", help="The hub's name of data it learnt from (repeatable)."),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Where --to makes a repository, make it a private one.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Give a trained model away: `config.json`, `model.safetensors` and a model card, and nothing else.

    The card is written from the run: its data, measures and limits. A licence is stated only if it is given.
    """
    from neocog.hub import prepare_gift, upload

    if (to is None) == (out is None):
        raise UsageError("give --to ORG/NAME to upload the model, or --out DIR to see what would be uploaded")
    file, address = output(json), None
    with tempfile.TemporaryDirectory(prefix="neocog-push-") as temporary:
        if out is not None:
            check_above(out)
        gift = prepare_gift(run, out or Path(temporary), licence, dataset or [])
        for name, size in gift.sizes.items():
            print(f"{name}: {size:,} bytes", file=file)
        for path in gift.removed:
            print(f"of {path} only the name is given away", file=file)
        if licence is None:
            print("no --licence was given, and the card states none that was not there", file=file)
        if to is not None:
            address = upload(gift, to, private=private)
    print(f"model: {address or out}", file=file)
    result = {
        "files": gift.sizes,
        "removed": list(gift.removed),
        "folder": out and str(out),
        "address": address,
    }
    write_json(result, json)
