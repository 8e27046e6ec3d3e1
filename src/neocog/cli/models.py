"""`neocog models` and `neocog summary`: what there is, and what it is made of."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from neocog.cli.common import JsonOption, output, print_table, write_json

SUMMARY_EXAMPLE = "Example: neocog summary faster-rcnn --backbone compact --size 320 --classes 3"


def models(json: JsonOption = None) -> None:
    """List the models and the backbones they run on."""
    from neocog.defaults import BACKBONES
    from neocog.zoo import MODELS

    file = output(json)
    rows: list[list[object]] = [
        [name, str(entry.task), entry.summary, entry.paper] for name, entry in MODELS.items()
    ]
    print_table(["model", "task", "what it is", "paper"], rows, file=file)
    print(f"backbones: {', '.join(BACKBONES)}", file=file)
    document = {
        name: {"task": str(e.task), "backbones": list(e.backbones), "summary": e.summary, "paper": e.paper}
        for name, e in MODELS.items()
    }
    write_json({"models": document, "backbones": list(BACKBONES)}, json)


def summary(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model or a backbone.")],
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", metavar="NAME", help="Of a model (default: compact, or its only one)."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            "--size", min=8, metavar="PX", help="Side of the square input (default: usual, at most 224)."
        ),
    ] = None,
    classes: Annotated[int, typer.Option("--classes", min=1, metavar="N", help="Number of classes.")] = 20,
    json: JsonOption = None,
) -> None:
    """Layers, shapes, parameters, receptive field and multiply-adds of a network."""
    from dataclasses import asdict

    from neocog.defaults import BACKBONES
    from neocog.ops.summary import summarize
    from neocog.types import blank_batch
    from neocog.zoo import MODELS, create, known, usual_side

    file = output(json)
    more = 0.0  # for each region from outside
    if known(model, [*MODELS, *BACKBONES], "model") in MODELS:
        backbone = known(backbone or MODELS[model].backbones[0], MODELS[model].backbones, "backbone")
        size = size or min(usual_side(model, backbone), 224)
        network: Any = create(model, classes, backbone, side=size)
        result = summarize(network, blank_batch((size, size), regions=1))
        if getattr(network, "search", None) is not None:
            more = summarize(network, blank_batch((size, size), regions=2)).gflops - result.gflops
    else:
        size = size or 224
        result = summarize(BACKBONES[model].build(), size)
    rows: list[list[object]] = []
    for row in result.rows:
        field = row.field
        seen = "-" if field is None else f"{field.size} / {field.jump} / {field.start:g}"
        shape = " x ".join(str(side) for side in row.shape[1:]) or "-"
        rows.append([row.name, row.kind, shape, row.parameters, row.multiply_adds / 1e6, seen])
    headings = ["layer", "type", "output", "parameters", "multiply-adds M", "field / jump / start"]
    print_table(headings, rows, title=f"{model}, input {size} x {size} px", file=file)
    print(
        f"{result.parameters:,} parameters, {result.gflops:.3f} G multiply-adds, "
        f"{result.activation_bytes / 2**20:.1f} MiB of layer outputs",
        file=file,
    )
    if more:
        print(f"with one region; each more of them adds {more:.4f} G multiply-adds", file=file)
    write_json(asdict(result) | {"gflops": result.gflops, "gflops_a_region": more}, json)
