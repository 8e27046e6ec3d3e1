"""YOLO's first two losses, and how its outputs become boxes, as plain loops: slow, and obvious.

From the papers and the authors' `detection_layer.c` and `region_layer.c`. A prediction is a list of cells,
row by row; a cell is a dictionary of its `boxes`, each [x, y, w, h, confidence] as the network says them, and
its `classes` (version 1), or each [x, y, w, h, confidence, class scores...] (version 2). Objects are
(x0, y0, x1, y1, label, ignored) in pixels, in the order in which cells take them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tests.references.assignment import overlap

Object = tuple[float, float, float, float, int, bool]
Box = list[float]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def corners(x: float, y: float, w: float, h: float) -> Box:
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def box_v1(said: Sequence[float], row: int, column: int, stride: int, side: int) -> Box:
    """Centre in the cell, roots of the sides as shares of the picture's."""
    x, y = (column + said[0]) * stride, (row + said[1]) * stride
    return corners(x, y, said[2] ** 2 * side, said[3] ** 2 * side)


def box_v2(said: Sequence[float], row: int, column: int, stride: int, prior: Sequence[float]) -> Box:
    x, y = (column + sigmoid(said[0])) * stride, (row + sigmoid(said[1])) * stride
    return corners(x, y, prior[0] * math.exp(said[2]), prior[1] * math.exp(said[3]))


def cell_of(thing: Object, rows: int, columns: int, stride: int) -> tuple[int, int]:
    row = int((thing[1] + thing[3]) / 2 / stride)
    column = int((thing[0] + thing[2]) / 2 / stride)
    return min(row, rows - 1), min(column, columns - 1)


def taken_up(row: int, column: int, objects: Sequence[Object], stride: int) -> bool:
    """Whether an ignored object has its centre in the cell, or covers half of it."""
    x0, y0 = column * stride, row * stride
    for thing in objects:
        if not thing[5]:
            continue
        x, y = (thing[0] + thing[2]) / 2, (thing[1] + thing[3]) / 2
        if x0 <= x < x0 + stride and y0 <= y < y0 + stride:
            return True
        w = max(0.0, min(thing[2], x0 + stride) - max(thing[0], x0))
        h = max(0.0, min(thing[3], y0 + stride) - max(thing[1], y0))
        if w * h >= stride * stride / 2:
            return True
    return False


def loss_v1(
    cells: Sequence[dict[str, Any]],
    shape: tuple[int, int],
    objects: Sequence[Object],
    size: tuple[int, int],
    stride: int,
    side: int,
) -> dict[str, float]:
    """The sums over one picture of (height, width) `size`."""
    rows, columns = shape
    loss = {"boxes": 0.0, "confidence": 0.0, "background": 0.0, "classes": 0.0}
    for row in range(rows):
        for column in range(columns):
            cell = cells[row * columns + column]
            own = [t for t in objects if not t[5] and cell_of(t, rows, columns, stride) == (row, column)]
            responsible = None
            if own:
                x0, y0, x1, y1, label, _ = own[0]
                boxes = [box_v1(said, row, column, stride, side) for said in cell["boxes"]]
                overlaps = [overlap(box, (x0, y0, x1, y1)) for box in boxes]
                if max(overlaps) > 0:
                    responsible = overlaps.index(max(overlaps))
                else:
                    truth = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)
                    apart = []
                    for b in boxes:
                        mine = ((b[0] + b[2]) / 2, (b[1] + b[3]) / 2, b[2] - b[0], b[3] - b[1])
                        apart.append(math.dist(mine, truth))
                    responsible = apart.index(min(apart))
                said = cell["boxes"][responsible]
                loss["boxes"] += 5 * (
                    (said[0] - ((x0 + x1) / 2 / stride - column)) ** 2
                    + (said[1] - ((y0 + y1) / 2 / stride - row)) ** 2
                    + (said[2] - math.sqrt((x1 - x0) / side)) ** 2
                    + (said[3] - math.sqrt((y1 - y0) / side)) ** 2
                )
                loss["confidence"] += (said[4] - overlaps[responsible]) ** 2
                for k, score in enumerate(cell["classes"]):
                    loss["classes"] += (score - (1 if k == label else 0)) ** 2
            in_picture = row * stride < size[0] and column * stride < size[1]
            if in_picture and not taken_up(row, column, objects, stride):
                for place, said in enumerate(cell["boxes"]):
                    if place != responsible:
                        loss["background"] += 0.5 * said[4] ** 2
    return loss


def loss_v2(
    cells: Sequence[dict[str, Any]],
    shape: tuple[int, int],
    objects: Sequence[Object],
    size: tuple[int, int],
    stride: int,
    priors: Sequence[Sequence[float]],
) -> dict[str, float]:
    """The sums over one picture; each cell's `boxes` hold their own class scores."""
    rows, columns = shape
    loss = {"boxes": 0.0, "confidence": 0.0, "background": 0.0, "classes": 0.0}
    real = [thing for thing in objects if not thing[5]]
    wants: dict[tuple[int, int, int], Object] = {}
    for thing in real:
        w, h = thing[2] - thing[0], thing[3] - thing[1]
        shapes = [overlap((0, 0, w, h), (0, 0, *prior)) for prior in priors]
        wants.setdefault((*cell_of(thing, rows, columns, stride), shapes.index(max(shapes))), thing)
    for row in range(rows):
        for column in range(columns):
            in_picture = row * stride < size[0] and column * stride < size[1]
            for place, said in enumerate(cells[row * columns + column]["boxes"]):
                box = box_v2(said, row, column, stride, priors[place])
                chosen = wants.get((row, column, place))
                if chosen is None:
                    near = any(overlap(box, thing[:4]) > 0.6 for thing in real)
                    if in_picture and not near and not taken_up(row, column, objects, stride):
                        loss["background"] += sigmoid(said[4]) ** 2 / 2
                    continue
                x0, y0, x1, y1, label, _ = chosen
                small = 2 - (x1 - x0) * (y1 - y0) / (size[0] * size[1])
                errors = (
                    sigmoid(said[0]) - ((x0 + x1) / 2 / stride - column),
                    sigmoid(said[1]) - ((y0 + y1) / 2 / stride - row),
                    said[2] - math.log((x1 - x0) / priors[place][0]),
                    said[3] - math.log((y1 - y0) / priors[place][1]),
                )
                loss["boxes"] += small * sum(error**2 for error in errors) / 2
                loss["confidence"] += 5 * (sigmoid(said[4]) - overlap(box, chosen[:4])) ** 2 / 2
                total = sum(math.exp(score) for score in said[5:])
                loss["classes"] -= math.log(math.exp(said[5 + label]) / total)
    return loss


def decode_v1(
    cells: Sequence[dict[str, Any]],
    shape: tuple[int, int],
    size: tuple[int, int],
    stride: int,
    side: int,
    score: float,
    nms: float,
) -> list[tuple[int, float, Box]]:
    """(label, score, box) of what is found in one picture, best first."""
    candidates = []
    for row in range(shape[0]):
        for column in range(shape[1]):
            if row * stride >= size[0] or column * stride >= size[1]:
                continue
            cell = cells[row * shape[1] + column]
            for said in cell["boxes"]:
                x0, y0, x1, y1 = box_v1(said, row, column, stride, side)
                clipped = [
                    min(max(x0, 0), size[1]),
                    min(max(y0, 0), size[0]),
                    min(max(x1, 0), size[1]),
                    min(max(y1, 0), size[0]),
                ]
                if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
                    continue
                for label, of_class in enumerate(cell["classes"]):
                    if max(said[4], 0.0) * of_class > score:
                        candidates.append((label, said[4] * of_class, clipped))
    candidates.sort(key=lambda one: -one[1])
    kept: list[tuple[int, float, Box]] = []
    for label, value, box in candidates:
        if all(other != label or overlap(box, there) <= nms for other, _, there in kept):
            kept.append((label, value, box))
    return [(label, min(value, 1.0), box) for label, value, box in kept]
