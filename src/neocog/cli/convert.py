"""`neocog convert-weights`: a foreign file of weights as safetensors and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neocog.cli.common import JsonOption, output, write_json
from neocog.errors import UsageError

EXAMPLE = "Example: neocog convert-weights resnet18.pth resnet18, then: neocog train ... --weights resnet18"


def convert_weights(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A state dict that torch.save wrote.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write; new or empty.")],
    key: Annotated[
        str, typer.Option("--key", metavar="NAME", help="Take this entry of FILE, if it holds several.")
    ] = "",
    model: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="NAME",
            help="FILE is a published model of this name, such as ssd or ssd300_vgg16: DIR becomes a model "
            "folder.",
        ),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Convert a foreign file of weights (.pt, .pth) to safetensors, without running what is in it.

    It is read in a process of its own that can open nothing, start nothing and reach no network. DIR gets
    `weights.safetensors` and `MANIFEST.json` with its size and SHA-256, and is what `--weights` takes.

    With --as, DIR becomes a model folder instead, which predict, evaluate and `neocog.load` take.
    """
    from neocog.convert import convert_weights as convert

    if model is not None:
        _convert_model(model, source, folder, key, json)
        return
    done = convert(source, folder, key)
    print(
        f"{done.path}: {done.tensors} tensors, {done.bytes / 2**20:.1f} MiB, SHA-256 {done.sha256}",
        file=output(json),
    )
    result = {"path": str(done.path), "tensors": done.tensors, "bytes": done.bytes, "sha256": done.sha256}
    write_json(result, json)


def _convert_model(name: str, source: Path, folder: Path, key: str, json: str | None) -> None:
    from neocog.published import TRAINED, convert_model, published_name

    if key:
        raise UsageError("--key: a published model is a plain state dict; leave it out, or leave out --as")
    tensors = convert_model(name, source, folder)
    entry = TRAINED[published_name(name)]
    print(f"{folder}: {entry.model} on {entry.backbone}, {tensors} tensors", file=output(json))
    result = {"path": str(folder), "tensors": tensors, "model": entry.model, "backbone": entry.backbone}
    write_json(result, json)
