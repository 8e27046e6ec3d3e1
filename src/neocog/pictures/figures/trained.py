"""Figures of trained models, drawn from what they answered and measured: `neocog.run_figures` computes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from neocog.pictures.figure import Still
from neocog.pictures.figures.scenery import outline, pale, view
from neocog.pictures.maps import coloured
from neocog.pictures.shapes import note
from neocog.pictures.svg import Element, Point, circle, group, line, path, pixels, rect, text, text_width
from neocog.pictures.theme import LIGHT, MARK_INK, MARKS, rgb

_WIDTH, _TOP = 720.0, 34.0
_SEARCHING = "var(--series-1)"


class Measured(NamedTuple):
    """A row of a comparison of detectors."""

    model: str
    ap50: float | None  # average precision at an overlap of 0.5
    ap: float | None  # the mean over overlaps from 0.5 to 0.95
    ms: float  # a picture, all included
    searching: float | None  # ms of these: the search for regions outside the network
    parameters: int
    seconds: float  # of training


def rcnn_table(rows: Sequence[Measured], tested: str) -> Still:
    """What each step from R-CNN on brought: accuracy and time as bars, size and training as numbers.

    `tested`: on what, in a few words. Raises ValueError without a row.
    """
    if not rows:
        raise ValueError("a table needs a row")
    top, pitch = 66.0, 36.0
    parts = [text(0, 22, "From R-CNN on", class_="title"), note(_WIDTH, 22, tested, anchor="end")]
    parts += [note(x, 52, heading) for x, heading in ((130, "AP, IoU 0.5"), (390, "ms a picture"))]
    ends = ((350, "AP"), (640, "parameters"), (_WIDTH, "training"))
    parts += [note(x, 52, heading, anchor="end") for x, heading in ends]
    best, fastest = max(row.ap50 or 0.0 for row in rows), min(row.ms for row in rows)
    most, slowest = max(best, 1e-9), max(row.ms for row in rows)
    for place, row in enumerate(rows):
        middle = top + pitch * (place + 0.5)
        parts += [
            line((0, middle - 18), (_WIDTH, middle - 18), class_="grid"),
            text(0, middle + 5, row.model),
        ]
        score = [(row.ap50 or 0.0, _shade(row.ap50 == best))]
        parts.append(_bar(score, 120 / most, (130, middle), _three(row.ap50)))
        search = row.searching or 0.0
        times = [(search, _SEARCHING), (row.ms - search, _shade(row.ms == fastest))]
        parts.append(_bar(times, 100 / slowest, (390, middle), f"{row.ms:.1f}"))
        told = (_three(row.ap), f"{row.parameters / 1e6:.2f} M", f"{row.seconds:.0f} s")
        parts += [text(x, middle + 5, one, text_anchor="end") for (x, _), one in zip(ends, told, strict=True)]
    bottom = top + pitch * len(rows)
    if any(row.searching for row in rows):
        parts.append(_legend([("searching for regions, outside the network", _SEARCHING)], 390, bottom + 14))
    told_all = "; ".join(f"{row.model} {_three(row.ap50)} in {row.ms:.1f} ms" for row in rows)
    alt = (
        f"A table of detectors with bars for average precision and for the time a picture takes: {told_all}."
    )
    names = ("ap50", "ap", "ms", "searching", "parameters", "seconds")
    values = {name: _column(getattr(row, name) for row in rows) for name in names}
    return Still("rcnn-table", alt, _WIDTH, bottom + 20, parts, values)


class Answered(NamedTuple):
    """What a model says of every pixel of one picture, and how good it is."""

    model: str
    mask: np.ndarray  # (H, W) uint8 class of each pixel
    boundary_f1: float | None  # of this picture
    test_boundary_f1: float | None  # over the test pictures, as the next
    test_mean_iou: float | None


def segmentation_table(
    name: str,
    image: np.ndarray,
    truth: np.ndarray,
    classes: Sequence[str],
    answers: Sequence[Answered],
    images: int,
) -> Still:
    """One picture's true mask and those of models; the boundaries of each over the true ones; the measures.

    `image` is (H, W, 3) uint8, `truth` (H, W) its classes; `images`: how many were tested.
    """
    count, (height, width) = len(answers) + 1, truth.shape
    side = (_WIDTH - 16 * (count - 1)) / count
    scale = side / width
    high = height * scale
    second, third = _TOP + high + 12, _TOP + 2 * high + 12
    there = np.unique([truth, *(one.mask for one in answers)]).tolist()
    colours = class_colours([label for label in there if label < len(classes)], classes)
    parts: list[Element] = []
    for place, (title, mask) in enumerate([("truth", truth), *((one.model, one.mask) for one in answers)]):
        x = place * (side + 16)
        parts.append(text(x, 22, title, class_="title"))
        parts.append(pixels(x, _TOP, side, high, painted(mask, colours)))
        if place == 0:
            parts.append(view(image, (x, second), side))
            continue
        parts.append(rect(x, second, side, high, style="fill:none;stroke:var(--grid)"))
        for shown, colour, width in ((truth, "var(--quiet)", 5.0), (mask, "var(--accent)", 2.0)):
            runs = [[(x + a * scale, second + b * scale) for a, b in run] for run in contours(shown)]
            parts.append(
                path(runs, style=f"stroke:{colour};fill:none", stroke_width=width, stroke_linecap="square")
            )
    parts += _measures(answers, images, side, third + 20)
    y = third + 104
    parts.append(
        note(0, y, "boundaries: wide and grey the true ones, blue the answer's", class_="muted small")
    )
    legend = [(classes[label], colour) for label, colour in colours.items()]
    parts.append(_legend(legend, 0, y + 26))
    told = "; ".join(f"{one.model} {_three(one.boundary_f1)}" for one in answers)
    alt = (
        f"The true classes of the pixels of one picture beside those that {count - 1} models give, and the "
        f"boundaries of each over the true ones. Boundary F1 of this picture: {told}."
    )
    values = {
        "truth": truth,
        **{f"mask {one.model}": one.mask for one in answers},
        "boundary_f1": _column(one.boundary_f1 for one in answers),
        "test_boundary_f1": _column(one.test_boundary_f1 for one in answers),
        "test_mean_iou": _column(one.test_mean_iou for one in answers),
    }
    rows = _legend_rows(legend)
    return Still(name, alt, _WIDTH, y + 26 + 22 * (rows - 1) + 6, parts, values)


def _measures(answers: Sequence[Answered], images: int, side: float, top: float) -> list[Element]:
    """How good each answer is, in columns of `side`, after one that says what is measured."""
    parts: list[Element] = []
    measures = (
        ("boundary F1 here", [one.boundary_f1 for one in answers]),
        (f"boundary F1, all {images}", [one.test_boundary_f1 for one in answers]),
        (f"mean IoU, all {images}", [one.test_mean_iou for one in answers]),
    )
    for row, (heading, measured) in enumerate(measures):
        y = top + 24 * row
        parts.append(note(0, y + 5, heading))
        best = max(value or 0.0 for value in measured)
        for place, value in enumerate(measured, 1):
            corner = place * (side + 16), y
            parts.append(_bar([(value or 0.0, _shade(value == best))], side - 60, corner, _three(value)))
    return parts


class Heat(NamedTuple):
    """A classifier on a picture larger than those it learnt from."""

    image: np.ndarray  # (H, H, 3) uint8
    learnt: int  # side of the pictures it learnt from, pixels
    name: str  # of the class
    boxes: np.ndarray  # (N, 4) the objects of that class, pixels
    cells: np.ndarray  # (h, w) probability of the class in each window
    heat: np.ndarray  # (H, H) the same at each pixel
    peak: Point  # x and y of the middle of the best window, pixels
    stride: float  # pixels from window to window
    offset: float  # the middle of the first one, pixels


def heat_map(seen: Heat) -> Still:
    """The picture, the answer to each of its windows where the window lies, and the heat over the picture."""
    side = 224.0
    scale, (rows, columns) = side / len(seen.image), seen.cells.shape
    corners = [(place * (_WIDTH - side) / 2, _TOP) for place in range(3)]
    x, y = seen.peak
    inside = [x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in seen.boxes.tolist()]
    place = "in the box" if any(inside) else "beside the box"
    cell = side / max(rows, columns)
    column, row = ((value - seen.offset) / seen.stride for value in seen.peak)
    best = corners[1][0] + column * cell, corners[1][1] + row * cell
    parts = [
        view(seen.image, corners[0], side),
        outline((0, 0, seen.learnt, seen.learnt), corners[0], scale, MARKS[4], width=1.5),
        pixels(*corners[1], columns * cell, rows * cell, coloured(seen.cells, 1, signed=False)),
        rect(*best, cell, cell, style=f"fill:none;stroke:{MARKS[1]}", stroke_width=2.5),
        view(_heated(seen), corners[2], side),
        circle(
            (corners[2][0] + x * scale, corners[2][1] + y * scale),
            4.5,
            style=f"fill:{MARKS[1]};stroke:{MARK_INK}",
            stroke_width=1.5,
        ),
    ]
    for box in seen.boxes.tolist():
        parts += [outline(box, corner, scale, "#ffffff", width=2) for corner in (corners[0], corners[2])]
    size = f"{seen.image.shape[1]} x {seen.image.shape[0]}"
    titles = (f"{size} pixels", f"{columns} x {rows} answers", f"where is the {seen.name}?")
    notes = (
        ("yellow: as much as it", "learnt from at a time"),
        (f"probability of {seen.name}:", "light 0, dark 1"),
        (f"the peak, {float(seen.cells.max()):.2f}, lies", place),
    )
    for corner, title, lines in zip(corners, titles, notes, strict=True):
        parts.append(text(corner[0], 22, title, class_="title"))
        parts.append(note(corner[0], _TOP + side + 22, *lines))
    alt = (
        f"A scene of {size} pixels; how probable the class {seen.name} is in each of {columns} by {rows} "
        "windows of it; and the same as heat over the scene. The highest value, "
        f"{float(seen.cells.max()):.2f}, lies {place} of that object."
    )
    values = {"cells": seen.cells, "heat": seen.heat, "peak": np.array(seen.peak), "boxes": seen.boxes}
    return Still("heat-map", alt, _WIDTH, _TOP + side + 44, parts, values)


def class_colours(labels: Sequence[int], classes: Sequence[str]) -> dict[int, str]:
    """A colour for each of these classes of a picture: all differ up to eight, and background is quiet."""
    quiet = {0: "#e5e8eb"} if classes[0] == "background" else {}
    others = [label for label in labels if label not in quiet]
    return quiet | {label: MARKS[place % len(MARKS)] for place, label in enumerate(others)}


def painted(mask: np.ndarray, colours: Mapping[int, str]) -> np.ndarray:
    """A mask (H, W) uint8 in the colours of its classes (H, W, 3) uint8; what has none is grey."""
    table = np.full((256, 3), 128, np.uint8)
    for label, colour in colours.items():
        table[label] = rgb(colour)
    drawn: np.ndarray = table[mask]
    return drawn


def contours(mask: np.ndarray) -> list[list[Point]]:
    """The straight lines between pixels of a mask (H, W) that are of two classes, in pixels."""
    runs: list[list[Point]] = []
    for turned in (False, True):
        values = mask.T if turned else mask
        borders = values[:, 1:] != values[:, :-1]
        for column in np.flatnonzero(borders.any(axis=0)).tolist():
            ends = np.flatnonzero(np.diff(np.concatenate([[False], borders[:, column], [False]]))).tolist()
            for start, end in zip(ends[::2], ends[1::2], strict=True):
                run = [(column + 1.0, float(start)), (column + 1.0, float(end))]
                runs.append([(b, a) for a, b in run] if turned else run)
    return runs


def _heated(seen: Heat) -> np.ndarray:
    """The picture in pale colours (H, W, 3) uint8, tinted where it is hot."""
    share = 0.7 * seen.heat[..., None].clip(0, 1)
    tinted: np.ndarray = (
        ((1 - share) * pale(seen.image) + share * np.array(rgb(LIGHT["accent"]))).round().astype(np.uint8)
    )
    return tinted


def _bar(parts: Sequence[tuple[float, str]], scale: float, start: Point, told: str) -> Element:
    """A bar from `start`, the middle of its left end, of lengths times `scale`, and what it says."""
    x, middle = start
    drawn = []
    for length, colour in parts:
        drawn.append(rect(x, middle - 6, length * scale, 12, style=f"fill:{colour}"))
        x += length * scale
    return group(*drawn, text(x + 8, middle + 5, told))


def _shade(best: bool) -> str:
    return "var(--accent)" if best else "var(--quiet)"


def _three(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _legend_places(entries: Sequence[tuple[str, str]]) -> list[tuple[float, int]]:
    """Where each entry of a legend begins: x, and in which row."""
    places, x, row = [], 0.0, 0
    for name, _ in entries:
        wide = 18 + text_width(name, 13) + 18
        if x and x + wide > _WIDTH:
            x, row = 0.0, row + 1
        places.append((x, row))
        x += wide
    return places


def _legend_rows(entries: Sequence[tuple[str, str]]) -> int:
    return max(row for _, row in _legend_places(entries)) + 1


def _legend(entries: Sequence[tuple[str, str]], x: float, y: float) -> Element:
    """Squares of colours with their names, the first row on the baseline y."""
    parts = []
    for (name, colour), (left, row) in zip(entries, _legend_places(entries), strict=True):
        parts.append(rect(x + left, y - 10 + 22 * row, 12, 12, style=f"fill:{colour};stroke:var(--axis)"))
        parts.append(text(x + left + 18, y + 22 * row, name))
    return group(*parts)


def _column(numbers: Iterable[float | None]) -> np.ndarray:
    return np.array([np.nan if one is None else one for one in numbers], float)
