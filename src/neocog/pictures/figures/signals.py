"""Convolution along a line: what a kernel does to a signal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neocog.ops.convolve import convolve
from neocog.pictures.axes import Axis, Plot, fit_scale, frame
from neocog.pictures.charts import Curve, curve_line
from neocog.pictures.figure import Still
from neocog.pictures.shapes import note
from neocog.pictures.svg import Element, group, text

_WIDTH, _LEFT, _HIGH = 720.0, 44.0, 130.0


def panel(
    title: str,
    curves: Sequence[tuple[Curve, str]],
    y: float,
    *,
    x_title: str = "",
    height: float = _HIGH,
    lower: float | None = None,
    upper: float | None = None,
    width: float = _WIDTH,
) -> tuple[Element, Plot]:
    """Curves and their colours in a frame whose title stands at `y`; and the plot, to draw more in."""
    plot = Plot(
        fit_scale(Axis(""), [v for curve, _ in curves for v in curve.x], _LEFT, width - 16, tight=True),
        fit_scale(
            Axis("", lower=lower, upper=upper),
            [v for curve, _ in curves for v in curve.y],
            y + 14 + height,
            y + 14,
        ),
    )
    parts = [text(0, y, title, class_="title"), frame(plot, x_title, "", spacing=(90, 40))]
    parts += [curve_line(plot, curve, colour) for curve, colour in curves]
    return group(*parts), plot


def pulse_smoothing() -> Still:
    """A noisy pulse and its running means: the convolution with boxes of two widths."""
    place = np.arange(200)
    noise = np.random.default_rng(0).normal(0, 0.12, 200)
    pulse = ((place >= 70) & (place < 130)) + noise
    boxes = {width: np.full(width, 1 / width) for width in (5, 21)}
    smooth = {width: convolve(pulse, kernel, "same") for width, kernel in boxes.items()}
    rows = [("A noisy pulse f", pulse)]
    rows += [(f"f * box of {width}: each value is the mean of {width}", smooth[width]) for width in boxes]
    parts: list[Element] = []
    for row, (title, shown) in enumerate(rows):
        colour = "var(--accent)" if row else "var(--ink)"
        drawn, _ = panel(title, [(Curve(title, place, shown), colour)], 22 + row * 190, lower=-0.5, upper=1.5)
        parts.append(drawn)
    parts.append(
        note(_WIDTH - 16, 22, "the wider the box, the less noise, and the wider the edge", anchor="end")
    )
    alt = (
        "Three curves over 200 samples. A noisy pulse; under it the same smoothed by a box of 5, with less "
        "noise and steep edges; and by a box of 21, almost without noise, its edges spread over 21 samples."
    )
    values = {"pulse": pulse, **{f"box {width}": smooth[width] for width in boxes}}
    return Still("pulse-smoothing", alt, _WIDTH, 22 + 3 * 190 - 10, parts, values)
