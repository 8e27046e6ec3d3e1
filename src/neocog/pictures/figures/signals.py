"""Convolution along a line: what a kernel does to a signal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from neocog.ops.convolve import convolve
from neocog.ops.integral import gaussian
from neocog.ops.kde import kernel_density
from neocog.pictures.axes import Axis, Plot, fit_scale, frame
from neocog.pictures.charts import Curve, curve_line
from neocog.pictures.figure import Still
from neocog.pictures.shapes import note
from neocog.pictures.svg import Element, Point, circle, group, line, path, rect, text

_WIDTH, _LEFT, _HIGH = 720.0, 44.0, 130.0


def stage(
    title: str,
    x: Iterable[float],
    y: Axis,
    at: Point,
    *,
    values: Iterable[float] = (),
    x_title: str = "",
    height: float = _HIGH,
    width: float = _WIDTH,
) -> tuple[Element, Plot]:
    """A frame for such x and values, under its title that begins at the point `at`; and the plot."""
    left, top = at
    plot = Plot(
        fit_scale(Axis(""), x, left + _LEFT, left + width - 16, tight=True),
        fit_scale(y, values, top + 14 + height, top + 14),
    )
    drawn = group(text(left, top, title, class_="title"), frame(plot, x_title, "", spacing=(90, 40)))
    return drawn, plot


def panel(
    title: str,
    curves: Sequence[tuple[Curve, str]],
    y: float,
    *,
    x: float = 0,
    x_title: str = "",
    height: float = _HIGH,
    lower: float | None = None,
    upper: float | None = None,
    width: float = _WIDTH,
) -> tuple[Element, Plot]:
    """Curves and their colours in a frame whose title begins at (x, y); and the plot, to draw more in."""
    drawn, plot = stage(
        title,
        [place for curve, _ in curves for place in curve.x],
        Axis("", lower=lower, upper=upper),
        (x, y),
        values=[value for curve, _ in curves for value in curve.y],
        x_title=x_title,
        height=height,
        width=width,
    )
    return group(drawn, *(curve_line(plot, curve, colour) for curve, colour in curves)), plot


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


def pulse_derivative() -> Still:
    """A pulse made differentiable: (f * g)' = f * g', though f has no derivative at its edges."""
    step, sigma = 0.05, 0.4
    place = np.arange(-100, 101) * step
    offset = np.arange(-40, 41) * step
    pulse = (np.abs(place) < 2).astype(float)
    bell = gaussian(sigma)(offset)
    slope = -offset / sigma**2 * bell  # g'
    smooth = convolve(pulse, bell, "same") * step
    derivative = convolve(pulse, slope, "same") * step
    quotient = np.gradient(smooth, step)
    accent = "var(--accent)"
    kernels, plot = panel(
        "A bell g, and its derivative g'",
        [(Curve("", offset, bell), "var(--ink)"), (Curve("", offset, slope), accent)],
        16,
        x=420,
        width=300,
    )
    parts = [
        panel("A pulse f", [(Curve("", place, pulse), "var(--ink)")], 16, lower=0, upper=1.2, width=390)[0],
        kernels,
        text(plot.x(0.55), plot.y(0.62), "g"),
        text(plot.x(0.95), plot.y(-1.0), "g'", style=f"fill:{accent}"),
        panel("f * g: smooth", [(Curve("", place, smooth), "var(--ink)")], 216, lower=0, upper=1.2)[0],
    ]
    last, plot = panel("f * g': its derivative", [(Curve("", place, derivative), accent)], 416)
    dots = slice(2, None, 4)
    parts += [
        last,
        *(
            circle(plot.point(x, y), 2.6, style="fill:var(--surface);stroke:var(--ink)")
            for x, y in zip(place[dots], quotient[dots], strict=True)
        ),
        note(_WIDTH - 16, 416, "dots: difference quotients of f * g", anchor="end"),
    ]
    alt = (
        "A pulse with upright edges; a bell and the bell's derivative; the pulse convolved with the bell, "
        "whose edges are smooth; and the pulse convolved with the bell's derivative, which goes through the "
        "difference quotients of the smooth pulse: up at its rising edge, down at its falling one."
    )
    values = {
        "place": place,
        "pulse": pulse,
        "smooth": smooth,
        "derivative": derivative,
        "quotient": quotient,
    }
    return Still("pulse-derivative", alt, _WIDTH, 590, parts, values)


def density() -> Still:
    """Kernel density estimation: one spike a sample, convolved with a kernel; and the samples' histogram."""
    draw = np.random.default_rng(5)
    samples = np.concatenate([draw.normal(-1.6, 0.5, 25), draw.normal(1.2, 0.9, 45)])
    bandwidth, step = 0.4, 0.025
    place = np.arange(-200, 201) * step
    estimate = kernel_density(samples, bandwidth=bandwidth).at(place)
    spikes = np.histogram(samples, np.append(place, place[-1] + step) - step / 2)[0] / len(samples)
    kernel = gaussian(bandwidth)(place)
    summed = convolve(spikes, kernel, "same")
    ends = np.arange(-5.0, 5.5, 0.5)
    bars = np.histogram(samples, ends, density=True)[0]
    wide, right, below = 348.0, 372.0, 216.0
    counts, plot = stage(
        f"One spike a sample, 1/{len(samples)} high",
        place,
        Axis("", lower=0),
        (0, 16),
        values=spikes,
        width=wide,
    )
    parts = [counts]
    for x, y in zip(place, spikes, strict=True):
        if y:
            parts.append(
                line(plot.point(x, 0), plot.point(x, y), style="stroke:var(--ink)", stroke_width=1.2)
            )
    bell = Curve("", place, kernel)
    kernel_drawn, _ = panel("A bell, the kernel", [(bell, "var(--ink)")], 16, x=right, width=wide, lower=0)
    axis, tops = Axis("", lower=0), [bars.max(), summed.max()]
    shown, plot = stage("Their convolution: the density", place, axis, (0, below), values=tops, width=wide)
    histogram, beside = stage(
        "A histogram of the same samples", place, axis, (right, below), values=tops, width=wide
    )
    under = [plot.point(place[0], 0), *map(plot.point, place, summed), plot.point(place[-1], 0)]
    parts += [
        kernel_drawn,
        shown,
        path([under], closed=True, style="fill:var(--accent)", opacity=0.15),
        curve_line(plot, Curve("", place, estimate), "var(--accent)"),
        histogram,
        *(bar(beside, *one) for one in zip(ends, ends[1:], bars, strict=False)),
    ]
    alt = (
        f"{len(samples)} samples as spikes on a line, in two heaps; a bell, the kernel; their convolution, a "
        "smooth density with two humps; and beside it a histogram of the same samples, in steps."
    )
    values = {
        "samples": samples,
        "spikes": spikes,
        "place": place,
        "convolution": summed,
        "density": estimate,
        "histogram": bars,
    }
    return Still("density", alt, _WIDTH, 392, parts, values)


def bar(plot: Plot, left: float, right: float, value: float, colour: str = "var(--quiet)") -> Element:
    """From zero up to a value."""
    (x0, y0), (x1, y1) = plot.point(left, value), plot.point(right, 0)
    return rect(x0 + 0.5, y0, x1 - x0 - 1, y1 - y0, style=f"fill:{colour}")
