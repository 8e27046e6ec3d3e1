"""The convolution integral in motion: one function stands, the other slides over it, mirrored."""

from __future__ import annotations

import numpy as np

from neocog.ops.integral import Function, Trace, box, convolve_functions, exponential, trace
from neocog.pictures.axes import Axis, Plot
from neocog.pictures.charts import Curve, curve_line
from neocog.pictures.figure import Moving
from neocog.pictures.figures.signals import stage
from neocog.pictures.shapes import number
from neocog.pictures.svg import Element, circle, line, path, text

_WIDTH, _STEPS = 720.0, 32
_SLIDING = "var(--series-1)"


def integral_squares() -> Moving:
    """A unit square over another: their overlap, and so the result, is a triangle."""
    return _in_motion(
        "integral-squares",
        (box(), box()),
        (-1.5, 1.6),
        pause=-0.4,
        alt="A square slides over a square of the same width. Below, the area of their overlap is drawn over "
        "the shift t: it grows evenly from 0 at −1 to 1 at 0 and falls evenly to 0 at 1, a triangle.",
        shape="a triangle",
    )


def integral_exponential() -> Moving:
    """A decay slides, mirrored, over a unit square: the result rises while that lasts, then falls."""
    return _in_motion(
        "integral-exponential",
        (box(centre=0.5), exponential(1)),
        (-0.5, 4.15),
        pause=1.6,
        alt="An exponential decay, mirrored so that it rises up to t, slides over a square from 0 to 1. "
        "Below, the area of their product is drawn over t: it rises from 0 until t = 1, ever less steeply, "
        "and then decays.",
        shape="the charge of a capacitor during a pulse and after",
    )


def _in_motion(
    name: str,
    functions: tuple[Function, Function],
    span: tuple[float, float],
    *,
    pause: float,
    alt: str,
    shape: str,
) -> Moving:
    """t goes from one end of the span to the other; then all of the result is seen, and t at the pause."""
    f, g = functions
    shifts = np.append(np.linspace(*span, _STEPS), pause)
    t = np.union1d(np.linspace(*span, 16 * (_STEPS - 1) + 1), shifts)
    curve = convolve_functions(f, g, t).values
    tau = np.linspace(*span, 200)
    traces = [trace(f, g, float(shift), tau) for shift in shifts]
    upper, above = stage(
        "f stands, g slides", tau, Axis("", lower=0, upper=1.2), (0, 16), x_title="τ", height=150
    )
    lower, below = stage(
        "The area under their product", tau, Axis("", lower=0, upper=1.2), (0, 252), x_title="t", height=150
    )
    background = [upper, lower, *_legend()]
    frames, captions = [], []
    for index, one in enumerate(traces):
        whole = index == _STEPS
        done = np.ones(len(t), bool) if whole else t <= one.t
        frames.append([*_seen(above, one), *_grown(below, Curve("", t[done], curve[done]), one)])
        at = f"t = {number(one.t, 2)}"
        captions.append(
            f"All of the result: {shape}. At {at} the area is {number(one.area, 3)}."
            if whole
            else f"At {at} the area under the product is {number(one.area, 3)}."
        )
    values = {
        "t": t,
        "result": curve,
        "shifts": shifts,
        "areas": np.array([one.area for one in traces]),
    }
    return Moving(name, alt, _WIDTH, 462, background, frames, captions, values, seconds=0.2)


def _legend() -> list[Element]:
    parts: list[Element] = []
    for x, name, colour in (
        (384, "f(τ)", "var(--ink)"),
        (452, "g(t − τ)", _SLIDING),
        (548, "their product", ""),
    ):
        parts.append(
            line((x - 26, 12), (x - 6, 12), style=f"stroke:{colour}", stroke_width=2)
            if colour
            else _shaded(x - 26, 5, 20, 14)
        )
        parts.append(text(x, 16, name))
    return parts


def _shaded(x: float, y: float, width: float, height: float) -> Element:
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    return path([corners], closed=True, style="fill:var(--accent)", opacity=0.3)


def _seen(plot: Plot, one: Trace) -> list[Element]:
    """What the integral sees at one t."""
    first, last = float(one.tau[0]), float(one.tau[-1])
    area = [plot.point(first, 0), *map(plot.point, one.tau, one.product), plot.point(last, 0)]
    at = plot.x(one.t)
    return [
        path([area], closed=True, style="fill:var(--accent)", opacity=0.3),
        curve_line(plot, Curve("", one.tau, one.f), "var(--ink)"),
        curve_line(plot, Curve("", one.tau, one.g), _SLIDING),
        line((at, plot.y.start), (at, plot.y.end), style="stroke:var(--muted)", stroke_dasharray="3 4"),
        text(at + 6, plot.y.end + 10, "t", class_="muted"),
    ]


def _grown(plot: Plot, curve: Curve, one: Trace) -> list[Element]:
    """The result so far, and its value at t."""
    end = plot.point(one.t, one.area)
    said = f"(f * g)({number(one.t, 2)}) = {number(one.area, 3)}"
    return [
        line((end[0], plot.y.start), end, style="stroke:var(--muted)", stroke_dasharray="3 4"),
        curve_line(plot, curve, "var(--accent)"),
        circle(end, 4.5, style="fill:var(--accent);stroke:var(--surface)", stroke_width=1.5),
        text(plot.x.end, plot.y.end - 14, said, text_anchor="end", class_="title"),
    ]
