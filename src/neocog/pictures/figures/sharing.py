"""What sharing weights saves: connections one by one, and their number for a large picture."""

from __future__ import annotations

import numpy as np

from neocog.ops.arithmetic import conv_parameters, dense_parameters, local_parameters
from neocog.ops.convolve import correlate
from neocog.pictures.axes import Axis, fit_scale, tick_label
from neocog.pictures.figure import Still
from neocog.pictures.figures.samples import credit, square
from neocog.pictures.shapes import note
from neocog.pictures.svg import Element, circle, group, line, path, pixels, rect, text

_UNITS, _TAPS = 7, 3


def parameter_sharing() -> Still:
    """Units in two rows and the lines between them, a colour a weight; and the same as a matrix."""
    taps = correlate(np.eye(_UNITS, dtype=int), np.arange(1, _TAPS + 1)[None], "valid").T
    outputs = len(taps)
    own = _TAPS + 1  # a kind of link: a weight that is used once
    panels = (
        ("fully connected", np.full_like(taps, own), dense_parameters(_UNITS, outputs, bias=False)),
        ("locally connected", np.where(taps, own, 0), dense_parameters(_TAPS, outputs, bias=False)),
        ("convolution", taps, dense_parameters(_TAPS, 1, bias=False)),
    )
    said = (
        ("each output sees every input,", "each line is a weight of its own"),
        (f"each sees {_TAPS} neighbours,", "each line is a weight of its own"),
        (f"each sees {_TAPS} neighbours,", "a colour is one weight, shared"),
    )
    parts: list[Element] = []
    for number, (title, links, count) in enumerate(panels):
        x = number * 250.0
        parts += [
            text(x, 20, title, class_="title"),
            _graph(links, x + 6, 118),
            note(x, 230, *said[number]),
            _matrix(links, x, 274),
            text(x + 150, 274 + 56, str(count), style="font-size:22px;font-weight:600"),
            note(x + 150, 274 + 78, "weights"),
        ]
    parts += [note(0, 48, "outputs"), note(0, 274 + 5 * 20 + 24, "the same as a matrix: a row an output")]
    alt = (
        f"Three graphs of {_UNITS} inputs below {outputs} outputs. Fully connected: {panels[0][2]} lines, "
        f"each a weight. Locally connected: {panels[1][2]} lines, each a weight. Convolution: as many in "
        f"{panels[2][2]} colours, each a shared weight. Below, their matrices: full, a band, and a band with "
        "a colour for each diagonal."
    )
    values = {
        "taps": taps,
        "counts": np.array([count for _, _, count in panels]),
    }
    return Still("parameter-sharing", alt, 720, 274 + 5 * 20 + 32, parts, values)


def _colour(link: int) -> str:
    return "var(--quiet)" if link > _TAPS else f"var(--series-{link - 1})"


def _graph(links: np.ndarray, x: float, y: float) -> Element:
    """Inputs (columns of `links`) at the bottom, outputs (rows) above, and a line where a link is not 0."""
    pitch, rise, side = 32.0, 62.0, (links.shape[1] - links.shape[0]) / 2
    below = [(x + 8 + pitch * i, y + rise + 22) for i in range(links.shape[1])]
    above = [(x + 8 + pitch * (j + side), y - rise + 22) for j in range(links.shape[0])]
    parts = []
    for kind in range(1, _TAPS + 2):
        runs = [[below[i], above[j]] for j, i in np.argwhere(links == kind)]
        if runs:
            width = 1.2 if kind > _TAPS else 2.4
            parts.append(path(runs, style=f"fill:none;stroke:{_colour(kind)}", stroke_width=width))
    ring = "fill:var(--surface);stroke:var(--ink)"
    parts += [circle(place, 8, style=ring, stroke_width=1.5) for place in (*below, *above)]
    return group(*parts)


def _matrix(links: np.ndarray, x: float, y: float, side: float = 20.0) -> Element:
    parts = []
    for (row, column), link in np.ndenumerate(links):
        fill = _colour(link) if link else "var(--surface)"
        look = f"fill:{fill};stroke:var({'--surface' if link else '--grid'})"
        parts.append(rect(x + column * side, y + row * side, side, side, style=look))
    return group(*parts)


def sharing_counts() -> Still:
    """A picture of 1000 x 1000 and a million hidden units: the weights of three kinds of layer."""
    side, kernel = 1000, 10
    units = side * side
    rows = (
        ("fully connected", "every unit sees every pixel", dense_parameters(units, units, bias=False)),
        (
            "locally connected",
            f"every unit has {kernel} x {kernel} weights of its own",
            local_parameters(units, kernel, bias=False),
        ),
        (
            "convolution",
            f"all units share {kernel} x {kernel} weights",
            conv_parameters(1, 1, kernel, bias=False),
        ),
    )
    left, top, pitch, icon = 190.0, 64.0, 118.0, 84.0
    counts = [count for _, _, count in rows]
    scale = fit_scale(Axis("", log=True, lower=1), counts, left, 640)
    bottom = top + 3 * pitch - 20
    parts: list[Element] = [
        text(0, 20, f"{side} x {side} pixels, a million hidden units: how many weights?", class_="title")
    ]
    for value, label in scale.ticks(70):
        parts.append(line((scale(value), top - 10), (scale(value), bottom), class_="grid"))
        parts.append(text(scale(value), bottom + 20, label, class_="muted", text_anchor="middle"))
    for number, (title, said, count) in enumerate(rows):
        y = top + number * pitch
        colour = "var(--accent)" if title == "convolution" else "var(--quiet)"
        parts += [
            _icon(title, 0, y, icon),
            note(left, y + 8, title, class_="halo"),
            note(left, y + 26, said, class_="muted halo"),
            rect(left, y + 38, scale(count) - left, 26, style=f"fill:{colour}"),
            note(left, y + 82, f"{tick_label(count)} weights, {_memory(4 * count)}", class_="halo"),
        ]
    parts.append(note((left + 640) / 2, bottom + 42, "weights, on a logarithmic scale", anchor="middle"))
    parts.append(note(0, bottom + 66, credit("china") + "; windows are drawn larger than they are"))
    alt = (
        f"Logarithmic bars. With a million units over a picture of {side} by {side} pixels a fully "
        f"connected layer has {counts[0]:.0e} weights, a locally connected one with windows of {kernel} by "
        f"{kernel} has {counts[1]:.0e}, and a convolution, which shares one window, has {counts[2]}."
    )
    values = {"counts": np.array(counts)}
    return Still("sharing-counts", alt, 720, bottom + 72, parts, values)


def _icon(kind: str, x: float, y: float, side: float) -> Element:
    """A photograph, three units beside it, and what each of these sees, a colour a set of weights."""
    parts = [pixels(x, y, side, side, square("china", 84), smooth=True)]
    windows = ((8.0, 12.0), (34.0, 34.0), (58.0, 60.0))
    for number, (left, top) in enumerate(windows):
        unit = x + side + 46, y + 14 + 28 * number
        if kind == "fully connected":
            seen, colour = [(x, y), (x, y + side), (x + side, y + side), (x + side, y)], "var(--muted)"
        else:
            colour = "var(--accent)" if kind == "convolution" else f"var(--series-{number + 1})"
            u, v = x + left, y + top
            seen = [(u, v), (u, v + 18), (u + 18, v + 18), (u + 18, v)]
        edges = [[seen[3], unit], [seen[2], unit]]
        thin = 0.8 if kind == "fully connected" else 1.2
        parts += [
            path(edges, style=f"fill:none;stroke:{colour}", stroke_width=thin),
            path([seen], closed=True, style=f"fill:none;stroke:{colour}", stroke_width=2.5),
            circle(unit, 7, style=f"fill:{colour};stroke:var(--surface)", stroke_width=1.5),
        ]
    return group(*parts)


def _memory(size: int) -> str:
    """Bytes in the largest unit of thousands that holds them."""
    units = ("bytes", "kB", "MB", "GB", "TB")
    power = min((len(str(size)) - 1) // 3, len(units) - 1)
    return f"{size / 1000**power:.3g} {units[power]}"
