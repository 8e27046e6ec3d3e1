"""Charts as SVG text: lines, labelled points, bars, precision against recall.

Every chart is a function from data to one complete SVG document, light or dark as the reader's system asks;
equal data give equal bytes. What is not finite leaves a gap.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from neocog.metrics.voc import VocClass
from neocog.pictures.axes import (
    SIZE,
    STYLE,
    Axis,
    Plot,
    Scale,
    fit_scale,
    frame,
    heading,
    label_room,
    spread,
    tick_label,
)
from neocog.pictures.svg import (
    Element,
    Point,
    circle,
    document,
    group,
    line,
    path,
    rect,
    text,
    text_width,
    tip,
)
from neocog.pictures.theme import SERIES_LIGHT

WIDTH = 720
_DASHES = (None, "7 4", "2 3")
_TOP = 60  # title and title of the y axis
_BOTTOM = 52  # ticks and title of the x axis
_LINE = 17  # height of one label


@dataclass(frozen=True)
class Curve:
    """A named line through the points (x, y)."""

    name: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Dot:
    """A named point; `y_error` is half the length of its whisker."""

    name: str
    x: float
    y: float
    y_error: float | None = None


def line_chart(
    title: str, curves: Sequence[Curve], x: Axis, y: Axis, *, smooth: int = 1, height: float = 380
) -> str:
    """Curves over a common x axis, each labelled at its end; one curve alone has the accent and no label.

    With `smooth` above 1 the line is a running mean over that many points, over the faint values themselves.
    """
    height = max(height, _TOP + _BOTTOM + _LINE * len(curves))
    named = len(curves) > 1
    right = WIDTH - (label_room([curve.name for curve in curves]) + 34 if named else 12)
    plot = _plot(
        [value for curve in curves for value in curve.x],
        [value for curve in curves for value in curve.y],
        (x, y),
        (right, height),
        tight=True,
    )
    parts = [*heading(WIDTH, height, title), frame(plot, x.title, y.title)]
    ends: list[tuple[int, Point]] = []
    for index, curve in enumerate(curves):
        colour = _colour(index) if named else "var(--accent)"
        if smooth > 1:
            parts.append(_line(_runs(plot, curve), colour, None, faint=True))
        runs = _runs(plot, curve, smooth)
        parts.append(_line(runs, colour, _DASHES[index // 8 % 3]))
        if runs and named:
            ends.append((index, runs[-1][-1]))
    places = spread([end[1] for _, end in ends], _LINE, plot.y.end, plot.y.start)
    for (index, end), place in zip(ends, places, strict=True):
        parts.append(_end_label(curves[index].name, _colour(index), end, (right + 26, place)))
    if not any(_runs(plot, curve) for curve in curves):
        parts.append(_no_data(plot))
    return document(WIDTH, height, parts, label=title, style=STYLE, class_="chart")


def scatter_chart(
    title: str, dots: Sequence[Dot], x: Axis, y: Axis, *, active: Collection[str] = (), height: float = 400
) -> str:
    """Labelled points, such as accuracy against time. Those in `active` have the accent (all, if none)."""
    spans = [end for dot in dots for end in (dot.y, *_whisker(dot))]
    plot = _plot([dot.x for dot in dots], spans, (x, y), (WIDTH - 16, height))
    shown = sorted((dot for dot in dots if plot.shows(dot.x, dot.y)), key=lambda dot: dot.name in active)
    parts = [*heading(WIDTH, height, title), frame(plot, x.title, y.title)]
    for dot in shown:
        at = plot.point(dot.x, dot.y)
        colour = "var(--accent)" if dot.name in active or not active else "var(--quiet)"
        if whisker := _whisker(dot):
            ends = [plot.point(dot.x, max(end, plot.y.lower)) for end in whisker]
            parts.append(line(ends[0], ends[1], style=f"stroke:{colour}", stroke_width=1.5, opacity=0.7))
        mark = circle(at, 5.5, style=f"fill:{colour};stroke:var(--surface)", stroke_width=1.5)
        parts.append(tip(mark, f"{dot.name}: {tick_label(dot.x)}, {dot.y:.3g}"))
    parts += _labels_beside(shown, plot)
    if not shown:
        parts.append(_no_data(plot))
    return document(WIDTH, height, parts, label=title, style=STYLE, class_="chart")


def bar_chart(
    title: str,
    values: Mapping[str, float | None],
    axis: Axis,
    *,
    active: Collection[str] = (),
    digits: int = 3,
) -> str:
    """Horizontal bars from zero in the order given, each with its value. None is said to be absent."""
    row, top = 26, 36
    bottom = top + row * len(values)
    present = [value for value in values.values() if value is not None and math.isfinite(value)]
    left = min(label_room(list(values)), WIDTH * 0.4) + 12
    room = text_width(f"{0:.{digits}f}", SIZE) + 14
    scale = fit_scale(axis, [0.0, *present], left, WIDTH - room)
    if scale.lower < 0:  # a value is written beyond its bar on this side too
        scale = Scale(scale.lower, scale.upper, left + room, scale.end)
    parts = heading(WIDTH, bottom + 48, title)
    for tick, label in scale.ticks(90):
        at = scale(tick)
        parts.append(line((at, top), (at, bottom), class_="grid"))
        parts.append(text(at, bottom + 18, label, class_="muted", text_anchor="middle"))
    parts.append(line((scale(0), top), (scale(0), bottom), class_="axis"))
    parts.append(text((left + scale.end) / 2, bottom + 40, axis.title, class_="muted", text_anchor="middle"))
    for index, (name, value) in enumerate(values.items()):
        middle = top + row * (index + 0.5)
        parts.append(text(left - 10, middle + 4.5, _shortened(name, left - 12), text_anchor="end"))
        colour = "var(--accent)" if name in active or not active else "var(--quiet)"
        parts += _bar(scale, value, middle, colour, digits)
    return document(WIDTH, bottom + 48, parts, label=title, style=STYLE, class_="chart")


def precision_recall_chart(title: str, classes: Sequence[VocClass]) -> str:
    """A small panel a class."""
    columns = min(3, max(1, len(classes)))
    gap, top = 30.0, 64.0
    width = min(380.0, (WIDTH - 40 + gap) / columns - gap)
    height = width * 0.8
    rows = math.ceil(len(classes) / columns)
    unit = Axis("", lower=0, upper=1)
    bottom = top + rows * (height + 46) - 46
    parts = [*heading(WIDTH, bottom + 56, title), text(0, 42, "precision", class_="muted")]
    for index, item in enumerate(classes):
        x0 = 30 + index % columns * (width + gap)
        y0 = top + index // columns * (height + 46)
        plot = Plot(fit_scale(unit, [], x0, x0 + width), fit_scale(unit, [], y0 + height, y0 + 18))
        parts.append(_panel(plot, item, first=index % columns == 0))
    parts.append(text(30, bottom + 44, "recall", class_="muted"))
    return document(WIDTH, bottom + 56, parts, label=title, style=STYLE, class_="chart")


def _plot(
    xs: Iterable[float], ys: Iterable[float], axes: tuple[Axis, Axis], corner: Point, *, tight: bool = False
) -> Plot:
    """A plot from the title down to `corner`, with room on the left for the ticks of y."""
    right, height = corner
    y = fit_scale(axes[1], ys, height - _BOTTOM, _TOP)
    left = label_room([label for _, label in y.ticks(45)]) + 12
    return Plot(fit_scale(axes[0], xs, left, right, tight=tight), y)


def curve_line(plot: Plot, curve: Curve, colour: str, dash: str | None = None) -> Element:
    """A curve alone, in a plot of one's own."""
    return _line(_runs(plot, curve), colour, dash)


def _runs(plot: Plot, curve: Curve, smooth: int = 1) -> list[list[Point]]:
    """The curve in pixels, broken where a value has no place, with no more points than pixels can show."""
    runs = []
    values = [(float(a), float(b)) for a, b in zip(curve.x, curve.y, strict=True)]
    for shown, run in groupby(values, key=lambda value: plot.shows(*value)):
        if shown:
            xs, ys = zip(*run, strict=True)
            runs.append(_thinned([plot.point(a, b) for a, b in zip(xs, _mean(ys, smooth), strict=True)]))
    return runs


def _mean(values: Sequence[float], window: int) -> list[float]:
    """Running mean, centred; near the ends over what there is."""
    if window <= 1:
        return list(values)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    first = np.maximum(places - (window - 1) // 2, 0)
    last = np.minimum(places + window // 2, len(values) - 1)
    means = (sums[last + 1] - sums[first]) / (last + 1 - first)
    # Differences of large sums lose small values; a mean at least lies between the extremes.
    bounded: list[float] = np.clip(means, min(values), max(values)).tolist()
    return bounded


def _thinned(points: list[Point]) -> list[Point]:
    """First, lowest, highest and last point of every column of pixels: the same picture from few points."""
    kept: list[Point] = []
    for _, column in groupby(points, key=lambda point: point[0] // 1.5):
        stay = list(column)
        low, high = min(stay, key=lambda p: p[1]), max(stay, key=lambda p: p[1])
        wanted = {stay[0], low, high, stay[-1]}
        kept += [point for point in dict.fromkeys(stay) if point in wanted]
    return kept


def _line(runs: list[list[Point]], colour: str, dash: str | None, *, faint: bool = False) -> Element:
    """Runs as lines; a run of one point as a dot, since a line would not show it."""
    lone = [circle(run[0], 2.5, style=f"fill:{colour}") for run in runs if len(run) == 1]
    drawn = path(
        [run for run in runs if len(run) > 1],
        style=f"stroke:{colour};fill:none",
        stroke_width=1 if faint else 2,
        stroke_linejoin="round",
        stroke_linecap="round",
        stroke_dasharray=dash,
    )
    return group(drawn, *lone, opacity=0.28 if faint else None)


def _end_label(name: str, colour: str, end: Point, place: Point) -> Element:
    leader = path(
        [[end, (place[0] - 14, place[1]), (place[0] - 5, place[1])]], style=f"stroke:{colour};fill:none"
    )
    return group(
        leader,
        circle(end, 3.5, style=f"fill:{colour};stroke:var(--surface)"),
        text(place[0], place[1] + 4.5, name),
    )


def _whisker(dot: Dot) -> tuple[float, ...]:
    """Where the whisker of a dot begins and ends, if it has one."""
    if not dot.y_error or not math.isfinite(dot.y_error):
        return ()
    return dot.y - dot.y_error, dot.y + dot.y_error


def _labels_beside(dots: Sequence[Dot], plot: Plot) -> list[Element]:
    """Each name beside its point, on the side where it covers least."""
    taken = []
    for dot in dots:
        x, y = plot.point(dot.x, dot.y)
        low, high = (plot.y(max(end, plot.y.lower)) for end in _whisker(dot) or (dot.y, dot.y))
        taken += [(x - 7, y - 7, x + 7, y + 7), (x - 2, high, x + 2, low)]
    parts = []
    for dot in dots:
        sides = _sides(*plot.point(dot.x, dot.y), text_width(dot.name, SIZE))
        best = min(sides, key=lambda box: _cost(box, taken, plot))
        taken.append(best)
        parts.append(text(best[0], best[3] - 4, dot.name, class_="halo"))
    return parts


def _sides(x: float, y: float, width: float) -> list[tuple[float, float, float, float]]:
    """Boxes for a label around a point, the best liked first."""
    corners = [
        (x + 10, y - 8),
        (x - 10 - width, y - 8),
        (x - width / 2, y - 26),
        (x - width / 2, y + 10),
        (x + 8, y - 23),
        (x + 8, y + 7),
        (x - 8 - width, y - 23),
        (x - 8 - width, y + 7),
    ]
    return [(left, top, left + width, top + 16) for left, top in corners]


def _cost(
    box: tuple[float, float, float, float], taken: list[tuple[float, float, float, float]], plot: Plot
) -> float:
    """Pixels of other things under a label, and far more for what leaves the plot."""
    x0, y0, x1, y1 = box
    covered = sum(
        max(0.0, min(x1, c) - max(x0, a)) * max(0.0, min(y1, d) - max(y0, b)) for a, b, c, d in taken
    )
    outside = max(0.0, plot.x.start - x0) + max(0.0, x1 - WIDTH) + max(0.0, y1 - plot.y.start)
    return covered + 1000 * (outside + max(0.0, plot.y.end - 10 - y0))


def _bar(scale: Scale, value: float | None, middle: float, colour: str, digits: int) -> list[Element]:
    zero = scale(0)
    if value is None or not math.isfinite(value):
        return [text(zero + 7, middle + 4.5, "absent", class_="muted")]
    end = scale(value)
    bar = rect(min(zero, end), middle - 8, abs(end - zero), 16, style=f"fill:{colour}")
    shown = f"{value:,.{digits}f}".replace("-", "−")
    if value < 0:
        return [bar, text(end - 7, middle + 4.5, shown, text_anchor="end")]
    return [bar, text(end + 7, middle + 4.5, shown)]


def _panel(plot: Plot, item: VocClass, *, first: bool) -> Element:
    parts = [frame(plot, "", "", spacing=(60, 40), y_labels=first)]
    left, top, floor = plot.x.start, plot.y.end - 8, plot.y.start
    if item.voc_ap is None:
        note = "absent"
    else:
        note = f"AP {item.voc_ap:.3f}"
        runs = _runs(plot, Curve(item.name, item.recall, item.precision))
        areas = [[(left, run[0][1]), *run, (run[-1][0], floor), (left, floor)] for run in runs]
        parts.append(path(areas, closed=True, style="fill:var(--accent)", opacity=0.12))
        parts.append(_line(runs, "var(--accent)", None))
    name = _shortened(item.name, plot.x.end - left - text_width(note, SIZE) - 8)
    parts += [text(left, top, name), text(plot.x.end, top, note, class_="muted", text_anchor="end")]
    return group(*parts)


def _no_data(plot: Plot) -> Element:
    middle = (plot.x.start + plot.x.end) / 2, (plot.y.start + plot.y.end) / 2
    return text(*middle, "no data", class_="muted", text_anchor="middle")


def _colour(index: int) -> str:
    return f"var(--series-{index % len(SERIES_LIGHT)})"


def _shortened(name: str, width: float) -> str:
    """The name, or as much of it as the width holds."""
    if text_width(name, SIZE) <= width:
        return name
    while name and text_width(name + "…", SIZE) > width:
        name = name[:-1]
    return name + "…"
