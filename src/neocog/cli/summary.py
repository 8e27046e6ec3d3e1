"""`neocog summary`: what a network is made of, ours or any other."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from neocog.cli.common import JsonOption, check_file, output, print_table, write_json
from neocog.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from neocog.ops.summary import Summary

SIDE = 224
"""Pixels a side of pictures where nothing else is said."""

EXAMPLE = "Example: neocog summary resnet50 --classes 1000 --svg resnet50.svg"


def summary(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model or a backbone; or a torch.nn.Module of your own, or a function that makes one, "
            "as FILE.py:NAME or package.module:NAME. The code there is run.",
        ),
    ],
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
    classes: Annotated[
        int | None, typer.Option("--classes", min=1, metavar="N", help="Number of classes (default: 20).")
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="C,H,W",
            help="Shape of one input of a network of your own: 3,64,64, or 2,600, or 784 (default: what its "
            f"first layer reads, {SIDE} x {SIDE} pixels).",
        ),
    ] = None,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Draw the architecture, as SVG.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing --svg.")] = False,
    json: JsonOption = None,
) -> None:
    """Layers, shapes, parameters, memory, receptive fields and multiply-adds of a network."""
    file = output(json)
    if svg is not None:
        check_file("--svg", svg, ".svg", overwrite=overwrite)
    more = 0.0  # for each region from outside
    if ":" in model or model.endswith(".py"):
        for flag, value in (("--backbone", backbone), ("--size", size), ("--classes", classes)):
            if value is not None:
                raise UsageError(f"{flag} is for our models; a network of your own takes --input")
        result = _of_given(model, shape)
    elif shape is not None:
        raise UsageError("--input is for a network of your own; our models take --size")
    else:
        result, more = _of_ours(model, backbone, size, classes or 20)
    _print(result, model, file)
    if more:
        print(f"with one region; each more of them adds {more:.4f} G multiply-adds", file=file)
    if svg is not None:
        _draw(result, model, svg)
        print(f"picture: {svg}", file=file)
    totals = {"gflops": result.gflops, "gflops_a_region": more, "activation_bytes": result.activation_bytes}
    write_json(asdict(result) | totals, json)


def _of_ours(model: str, backbone: str | None, size: int | None, classes: int) -> tuple[Summary, float]:
    """The summary of a model or backbone of ours, and the G multiply-adds of one more region."""
    from neocog.defaults import BACKBONES
    from neocog.ops.summary import summarize
    from neocog.types import blank_batch
    from neocog.zoo import MODELS, create, known, usual_side

    if known(model, [*MODELS, *BACKBONES], "model") not in MODELS:
        return summarize(BACKBONES[model].build(), size or SIDE), 0.0
    backbone = known(backbone or MODELS[model].backbones[0], MODELS[model].backbones, "backbone")
    size = size or min(usual_side(model, backbone), SIDE)
    network: Any = create(model, classes, backbone, side=size)
    result = summarize(network, blank_batch((size, size), regions=1))
    if getattr(network, "search", None) is None:
        return result, 0.0
    return result, summarize(network, blank_batch((size, size), regions=2)).gflops - result.gflops


def _of_given(place: str, shape: str | None) -> Summary:
    """The summary of the user's own network. Raises UsageError for whatever its code raises."""
    import torch

    from neocog.cli.given import given_network, user_code
    from neocog.ops.summary import summarize

    network = given_network(place)
    sizes = _first_input(network, place) if shape is None else _shape(shape)
    weight = next((one for one in network.parameters() if one.dtype.is_floating_point), torch.zeros(0))
    written = ",".join(map(str, sizes))
    with user_code(place, f"with --input {written}"):
        return summarize(network, torch.zeros(1, *sizes, dtype=weight.dtype, device=weight.device))


def _shape(text: str) -> tuple[int, ...]:
    """The sizes in `--input`."""
    sizes = text.split(",")
    if not all(size.strip().isdecimal() and int(size) > 0 for size in sizes):
        raise UsageError(f"--input {text}: give the sizes of one input, such as 3,64,64")
    return tuple(map(int, sizes))


def _first_input(network: nn.Module, place: str) -> tuple[int, ...]:
    """The shape that the first layer with weights reads, if its type says so."""
    from torch import nn

    first = next((part for part in network.modules() if next(part.parameters(False), None) is not None), None)
    if isinstance(first, nn.Conv2d) and first.in_channels:
        return first.in_channels, SIDE, SIDE
    if isinstance(first, nn.Linear) and first.in_features:
        return (first.in_features,)
    what = (
        "it has no weights" if first is None else f"its first layer with weights is a {type(first).__name__}"
    )
    raise UsageError(f"{place}: {what}; give the shape of one input, as --input C,H,W")


def _print(result: Summary, model: str, file: TextIO) -> None:
    """The table of the layers and the totals."""
    memory, bytes_ = _unit([row.bytes + row.parameter_bytes for row in result.rows], BINARY)
    operations, adds = _unit([row.multiply_adds for row in result.rows], DECIMAL)
    rows: list[list[object]] = []
    for row in result.rows:
        field = row.field
        seen = "-" if field is None else f"{field.size} / {field.jump} / {field.start:g}"
        shape = " x ".join(str(side) for side in row.shape[1:]) or "-"
        numbers = [row.parameters, row.parameter_bytes / bytes_, row.bytes / bytes_, row.multiply_adds / adds]
        rows.append([row.name, row.kind, shape, *numbers, seen])
    headings = ["layer", "type", "output", "parameters", f"weights {memory}", f"output {memory}"]
    headings += [f"multiply-adds {operations}".strip(), "field / jump / start"]
    print_table(headings, rows, title=f"{model}, input {' x '.join(map(str, result.input[1:]))}", file=file)
    weights, outputs = result.parameter_bytes, result.activation_bytes
    totals = [
        f"{result.parameters:,} parameters ({_amount(weights, BINARY)})",
        f"{_amount(result.multiply_adds, DECIMAL)} multiply-adds",
        f"{_amount(outputs, BINARY)} of layer outputs",
    ]
    print(", ".join(totals), file=file)


BINARY = {"MiB": 2**20, "KiB": 2**10, "B": 1}
DECIMAL = {"G": 10**9, "M": 10**6, "k": 10**3, "": 1}


def _unit(values: list[int], units: dict[str, int]) -> tuple[str, int]:
    """The largest unit that the largest value fills; for nothing, the smallest."""
    largest = max(values, default=0)
    return next(((name, unit) for name, unit in units.items() if largest >= unit), list(units.items())[-1])


def _amount(value: int, units: dict[str, int]) -> str:
    name, unit = _unit([value], units)
    return f"{value / unit:.4g} {name}".strip()


def _draw(result: Summary, model: str, svg: Path) -> None:
    from neocog.files import make_folder, write_atomic
    from neocog.pictures.architecture import architecture

    make_folder(svg.parent)
    write_atomic(svg, architecture(result, model))
