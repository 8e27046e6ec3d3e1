"""A convolution of 1x1: no neighbours, only channels."""

from __future__ import annotations

import numpy as np

from neocog.ops.arithmetic import conv_parameters
from neocog.ops.convolve import correlate
from neocog.pictures.figure import Still
from neocog.pictures.figures.samples import credit, square
from neocog.pictures.shapes import arrow, cells, note, values_picture, window
from neocog.pictures.svg import Element, pixels, text

MIX = np.array([[1, 1, 1], [2, -2, 0], [-1, -1, 2]]) / [[3], [2], [2]]
"""Of red, green and blue: brightness, red against green, blue against yellow."""

_SIDE, _PIXEL = 96, (30, 46)


def one_by_one() -> Still:
    """At every pixel one small matrix makes new channels of the old ones."""
    picture = square("flower", _SIDE)
    channels = picture.transpose(2, 0, 1) / 255
    maps = np.concatenate([correlate(channels, row[:, None, None], "valid") for row in MIX])
    seen, made = channels[:, *_PIXEL], maps[:, *_PIXEL]
    tile, pitch, top = 96.0, 116.0, 56.0
    x_channels, x_matrix, x_maps = 128.0, 262.0, 618.0
    middle = top + pitch + tile / 2
    cell, high = 48.0, middle - 72.0
    parts: list[Element] = [
        text(0, 20, "photograph", class_="title"),
        pixels(0, top + pitch, tile, tile, picture, smooth=True),
        text(x_channels, 20, "3 channels", class_="title"),
        text(x_matrix, 20, "at each pixel the same matrix", class_="title"),
        text(x_maps, 20, "3 new ones", class_="title"),
        cells(MIX, x_matrix, high, side=cell, signed=True, limit=1.5, digits=2),
        note(x_matrix + 3 * cell + 11, middle + 5, "·", anchor="middle", class_="title"),
        cells(seen[:, None], x_matrix + 3 * cell + 22, high, side=cell, signed=True, limit=1.5, digits=2),
        note(x_matrix + 4 * cell + 38, middle + 5, "=", anchor="middle", class_="title"),
        cells(made[:, None], x_matrix + 4 * cell + 54, high, side=cell, signed=True, limit=1.5, digits=2),
    ]
    names = ("red", "green", "blue"), ("brightness", "red − green", "blue − yellow")
    for number in range(3):
        y = top + number * pitch
        shown = np.round(255 * channels[number]).astype(np.uint8)
        parts += [
            pixels(x_channels, y, tile, tile, shown, smooth=True),
            values_picture(maps[number], x_maps, y, tile, signed=True, limit=float(np.abs(maps).max())),
            note(x_channels, y - 6, names[0][number]),
            note(x_maps, y - 6, names[1][number]),
        ]
        for x in (x_channels, x_maps):
            parts.append(_mark(x, y, tile))
    small, large = (conv_parameters(64, 16, kernel) for kernel in (1, 3))
    parts += [
        arrow((x_channels + tile + 8, middle), (x_matrix - 8, middle)),
        arrow((x_matrix + 5 * cell + 62, middle), (x_maps - 8, middle)),
        note(x_matrix, high + 3 * cell + 30, "W, a kernel of 1 x 1 by 3 channels a row"),
        note(
            x_matrix,
            top + 3 * pitch - 40,
            f"From 64 channels to 16 it has {small:,} weights;",
            f"a kernel of 3 x 3 has {large:,}.",
        ),
        note(0, top + 3 * pitch + 4, credit("flower")),
    ]
    alt = (
        "A photograph of a flower as three channels, red, green and blue. At one marked pixel their values "
        f"{seen.round(2).tolist()} are multiplied by a matrix of three by three and give "
        f"{made.round(2).tolist()}; done at every pixel this makes three new maps: brightness, red against "
        "green, blue against yellow."
    )
    values = {"channels": channels, "matrix": MIX, "maps": maps, "counts": np.array([small, large])}
    return Still("one-by-one", alt, 720, top + 3 * pitch + 10, parts, values)


def _mark(x: float, y: float, tile: float) -> Element:
    """Where the pixel of the equation lies on a picture of this side."""
    row, column = ((place + 0.5) * tile / _SIDE for place in _PIXEL)
    return window(x + column - 4, y + row - 4, 1, 1, side=8)
