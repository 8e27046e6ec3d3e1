"""A kernel that slides over a small picture, one product and sum at a time."""

from __future__ import annotations

import numpy as np

from neocog.ops.convolve import correlate
from neocog.pictures.figure import Moving
from neocog.pictures.shapes import CELL, arrow, cells, note, number, window
from neocog.pictures.svg import Element, text

BINARY = np.array([[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]])
DIAGONAL = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]])


def binary_image() -> Moving:
    """A 3x3 kernel over a 5x5 picture of zeros and ones: nine positions, nine sums."""
    result = correlate(BINARY, DIAGONAL, "valid")
    top, x_kernel, x_result = 44.0, 6 * CELL, 10.6 * CELL
    background: list[Element] = [
        text(0, 24, "picture, 5 x 5", class_="title"),
        text(x_kernel, 24, "kernel, 3 x 3", class_="title"),
        text(x_result, 24, "result, 3 x 3", class_="title"),
        cells(BINARY, 1, top, limit=2),
        cells(DIAGONAL, x_kernel, top + CELL, limit=2),
        arrow((x_kernel + 3.2 * CELL, top + 2.5 * CELL), (x_result - 0.3 * CELL, top + 2.5 * CELL)),
    ]
    frames, captions = [], []
    for step, (row, column) in enumerate(np.ndindex(result.shape)):
        seen = BINARY[row : row + 3, column : column + 3]
        later = np.arange(result.size).reshape(result.shape) > step
        frames.append(
            [
                window(1 + column * CELL, top + row * CELL, 3, 3),
                cells(result, x_result, top + CELL, limit=6, hidden=later),
                window(x_result + column * CELL, top + (row + 1) * CELL, 1, 1),
                note(0, top + 5 * CELL + 30, _sum(seen, int(result[row, column])), class_=None),
            ]
        )
        captions.append(f"Row {row + 1}, column {column + 1}: {_sum(seen, int(result[row, column]))}.")
    alt = (
        "A window of three by three cells moves over a picture of five by five zeros and ones. Each time the "
        f"products with the kernel are added and written into the result, whose rows are {result.tolist()}."
    )
    width, height = x_result + 3.2 * CELL, top + 5 * CELL + 44
    values = {"picture": BINARY, "kernel": DIAGONAL, "result": result}
    return Moving("binary-image", alt, width, height, background, frames, captions, values, seconds=0.9)


def _sum(seen: np.ndarray, total: int) -> str:
    products = " + ".join(f"{a}·{b}" for a, b in zip(seen.flat, DIAGONAL.flat, strict=True))
    return f"{products} = {number(total, 0)}"
