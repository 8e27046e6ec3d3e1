"""Finding objects: cells and default boxes that answer for them, and regions that may hold one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neocog.data.scenes import Scenes
from neocog.metrics.proposals import RecallResult, proposal_recall
from neocog.ops.assign import match
from neocog.ops.boxes import iou, to_centre
from neocog.ops.default_boxes import box_shapes, grid_boxes
from neocog.pictures.axes import Axis, Plot, fit_scale, frame, spread
from neocog.pictures.charts import Curve, curve_line
from neocog.pictures.figure import Still
from neocog.pictures.figures.scenery import outline, pale, view
from neocog.pictures.shapes import note
from neocog.pictures.svg import Element, Point, circle, group, path, pixels, rect, text
from neocog.pictures.theme import MARK_INK, MARKS
from neocog.proposals.colour import convert
from neocog.proposals.grouping import Hierarchy, describe, pixel_bins
from neocog.proposals.grouping import group as grouped
from neocog.proposals.search import selective_search
from neocog.proposals.segmentation import segment

_WIDTH, _TOP = 720.0, 34.0
_WHITE = "#ffffff"

_SIDE = 224.0
_MAPS = {8: (24.0, 52.0), 4: (52.0, 100.0)}
"""Cells a side of each map: the side in pixels of its square default box, and of the next map's."""


def single_shot_grid() -> Still:
    """Three objects, the cells that answer for them, and the default boxes of two maps that match them."""
    data = Scenes("std", "test")
    scene, objects = data.scene(29), data.objects(29)
    step = {cells: data.side / cells for cells in _MAPS}
    shapes = {cells: box_shapes(*sides, ratios=(2,)) for cells, sides in _MAPS.items()}
    tables = [grid_boxes(shapes[cells], (cells, cells), step[cells]) for cells in _MAPS]
    together = match(torch.cat(tables), objects, positive=0.5)
    matched = together[: len(tables[0])], together[len(tables[0]) :]
    centres = to_centre(objects.boxes)[:, :2]
    responsible = (centres // step[8]).long()
    scale, picture = _SIDE / data.side, pale(scene.image)
    parts: list[Element] = []
    corners = [(number * (_WIDTH - _SIDE) / 2, _TOP) for number in range(3)]
    for corner, cells in zip(corners, (8, 8, 4), strict=True):
        parts += [view(picture, corner, _SIDE), _grid(corner, cells)]
    parts += _answering(responsible, centres, objects.boxes, corners[0], scale, step[8])
    captions = [("8 x 8 cells", ("a cell answers for the", "object centred in it"))]
    for corner, cells, table, own in zip(corners[1:], _MAPS, tables, matched, strict=True):
        parts += _matching(table, own, objects.boxes, len(shapes[cells]), corner, scale)
        title = f"{cells} x {cells} cells, {len(shapes[cells])} shapes"
        captions.append((title, (f"{len(table)} default boxes,", f"matched: {int((own >= 0).sum())}")))
    for corner, (title, lines) in zip(corners, captions, strict=True):
        parts.append(text(corner[0], 22, title, class_="title"))
        parts.append(note(corner[0], _TOP + _SIDE + 22, *lines))
    legend = "white: true boxes; coloured: default boxes with IoU ≥ 0.5; dashed: the other shapes of one cell"
    parts.append(note(0, _TOP + _SIDE + 70, legend, class_="muted small"))
    counts = [int((own >= 0).sum()) for own in matched]
    alt = (
        f"A scene of {len(objects)} objects three times. Under a grid of 8 by 8 cells, the cell that holds "
        f"the centre of each object is filled. Of the default boxes at these cells {counts[0]} match the "
        f"small objects; of those at 4 by 4 cells {counts[1]} match the large one."
    )
    values: dict[str, np.ndarray] = {"objects": objects.boxes.numpy(), "cells": responsible.numpy()}
    for cells, table, own in zip(_MAPS, tables, matched, strict=True):
        values |= {f"boxes {cells}": table.numpy(), f"matched {cells}": own.numpy()}
    return Still("single-shot-grid", alt, _WIDTH, _TOP + _SIDE + 74, parts, values)


def _grid(corner: Point, cells: int) -> Element:
    """The lines between cells, over a picture."""
    (left, top), places = corner, [i * _SIDE / cells for i in range(cells + 1)]
    down = [[(left + x, top), (left + x, top + _SIDE)] for x in places]
    across = [[(left, top + y), (left + _SIDE, top + y)] for y in places]
    return path([*down, *across], style=f"stroke:{MARK_INK};fill:none", stroke_width=1, opacity=0.35)


def _answering(
    cells: Tensor, centres: Tensor, boxes: Tensor, corner: Point, scale: float, step: float
) -> list[Element]:
    """Each object's box and centre, and the cell that answers for it."""
    parts: list[Element] = []
    side = step * scale
    for number, (column, row) in enumerate(cells.tolist()):
        place = corner[0] + column * side, corner[1] + row * side
        parts.append(rect(*place, side, side, style=f"fill:{MARKS[number]};stroke:{MARK_INK}"))
        parts.append(outline(boxes[number].tolist(), corner, scale, MARKS[number]))
        x, y = centres[number].tolist()
        parts.append(circle((corner[0] + x * scale, corner[1] + y * scale), 3.5, style=f"fill:{MARK_INK}"))
    return parts


def _matching(
    table: Tensor, matched: Tensor, objects: Tensor, shapes: int, corner: Point, scale: float
) -> list[Element]:
    """The boxes that match, in the colours of their objects; of the last one's cell the others, dashed."""
    chosen = torch.nonzero(matched >= 0).flatten().tolist()
    last = chosen[-1] // shapes * shapes if chosen else 0
    others = [place for place in range(last, last + shapes) if place not in chosen]
    parts = [outline(table[one].tolist(), corner, scale, "", dashed=True) for one in others]
    for label in sorted({int(matched[one]) for one in chosen}):
        parts.append(outline(objects[label].tolist(), corner, scale, _WHITE, width=1.5))
    return parts + [outline(table[one].tolist(), corner, scale, MARKS[int(matched[one])]) for one in chosen]


_PICTURES, _SHOWN, _LEFT = 30, 22, 25
_COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 400)
_OVERLAPS = (0.5, 0.7)
_TILE = 168.0


def region_proposals() -> Still:
    """A picture, its segments, what they are grouped to, the best boxes; and recall over 30 pictures."""
    data = Scenes("std", "test", _PICTURES)
    truths = [data.objects(index) for index in range(len(data))]
    found = [selective_search(data.scene(index).image) for index in range(len(data))]
    measured = proposal_recall(truths, found, data.classes, _COUNTS, _OVERLAPS)
    image = data.scene(_SHOWN).image
    colours = convert(image, "hsv")
    labels = segment(colours, 50, 50)
    tree = grouped(describe(labels, pixel_bins(colours)))
    levels = [labels, left_of(tree, labels, _LEFT)]
    overlaps, best = iou(truths[_SHOWN].boxes, found[_SHOWN].boxes).max(dim=1)
    scale, pitch = _TILE / data.side, (_WIDTH - _TILE) / 3
    corners = [(number * pitch, _TOP) for number in range(4)]
    titles = [
        "a picture",
        f"{labels.max() + 1} segments",
        f"grouped to {len(np.unique(levels[1]))}",
        f"best of {len(found[_SHOWN])} boxes",
    ]
    parts: list[Element] = [view(image, corners[0], _TILE), view(pale(image), corners[3], _TILE)]
    for corner, level in zip(corners[1:3], levels, strict=True):
        parts.append(pixels(*corner, _TILE, _TILE, mean_colours(image, level)))
    for truth, place in zip(truths[_SHOWN].boxes.tolist(), best.tolist(), strict=True):
        parts.append(outline(truth, corners[3], scale, _WHITE, width=1.5))
        parts.append(outline(found[_SHOWN].boxes[place].tolist(), corners[3], scale, MARKS[0]))
    parts += [text(x, 22, title, class_="title") for (x, _), title in zip(corners, titles, strict=True)]
    told = f"IoU {float(overlaps.min()):.2f} to {float(overlaps.max()):.2f} with the true boxes (white)"
    parts.append(note(_WIDTH, _TOP + _TILE + 20, told, anchor="end"))
    parts.append(_recall_curves(measured, _TOP + _TILE + 62))
    share = measured.recall[0, -1]
    alt = (
        f"A scene; the same cut into {labels.max() + 1} segments of like colour; grouped to {_LEFT} regions; "
        "and with the proposed box that fits each object best. Below, the share of objects that the first "
        f"proposals cover rises with their number to {share:.0%} at an overlap of 0.5, over {_PICTURES} "
        "pictures."
    )
    values = {
        "picture": image,
        "segments": levels[0],
        "regions": levels[1],
        "best": overlaps.numpy(),
        "truths": _numbered([one.boxes for one in truths]),
        "proposals": _numbered([one.boxes for one in found]),
        "recall": measured.recall,
    }
    return Still("region-proposals", alt, _WIDTH, _TOP + _TILE + 62 + 210, parts, values)


def left_of(tree: Hierarchy, labels: np.ndarray, count: int) -> np.ndarray:
    """The regions (H, W) when grouping has so many left, of the regions (H, W) that it started from."""
    made = len(tree) + 1 - count  # regions that exist by then, merged ones among them
    within = np.arange(len(tree))
    for region in range(made - 1, -1, -1):
        if tree.parents[region] < made:
            within[region] = within[tree.parents[region]]
    regions: np.ndarray = within[labels]
    return regions


def mean_colours(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The picture (H, W, 3) uint8 with every region of labels (H, W) in its mean colour."""
    _, flat = np.unique(labels, return_inverse=True)
    flat = flat.reshape(-1)
    sizes = np.bincount(flat)
    means = [np.bincount(flat, image[..., channel].reshape(-1)) / sizes for channel in range(3)]
    picture: np.ndarray = np.stack(means, axis=1)[flat].round().astype(np.uint8).reshape(image.shape)
    return picture


def _recall_curves(measured: RecallResult, y: float) -> Element:
    """Recall against the number of proposals."""
    plot = Plot(
        fit_scale(Axis("", log=True), measured.counts, 44, _WIDTH - 100, tight=True),
        fit_scale(Axis("", lower=0, upper=1), [], y + 150, y + 14),
    )
    title = f"Share of the objects of {measured.images} pictures that are covered"
    parts = [
        text(0, y, title, class_="title"),
        frame(plot, "proposals a picture, best first", "", spacing=(90, 40)),
    ]
    ends = [plot.point(measured.counts[-1], float(row[-1])) for row in measured.recall]
    places = spread([y for _, y in ends], 18, y, y + 150)
    for overlap, row, colour, place in zip(
        measured.thresholds, measured.recall, ("var(--accent)", "var(--muted)"), places, strict=True
    ):
        parts.append(curve_line(plot, Curve("", measured.counts, row), colour))
        parts.append(text(plot.x.end + 10, place + 4.5, f"IoU ≥ {overlap:g}", style=f"fill:{colour}"))
    return group(*parts)


def _numbered(boxes: list[Tensor]) -> np.ndarray:
    """Boxes (N, 5) of several pictures, each after the number of its picture."""
    counts = [len(one) for one in boxes]
    return np.column_stack([np.repeat(np.arange(len(boxes)), counts), torch.cat(boxes).numpy()])
