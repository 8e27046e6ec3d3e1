"""A trained model as an ONNX file."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from neocog.export.networks import OUTPUTS, Room, exportable
from neocog.export.operators import translations
from neocog.export.packages import quiet, require
from neocog.types import Task

KEY = "neocog"
"""Of the file's own description among its metadata."""


def write_onnx(
    model: Any, room: Room, description: dict[str, Any], file: Path, drops_equal: bool = False
) -> None:
    """Write a model, folded and in evaluation mode, as an ONNX file whose batch, height and width are free.

    `description` is stored with it, as JSON; `drops_equal` is that of `operators.translations`. Raises
    UsageError for a model that cannot be exported, or where the packages for it are missing.
    """
    require("onnx", "onnxscript")
    own: Any = copy.deepcopy(model).cpu().float().to(memory_format=torch.contiguous_format)
    network = exportable(own).eval()
    with quiet(), torch.no_grad():
        inputs, shapes = _inputs(network, room)
        program = torch.onnx.export(
            network,
            tuple(inputs.values()),
            dynamo=True,
            verbose=False,
            input_names=list(inputs),
            output_names=list(OUTPUTS[Task(own.task)]),
            dynamic_shapes=shapes,
            custom_translation_table=translations(drops_equal),
        )
        assert program is not None
        program.model.metadata_props[KEY] = json.dumps(description)
        program.save(file)


def _inputs(network: nn.Module, room: Room) -> tuple[dict[str, Any], dict[str, Any]]:
    """Pictures to trace a network with, and which of their sides are free."""
    from inspect import signature

    batch, step = torch.export.Dim("batch", min=1), room.multiple
    sides: dict[int, Any] = {0: batch}
    height, width = room.fixed or (step * (8 * 32 // step + 1), step * (8 * 32 // step + 3))
    if room.fixed is None:
        least = max(room.least // step, 1)
        for axis, name in ((2, "height"), (3, "width")):
            cells = torch.export.Dim(name, min=least)
            sides[axis] = cells if step == 1 else step * cells
    every = {
        "images": (torch.zeros(2, 3, height, width), sides),
        "sizes": (torch.tensor([[height, width], [height, width]]), {0: batch}),
        "regions": (torch.ones(2, 8, 4), {0: batch, 1: torch.export.Dim("regions", min=1)}),
    }
    names = list(signature(network.forward).parameters)
    return {name: every[name][0] for name in names}, {name: every[name][1] for name in names}
