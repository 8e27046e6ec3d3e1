"""A kernel that slides over a small picture, one product and sum at a time."""

from __future__ import annotations

import numpy as np

from neocog.ops.arithmetic import conv_out
from neocog.ops.convolve import convolve, correlate
from neocog.ops.kernels import read_kernel
from neocog.pictures.figure import Moving, Still
from neocog.pictures.shapes import CELL, arrow, cells, note, number, window
from neocog.pictures.svg import Element, Point, line, path, text

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


def one_step() -> Still:
    """One output of a convolution: nine pixels times nine weights, added up."""
    picture, kernel = _digit(12), read_kernel("sobel-x")
    result = convolve(picture, kernel, "valid")
    row, column = 5, 2
    flipped = kernel[::-1, ::-1]
    seen = picture[row : row + 3, column : column + 3]
    small, top, x_result = 27.0, 32.0, 720 - 6 * 27 - 1.0
    y_result, y_products, pitch = top + 2 * small, top + 8 * small + 56, 3 * CELL + 44
    at = 1 + column * small, top + row * small  # of the window
    goal = x_result + column * small, y_result + row * small
    children: list[Element] = [
        text(0, 16, "picture, 8 x 8", class_="title"),
        text(x_result, y_result - 16, "result, 6 x 6", class_="title"),
        cells(picture, 1, top, side=small, limit=16),
        cells(result, x_result, y_result, side=small, limit=64, signed=True),
        *_lens((at[0], at[1] + 3 * small), 3 * small, (1, y_products), 3 * CELL),
        window(*at, 3, 3, side=small),
        window(*goal, 1, 1, side=small),
    ]
    steps = (("nine pixels", seen, "×"), ("kernel, flipped", flipped, "="), ("products", seen * flipped, ""))
    for i, (title, shown, sign) in enumerate(steps):
        x = 1 + i * pitch
        children += [
            note(x, y_products + 3 * CELL + 20, title),
            cells(shown, x, y_products, limit=2 if i == 1 else 16, signed=i > 0),
            text(x + 3 * CELL + 22, y_products + 1.65 * CELL, sign, text_anchor="middle", class_="title"),
        ]
    total, middle = number(float(result[row, column]), 0), goal[0] + small / 2
    level = y_products + 1.5 * CELL
    children += [
        window(1, y_products, 3, 3),
        arrow((3 * pitch - 34, level), (middle - 52, level), colour="var(--accent)"),
        note((3 * pitch + middle - 86) / 2, level - 10, "added up", anchor="middle"),
        text(middle, level + 5, f"sum = {total}", class_="title", text_anchor="middle"),
        arrow((middle, level - 16), (middle, goal[1] + small + 5), colour="var(--accent)"),
    ]
    alt = (
        "A window of three by three pixels of a handwritten digit, enlarged: each pixel is multiplied by "
        f"the weight that lies on it, the nine products are added, and the sum, {total}, is written into one "
        "cell of the result."
    )
    values = {"picture": picture, "kernel": kernel, "result": result}
    return Still("one-step", alt, 720, y_products + 3 * CELL + 26, children, values)


def _digit(index: int) -> np.ndarray:
    """One of scikit-learn's handwritten digits (8, 8), of grey levels 0 to 16."""
    from sklearn.datasets import load_digits

    digit: np.ndarray = load_digits().images[index]
    return digit


def _lens(start: Point, narrow: float, end: Point, wide: float) -> list[Element]:
    """Lines from the ends of a narrow side to those of a wide one, which enlarges it."""
    ends = [(start, end), ((start[0] + narrow, start[1]), (end[0] + wide, end[1]))]
    return [line(*one, style="stroke:var(--accent)", opacity=0.6) for one in ends]


def stride_and_padding() -> Moving:
    """A 3x3 kernel in steps of two over a 5x5 picture with a ring of zeros: 3x3 results."""
    stride, padding = 2, 1
    padded = np.pad(BINARY, padding)
    result = correlate(padded, DIAGONAL, "valid")[::stride, ::stride]
    count = conv_out(len(BINARY), len(DIAGONAL), stride, padding)
    said_count = f"({len(BINARY)} + 2·{padding} − {len(DIAGONAL)}) / {stride} + 1 = {count}"
    top, x_kernel, x_result = 44.0, 8.2 * CELL, 12.8 * CELL
    background: list[Element] = [
        text(0, 24, "picture, 5 x 5, padding 1", class_="title"),
        text(x_kernel, top + 2 * CELL - 14, "kernel, 3 x 3", class_="title"),
        text(x_result, top + 2 * CELL - 14, f"result, {count} x {count}", class_="title"),
        cells(padded, 1, top, hidden=np.ones_like(padded)),
        *(
            text(1 + (x + 0.5) * CELL, top + (y + 0.65) * CELL, "0", text_anchor="middle", class_="muted")
            for y, x in zip(
                *np.nonzero(np.pad(np.zeros_like(BINARY), padding, constant_values=1)), strict=True
            )
        ),
        cells(BINARY, 1 + CELL, top + CELL, limit=2),
        cells(DIAGONAL, x_kernel, top + 2 * CELL, limit=2),
        arrow((x_kernel + 3.3 * CELL, top + 3.5 * CELL), (x_result - 0.3 * CELL, top + 3.5 * CELL)),
        note(x_kernel, top + 6 * CELL, said_count, "places along each axis"),
    ]
    frames, captions = [], []
    for step, (row, column) in enumerate(np.ndindex(result.shape)):
        y, x = row * stride, column * stride
        said = _sum(padded[y : y + 3, x : x + 3], int(result[row, column]))
        later = np.arange(result.size).reshape(result.shape) > step
        frames.append(
            [
                window(1 + x * CELL, top + y * CELL, 3, 3),
                cells(result, x_result, top + 2 * CELL, limit=6, hidden=later),
                window(x_result + column * CELL, top + (row + 2) * CELL, 1, 1),
                note(0, top + 7 * CELL + 30, said, class_=None),
            ]
        )
        captions.append(f"Row {row + 1}, column {column + 1}, each step two cells: {said}.")
    alt = (
        "A window of three by three cells moves in steps of two over a picture of five by five cells with a "
        f"ring of zeros around it. Nine sums are written into the result, whose rows are {result.tolist()}."
    )
    values = {"picture": BINARY, "kernel": DIAGONAL, "result": result, "count": np.array(count)}
    height = top + 7 * CELL + 44
    return Moving(
        "stride-and-padding",
        alt,
        x_result + 3.2 * CELL,
        height,
        background,
        frames,
        captions,
        values,
        seconds=0.9,
    )


def two_maps() -> Moving:
    """Two filters scan one picture, each with the same nine weights everywhere, and write two maps."""
    picture = _digit(7)
    kernels = [read_kernel(name)[::-1, ::-1] for name in ("sobel-x", "sobel-y")]
    maps = np.stack([correlate(picture, kernel, "valid") for kernel in kernels])
    top, side, pitch = 32.0, 28.0, 8 * 28.0
    x_kernel, x_map, y_picture = 8 * CELL + 66, 8 * CELL + 210, top + 52
    background: list[Element] = [
        text(0, y_picture - 16, "one picture", class_="title"),
        cells(picture, 1, y_picture, limit=16),
    ]
    for i, kernel in enumerate(kernels):
        y = top + i * pitch
        middle = y + 3 * side
        background += [
            text(x_kernel, y + 1.5 * side - 12, f"filter {i + 1}", class_="title"),
            cells(kernel, x_kernel, y + 1.5 * side, side=side, signed=True),
            text(x_map, y - 12, f"map {i + 1}: {('upright', 'level')[i]} edges", class_="title"),
            cells(maps[i], x_map, y, side=side, limit=64, signed=True),
            arrow((8 * CELL + 8, y_picture + 4 * CELL + (i - 0.5) * 90), (x_kernel - 8, middle)),
            arrow((x_kernel + 3 * side + 8, middle), (x_map - 8, middle)),
        ]
    frames, captions = [], []
    for row, column in np.ndindex(maps.shape[1:]):
        frame: list[Element] = [window(1 + column * CELL, y_picture + row * CELL, 3, 3)]
        for i in range(len(kernels)):
            y = top + i * pitch
            frame += [
                *_cover(x_map, y, side, row, column),
                window(x_map + column * side, y + row * side, 1, 1, side=side),
            ]
        frames.append(frame)
        told = " and ".join(number(float(value), 0) for value in maps[:, row, column])
        captions.append(f"Row {row + 1}, column {column + 1}: the filters answer {told}.")
    alt = (
        "A window of three by three pixels moves over a handwritten digit. Two filters answer at each place "
        "and write two maps, one of upright and one of level edges, positive in blue and negative in orange."
    )
    values = {"picture": picture, "kernels": np.stack(kernels), "maps": maps}
    width, height = x_map + 6 * side + 20, top + pitch + 6 * side + 1
    return Moving("two-maps", alt, width, height, background, frames, captions, values, seconds=0.3)


def _cover(x: float, y: float, side: float, row: int, column: int) -> list[Element]:
    """What hides the cells of a 6x6 map that come after this one: a small frame needs no grid of its own."""
    left, right, upper, lower = x + (column + 1) * side, x + 6 * side, y + row * side, y + 6 * side
    corners = [
        (left, upper),
        (right, upper),
        (right, lower),
        (x, lower),
        (x, upper + side),
        (left, upper + side),
    ]
    look = "fill:var(--surface);stroke:var(--axis)"
    return [path([corners], closed=True, style=look)] if (row, column) != (5, 5) else []
