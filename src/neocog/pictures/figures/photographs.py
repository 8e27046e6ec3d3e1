"""Kernels on photographs: what they answer to, and how little of it is not zero."""

from __future__ import annotations

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from neocog.ops.arithmetic import conv_out
from neocog.ops.convolve import correlate
from neocog.ops.filter import filter_image
from neocog.ops.kernels import gabor, gaussian, laplacian_of_gaussian, read_kernel
from neocog.pictures.axes import Axis
from neocog.pictures.figure import Still
from neocog.pictures.figures.samples import Name, credit, photograph
from neocog.pictures.figures.signals import bar, stage
from neocog.pictures.maps import coloured, signed_rgb
from neocog.pictures.shapes import arrow, cells, note, values_picture, window
from neocog.pictures.svg import Element, line, pixels, text

_WIDTH = 720.0


def _credit(name: Name, y: float) -> Element:
    return note(0, y, credit(name), class_="small muted")


def laplacian_photograph() -> Still:
    """Both Laplacians of a photograph: flat parts give nothing, edges give a pair of lines."""
    picture = photograph("china", 384)[9:163, 18:250]
    grey = np.asarray(Image.fromarray(picture).convert("L"))
    kernels = {name: read_kernel(name) for name in ("laplacian", "laplacian-4")}
    answers = {name: filter_image(grey, kernel) for name, kernel in kernels.items()}
    wide, top = 348.0, 26.0
    high = wide * len(picture) / picture.shape[1]
    right, below = _WIDTH - wide, top + high + 46
    children: list[Element] = [
        text(0, 16, "A photograph", class_="title"),
        pixels(0, top, wide, high, picture, smooth=True, jpeg=True),
        _credit("china", top + high + 16),
        note(
            right,
            top + high - 56,
            "The weights of each add up to 0: where a picture",
            "is even, the answer is 0. Blue: brighter than the",
            "pixels around, orange: darker.",
        ),
    ]
    for i, (name, kernel) in enumerate(kernels.items()):
        x, title = i * right, f"Laplacian of {(8, 4)[i]} neighbours"
        children += [
            text(right + i * 180, 16, f"{(8, 4)[i]} neighbours", class_="title"),
            cells(kernel, right + 1 + i * 180, top + 1, side=42, signed=True, limit=8),
            text(x, below, title, class_="title"),
            _map(answers[name], x, below + 10, wide),
        ]
    alt = (
        "A photograph of a pagoda under the sky, and its convolutions with two Laplacian kernels. Sky and "
        "water vanish; roofs, windows and railings remain as pairs of bright and dark lines."
    )
    values = {"grey": grey, **answers}
    return Still("laplacian-photograph", alt, _WIDTH, below + 10 + high, children, values)


def _map(values: np.ndarray, x: float, y: float, wide: float) -> Element:
    """Signed answers of a kernel as a picture, all but the strongest hundredth within the colours."""
    limit = float(np.quantile(np.abs(values), 0.99))
    high = wide * values.shape[0] / values.shape[1]
    return pixels(x, y, wide, high, coloured(values, limit, signed=True), smooth=True, jpeg=True)


def sobel_close_up() -> Still:
    """Eight by eight pixels across an edge, their slopes in x and y, and how steep they are."""
    picture = photograph("china", 240)
    grey = np.asarray(Image.fromarray(picture).convert("L")).astype(int)
    row, column, count = 26, 82, 8
    crop = grey[row : row + count, column : column + count]
    kernels = [read_kernel(name) for name in ("sobel-x", "sobel-y")]
    slopes = [filter_image(crop, kernel, padding="none") for kernel in kernels]
    steep = np.hypot(*slopes)
    wide, top, side = 384.0, 26.0, 34.0
    scale = wide / picture.shape[1]
    x_crop = _WIDTH - count * side - 1
    at = column * scale, top + row * scale
    below = top + count * side + 40
    children: list[Element] = [
        text(0, 16, "A photograph", class_="title"),
        pixels(0, top, wide, scale * len(picture), picture, smooth=True, jpeg=True),
        _credit("china", top + scale * len(picture) + 14),
        text(x_crop, 16, "Grey levels at its edge", class_="title"),
        *(
            line((at[0] + count * scale, y), (x_crop, v), style="stroke:var(--accent)", opacity=0.6)
            for y, v in ((at[1], top), (at[1] + count * scale, top + count * side))
        ),
        window(*at, count, count, side=scale),
        cells(crop, x_crop, top, side=side, limit=255, grey=True),
    ]
    pitch, limit = 251.0, float(steep.max())
    for i, (title, kernel, answer) in enumerate(
        (("to the right", kernels[0], slopes[0]), ("downwards", kernels[1], slopes[1]))
    ):
        x = 1 + i * pitch
        children += [
            text(x, below, f"sobel-{'xy'[i]}", class_="title"),
            cells(kernel, x, below + 12, side=24, signed=True),
            note(x + 86, below + 46, "brighter", title),
            cells(answer, x, below + 100, side=36, limit=limit, signed=True),
        ]
    children += [
        text(1 + 2 * pitch, below, "magnitude", class_="title"),
        note(
            1 + 2 * pitch,
            below + 32,
            "the root of x² + y²:",
            "how steep the edge is,",
            "whatever its direction",
        ),
        cells(steep, 1 + 2 * pitch, below + 100, side=36, limit=limit),
    ]
    alt = (
        "Part of a photograph as eight by eight grey levels across the edge of a roof against the sky. Under "
        "it the answers of the two Sobel kernels and the root of the sum of their squares: large along the "
        "edge, small beside it."
    )
    values = {"crop": crop, "x": slopes[0], "y": slopes[1], "magnitude": steep}
    return Still("sobel-close-up", alt, _WIDTH, below + 100 + 6 * 36 + 2, children, values)


def edges_as_sparsity() -> Still:
    """A photograph and its edge map: nearly all numbers of the second are close to zero."""
    picture = photograph("flower", 232)
    grey = np.asarray(Image.fromarray(picture).convert("L")) / 255
    edges = np.hypot(*(filter_image(grey, read_kernel(name)) for name in ("sobel-x", "sobel-y")))
    strength = edges / edges.max()
    near = 0.05
    wide, top = 348.0, 26.0
    high = wide * len(picture) / picture.shape[1]
    below, right = top + high + 56, _WIDTH - wide
    shown = coloured(strength, float(np.quantile(strength, 0.99)), signed=False)
    children: list[Element] = [
        text(0, 16, "A photograph", class_="title"),
        text(right, 16, "Its edges", class_="title"),
        pixels(0, top, wide, high, picture, smooth=True, jpeg=True),
        pixels(right, top, wide, high, shown, smooth=True, jpeg=True),
        _credit("flower", top + high + 18),
    ]
    shares = []
    bins = np.linspace(0, 1, 21)
    plots = ((0.0, "grey levels", "white", grey), (right, "edge values", "the strongest", strength))
    for x, title, largest, values in plots:
        share = float((values < near).mean())
        drawn, plot = stage(
            f"{100 * share:.0f} % of {title} are under {near:g}",
            bins,
            Axis("", lower=0, upper=1),
            (x, below),
            x_title=f"value (1: {largest})",
            width=wide,
            height=120,
        )
        children += [drawn, note(plot.x.end, plot.y.end + 14, "share of all pixels", anchor="end")]
        heights = np.histogram(values, bins)[0] / values.size
        for i, height in enumerate(heights):
            colour = "var(--quiet)" if i else "var(--accent)"
            children.append(bar(plot, bins[i], bins[i + 1], height, colour))
        shares.append(share)
    alt = (
        "A photograph of a flower, its edge map, and a histogram of each. The grey levels are spread over "
        f"their range; {100 * shares[1]:.0f} % of the edge strengths lie under a twentieth of the largest."
    )
    values = {"grey": grey, "edges": edges, "shares": np.array(shares)}
    return Still("edges-as-sparsity", alt, _WIDTH, below + 178, children, values)


def six_filters() -> Still:
    """A 32x32x3 picture under six 5x5x3 filters: six maps of 28x28."""
    whole = photograph("flower", 640)[80:372, 160:452]
    picture = np.asarray(Image.fromarray(whole).resize((32, 32), Resampling.LANCZOS)) / 255
    filters = _filters()
    maps = correlate(picture[None], filters, "valid", axes=(1, 2, 3))[..., 0]
    count = conv_out(32, 5)
    large, x_picture, side, pitch = 192.0, 264.0, 105.0, 123.0
    y_filter, y_map = 276.0, 376.0
    children: list[Element] = [
        text(x_picture, 16, "picture: 32 x 32 x 3", class_="title"),
        pixels(x_picture, 26, large, large, (picture * 255 + 0.5).astype(np.uint8)),
        note(0, 100, "A filter of 5 x 5 x 3 weights", "lies on 5 x 5 pixels in all three"),
        note(0, 136, f"colours: {filters[0].size} products, added", "up to one number."),
        note(
            486,
            109,
            f"It has {count} x {count} places to lie on,",
            f"so six filters give {count} x {count} x 6.",
        ),
        window(x_picture + 84, 26 + 66, 5, 5, side=6),
    ]
    for i, (filter_, answer) in enumerate(zip(filters, maps, strict=True)):
        x = i * pitch
        middle = x + side / 2
        children += [
            arrow((x_picture + large / 2 + (i - 2.5) * 30, 222), (middle, y_filter - 6)),
            pixels(middle - 30, y_filter, 60, 60, signed_rgb(filter_, float(np.abs(filter_).max()))),
            arrow((middle, y_filter + 66), (middle, y_map - 6)),
            values_picture(answer, x, y_map, side, signed=True),
            text(middle, y_map + side + 18, _FILTERS[i], text_anchor="middle", class_="small muted"),
        ]
    children.append(_credit("flower", y_map + side + 44))
    alt = (
        "A flower as a picture of 32 by 32 pixels in three colours. Arrows lead to six filters of 5 by 5 by "
        f"3 weights and on to six maps of {count} by {count}: of upright, level and slanted edges, of spots, "
        "of red against green and of yellow against blue."
    )
    values = {"picture": picture, "filters": filters, "maps": maps, "count": np.array(count)}
    return Still("six-filters", alt, _WIDTH, y_map + side + 48, children, values)


_FILTERS = ("upright edges", "level edges", "slanted edges", "spots", "red, not green", "yellow, not blue")


def _filters() -> np.ndarray:
    """Six filters (6, 5, 5, 3) such as a network learns first: four of brightness, two of colour."""
    bell = gaussian(0.6)
    shapes = [gabor(5, angle, 90, 0.75) for angle in (0, 90, 45)] + [-laplacian_of_gaussian(0.6), bell, bell]
    colours = [(1, 1, 1)] * 4 + [(1, -1, 0), (0.5, 0.5, -1)]
    return np.stack(
        [shape[..., None] * np.array(colour) for shape, colour in zip(shapes, colours, strict=True)]
    )
