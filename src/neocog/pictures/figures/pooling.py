"""Pooling: the largest value of every window, where it stood, and the way back."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from neocog.ops.arithmetic import conv_out
from neocog.ops.convolve import correlate
from neocog.ops.pool import max_pool, mean_pool, unpool
from neocog.parts.upsample import Upsample
from neocog.pictures.figure import Still
from neocog.pictures.figures.samples import credit, grey, square
from neocog.pictures.shapes import arrow, note, number, values_picture, window
from neocog.pictures.svg import Element, Point, group, path, pixels, rect, text

MAP = np.array([[3, 1, 0, 2], [6, 4, 5, 1], [2, 7, 1, 3], [0, 5, 8, 4]])
SOBEL = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
_SIDE = 44.0


def _pooled(values: np.ndarray, kernel: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Max-pooling of one map (H, W): the maxima, and the flat positions in which they stood."""
    maxima, switches = max_pool(torch.from_numpy(values)[None, None], kernel)
    return maxima[0, 0].numpy(), switches[0, 0].numpy()


def _tinted(
    values: np.ndarray,
    owners: np.ndarray,
    strong: np.ndarray,
    x: float,
    y: float,
    *,
    side: float = _SIDE,
    digits: int = 0,
) -> Element:
    """Values (H, W) in squares of their owner's colour (H, W), full where they are `strong`; -1: of none."""
    size, parts = min(15.0, 0.36 * side), []
    for owner in np.unique(owners[owners >= 0]):
        squares = [_square(x, y, side, *place) for place in np.argwhere(owners == owner)]
        look = f"fill:var(--series-{owner})"
        parts.append(path(squares, closed=True, style=look, opacity=0.2))
        full = [_square(x, y, side, *place) for place in np.argwhere((owners == owner) & strong)]
        parts.append(path(full, closed=True, style=look))
    for row, column in np.ndindex(values.shape):
        left, top = x + column * side, y + row * side
        parts.append(rect(left, top, side, side, style="fill:none;stroke:var(--axis)"))
        ink = "surface" if strong[row, column] else "ink" if owners[row, column] >= 0 else "muted"
        look = f"fill:var(--{ink});font-size:{size:.3g}px" + (
            ";font-weight:600" if strong[row, column] else ""
        )
        shown = number(float(values[row, column]), digits)
        middle = left + side / 2, top + side / 2 + 0.36 * size
        parts.append(text(*middle, shown, text_anchor="middle", style=look))
    return group(*parts)


def _square(x: float, y: float, side: float, row: int, column: int) -> list[Point]:
    left, top = x + column * side, y + row * side
    return [(left, top), (left + side, top), (left + side, top + side), (left, top + side)]


_WINDOWS = np.kron(np.arange(4).reshape(2, 2), np.ones((2, 2), int))  # of 4 x 4 cells, the window of each
_OWN, _EVERY = np.arange(4).reshape(2, 2), np.ones((2, 2), bool)


def max_pooling() -> Still:
    """Windows of 2x2 that do not overlap: the maximum of each, its place, and for comparison the mean."""
    maxima, switches = _pooled(MAP)
    means = mean_pool(torch.from_numpy(MAP[None, None].astype(float)), 2)[0, 0].numpy()
    chosen = np.isin(np.arange(MAP.size).reshape(MAP.shape), switches)
    top, results = 58.0, (270.0, 430.0, 590.0)
    middle = top + _SIDE
    parts: list[Element] = [
        text(0, 20, "one map, 4 x 4", class_="title"),
        note(0, 40, "four windows of 2 x 2"),
        _tinted(MAP, _WINDOWS, chosen, 1, top),
        arrow((4 * _SIDE + 16, top + 2 * _SIDE), (results[0] - 16, top + 2 * _SIDE)),
    ]
    columns = (
        ("max-pooling", "the largest of each", maxima, 0, True),
        ("switches", "cell it came from", switches, 0, False),
        ("mean pooling", "the mean of each", means, 1, False),
    )
    for x, (title, said, shown, digits, strong) in zip(results, columns, strict=True):
        parts += [
            text(x, 20, title, class_="title"),
            note(x, 40, said),
            _tinted(shown, _OWN, _EVERY & strong, x, middle, digits=digits),
        ]
    note_y = middle + 2 * _SIDE + 26
    parts.append(note(results[1], note_y, "cells are counted from 0,", "row by row"))
    alt = (
        f"A map of four by four numbers in four coloured windows. The largest of each window, "
        f"{maxima.flatten().tolist()}, make a map of two by two. Beside it the cells where they stood, "
        f"{switches.flatten().tolist()}, and the means of the windows, {means.flatten().tolist()}."
    )
    values = {"map": MAP, "maxima": maxima, "switches": switches, "means": means}
    return Still("max-pooling", alt, 720, top + 4 * _SIDE + 22, parts, values)


def _edges(side: int) -> np.ndarray:
    """Where a photograph grows brighter to the right, (side, side): a filtered map, after its ReLU."""
    padded = np.pad(grey(square("china", side)), 1, mode="edge")
    edges: np.ndarray = correlate(padded, SOBEL, "valid").clip(min=0)
    return edges


def large_map_pooled() -> Still:
    """A map of 224 x 224 and what pooling leaves of it, at one scale."""
    side, scale, crop = 224, 1.4, 16
    edges = _edges(side)
    pooled, _ = _pooled(edges)
    half = conv_out(side, 2, stride=2)
    row, column = _busiest(edges, crop)
    near = edges[row : row + crop, column : column + crop]
    near_pooled = pooled[row // 2 : (row + crop) // 2, column // 2 : (column + crop) // 2]
    limit = float(np.quantile(edges, 0.995))
    top, x_map, x_pooled, near_side = 50.0, 150.0, 540.0, 112.0
    wide, cell = side * scale, near_side / crop
    middle = top + half * scale / 2
    low = top + wide - near_side
    parts: list[Element] = [
        text(0, 20, "photograph", class_="title"),
        pixels(0, top, near_side, near_side, square("china", side // 2), smooth=True),
        arrow((near_side + 6, top + near_side / 2), (x_map - 6, top + near_side / 2)),
        text(x_map, 20, f"a map of its edges, {side} x {side}", class_="title"),
        note(x_map, 40, f"{side * side:,} values"),
        values_picture(edges, x_map, top, wide, limit=limit),
        text(x_pooled, 20, f"pooled, {half} x {half}", class_="title"),
        note(x_pooled, 40, f"{half * half:,} values"),
        values_picture(pooled, x_pooled, top, half * scale, limit=limit),
        arrow((x_map + wide + 6, middle), (x_pooled - 6, middle)),
        note((x_map + wide + x_pooled) / 2, middle - 10, "2 x 2", anchor="middle"),
        window(x_map + column * scale, top + row * scale, crop, crop, side=scale),
        window(x_pooled + column * scale / 2, top + row * scale / 2, crop // 2, crop // 2, side=scale),
        values_picture(near, 0, low, near_side, limit=limit),
        window(0, low, crop, crop, side=cell),
        note(0, low - 10, "framed part, nearer"),
        values_picture(near_pooled, x_pooled, low, near_side, limit=limit),
        window(x_pooled, low, 1, 1, side=near_side),
        note(x_pooled, low - 10, "the same, pooled"),
        note(0, top + wide + 24, credit("china")),
    ]
    alt = (
        f"A map of {side} by {side} values, the edges of a photograph, beside the map of {half} by "
        f"{half} that max-pooling makes of it, at the same scale: a quarter of the area, and every edge is "
        "still there. A framed part is enlarged from both."
    )
    values = {
        "bright": grey(square("china", side)),
        "map": edges,
        "pooled": pooled,
        "sides": np.array([side, half]),
    }
    return Still("large-map-pooled", alt, 720, top + wide + 30, parts, values)


def _busiest(values: np.ndarray, side: int) -> tuple[int, int]:
    """Row and column, both even, of the square of this side with the largest sum."""
    sums = correlate(values, np.ones((side, side)), "valid")[::2, ::2]
    row, column = np.unravel_index(sums.argmax(), sums.shape)
    return 2 * int(row), 2 * int(column)


def unpooling() -> Still:
    """Max-pooling undone: every maximum goes back to its cell; and what enlarging without switches does."""
    edges = _edges(64)
    few, many = _there_and_back(MAP, 2), _there_and_back(edges, 4)
    chosen = np.isin(np.arange(MAP.size).reshape(MAP.shape), few["switches"])
    none, nobody = np.zeros_like(chosen), np.full(MAP.shape, -1)
    side, gap, top = 32.0, 36.0, 62.0
    wide = 4 * side
    below = top + wide + 48
    columns = (
        ("map", "2 x 2 windows", MAP, _WINDOWS, chosen),
        ("pooled", "maxima", few["pooled"], _OWN, _EVERY),
        ("unpooled", "by switches", few["unpooled"], np.where(chosen, _WINDOWS, -1), chosen),
        ("nearest", "repeated", few["nearest"], _WINDOWS, none),
        ("bilinear", "interpolated", few["bilinear"], nobody, none),
    )
    parts: list[Element] = []
    x = 1.0
    for head, said, small, owners, strong in columns:
        size = side * len(small)
        down = (wide - size) / 2
        digits = 1 if head == "bilinear" else 0
        parts += [
            text(x, 20, head, class_="title"),
            note(x, 40, said),
            _tinted(small, owners, strong, x, top + down, side=side, digits=digits),
            values_picture(many[head], x, below + down, size, limit=float(edges.max())),
        ]
        x += size + gap
    said = "The same with the edges of a photograph, 64 x 64, in windows of 4 x 4:"
    parts.append(note(1, below - 14, said))
    parts.append(note(1, below + wide + 26, credit("china")))
    alt = (
        "A map of four by four numbers, its two by two maxima, and three ways back: unpooling puts each "
        "maximum into the cell that it came from and zeros elsewhere; nearest repeats it; bilinear "
        "interpolates. Below, the same with a map of edges: unpooling alone keeps the edges where they were."
    )
    values = {**few, **{f"large {name}": made for name, made in many.items()}}
    return Still("unpooling", alt, 720, below + wide + 32, parts, values)


def _there_and_back(values: np.ndarray, kernel: int) -> dict[str, np.ndarray]:
    """A map (H, W), pooled, and made as large as before in three ways."""
    maps = torch.from_numpy(np.asarray(values, np.float32))[None, None]
    pooled, switches = max_pool(maps, kernel)
    made = {
        "map": maps,
        "pooled": pooled,
        "switches": switches,
        "unpooled": unpool(pooled, switches, (len(values), len(values[0]))),
        "nearest": F.interpolate(pooled, scale_factor=kernel, mode="nearest"),
        "bilinear": Upsample(1, kernel)(pooled),
    }
    return {name: one[0, 0].numpy() for name, one in made.items()}
