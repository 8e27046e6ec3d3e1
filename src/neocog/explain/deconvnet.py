"""What in the picture excites a unit: its activation, projected back to pixels.

Zeiler and Fergus 2014 (arXiv:1311.2901), figure 2, within one picture: the strongest units of a map, each
alone, beside the part of the picture that it sees. `guided` is the rule of Springenberg et al. 2014.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from neocog.errors import UsageError
from neocog.explain.backward import Rule, back_project
from neocog.explain.receptive import Field, field_of
from neocog.explain.subject import (
    Choices,
    Shown,
    Subject,
    chosen_level,
    chosen_unit,
    maps_of,
    margin_of,
    with_images,
)
from neocog.pictures.maps import beside, signed_rgb, tile_sheet
from neocog.pictures.stages import draw_boxes

MOST = 9
"""Units that are shown."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One cell of one channel."""

    channel: int
    row: int
    column: int
    activation: float


def strongest_units(cells: Tensor, channel: int | None = None, most: int = MOST) -> list[Unit]:
    """The most active units of a map (C, h, w), the strongest first; only activations above 0.

    Of each channel the strongest cell; of one `channel` its cells that none of their neighbours exceeds.
    """
    cells = cells.float()
    if channel is None:
        values = cells.flatten(1).amax(dim=1)
        channels = values.argsort(descending=True, stable=True)[:most]
        places = cells.flatten(1).argmax(dim=1)[channels]
    else:
        own = cells[channel]
        peaks = own == F.max_pool2d(own[None], 3, 1, 1)[0]
        values = torch.where(peaks, own, -torch.inf).flatten()
        places = values.argsort(descending=True, stable=True)[:most]
        channels = torch.full_like(places, channel)
    columns = cells.shape[2]
    found = [
        Unit(one, place // columns, place % columns, float(cells[one].flatten()[place]))
        for one, place in zip(channels.tolist(), places.tolist(), strict=True)
    ]
    return [unit for unit in found if unit.activation > 0]


def deconvnet(subject: Subject, choices: Choices) -> list[Shown]:
    """The strongest units of a map by the deconvnet's rule, see `projections`."""
    return projections(subject, choices, "deconvnet")


def guided(subject: Subject, choices: Choices) -> list[Shown]:
    """The strongest units of a map by guided back-propagation, see `projections`."""
    return projections(subject, choices, "guided")


def projections(subject: Subject, choices: Choices, rule: Rule) -> list[Shown]:
    """Where the strongest units of a map look, and each one's projection beside that part of the picture.

    The map is the last that is no pooling, or the chosen one. Raises UsageError where no unit is active.
    """
    with torch.no_grad():
        maps = maps_of(subject.model, subject.batch).maps
    level = chosen_level(subject.backbone, choices.level, list(maps))
    channel = chosen_unit(subject.backbone, level, choices.unit)
    units = strongest_units(maps[level][0], channel)
    if not units:
        where = level if channel is None else f"channel {channel} of {level}"
        raise UsageError(
            f"{where} has no activation above 0 in this picture: there is nothing to project back"
        )
    back = project(subject, level, units, rule)
    field = field_of(subject.backbone, level, subject.batch.sizes[0], margin_of(subject.model))
    return [_places(subject, level, units, field), *_pairs(subject, level, units, field, back, rule)]


def project(subject: Subject, level: str, units: list[Unit], rule: Rule) -> Tensor:
    """What each unit's activation projects back to, (N, 3, H, W) in the pixels of the network's input."""
    channels = [unit.channel for unit in units]
    rows, columns = [unit.row for unit in units], [unit.column for unit in units]

    def activations(images: Tensor) -> Tensor:
        cells = maps_of(subject.model, with_images(subject.batch, images)).maps[level]
        return cells[0, channels, rows, columns]

    values, back = back_project(activations, subject.batch.images, rule)
    return back[:, 0] * values[:, None, None, None]


def _places(subject: Subject, level: str, units: list[Unit], field: Field) -> Shown:
    """The picture with the cell of each unit, and around it what the unit sees where that is not all."""
    boxes = torch.tensor([field.cell(unit.row, unit.column) for unit in units])
    strengths = np.array([unit.activation for unit in units])
    seen = f"{field.size:g} x {field.size:g} pixels of the network's input"
    if field.size < min(subject.batch.sizes[0]):
        around = torch.tensor([field.box(unit.row, unit.column) for unit in units])
        boxes, strengths = torch.cat([boxes, around]), np.concatenate([strengths, strengths / 2])
        seen += ", the larger frame"
    else:
        seen += ": all of it, or nearly"
    drawn = subject.frame.to_original(boxes).numpy()
    picture = draw_boxes(subject.pixels, drawn, strengths / strengths.max())
    caption = (
        f"The cells of the {len(units)} strongest units of {level}, the stronger the less transparent. Each "
        f"sees {seen}."
    )
    return Shown("where", caption, picture, {"level": level, "field": field.size})


def _pairs(
    subject: Subject, level: str, units: list[Unit], field: Field, back: Tensor, rule: Rule
) -> list[Shown]:
    """Each unit's part of the picture beside its projection; then the projections whole."""
    seen = subject.seen
    height, width = seen.shape[:2]
    pairs, wholes, labels, records = [], [], [], []
    for unit, projection in zip(units, back, strict=True):
        x0, y0, x1, y1 = _cut(field.box(unit.row, unit.column), (height, width))
        values = projection[:, :height, :width].permute(1, 2, 0).cpu().numpy()
        most = float(np.quantile(np.abs(values[y0:y1, x0:x1]), 0.999))
        pixels = signed_rgb(values, most)
        pairs.append(
            beside(
                Image.fromarray(seen[y0:y1, x0:x1]),
                Image.fromarray(np.ascontiguousarray(pixels[y0:y1, x0:x1])),
            )
        )
        wholes.append(Image.fromarray(pixels))
        labels.append(
            f"channel {unit.channel} at row {unit.row}, column {unit.column}: {unit.activation:.3g}"
        )
        records.append(
            {
                "channel": unit.channel,
                "row": unit.row,
                "column": unit.column,
                "activation": unit.activation,
                "sees": [x0, y0, x1, y1],
            }
        )
    caption = (
        f"Units of {level}, each with its activation: left what it sees, right what its activation projects "
        f"back to ({rule}); grey is 0, each picture on its own scale."
    )
    whole = f"The same projections over the whole input of {width} x {height} pixels; grey is 0."
    return [
        Shown(
            "units",
            caption,
            tile_sheet(pairs, labels, columns=3, side=max(max(one.size) for one in pairs)),
            {"level": level, "rule": rule, "units": records},
        ),
        Shown(
            "projections",
            whole,
            tile_sheet(wholes, [f"channel {u.channel}" for u in units], columns=3, side=256),
        ),
    ]


def _cut(box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box in whole pixels within a picture, at least one a side."""
    (height, width), (x0, y0, x1, y1) = size, box
    left, top = min(max(round(x0), 0), width - 1), min(max(round(y0), 0), height - 1)
    return left, top, max(min(round(x1), width), left + 1), max(min(round(y1), height), top + 1)
