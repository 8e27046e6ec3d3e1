"""Scales, ticks and the frame that every chart stands in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from neocog.pictures.svg import Element, Point, group, line, rect, text, text_width
from neocog.pictures.theme import FONT, variables

SIZE = 13  # pixels of all text but titles
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

CLASSES = {
    "title": {"font-size": "15px", "font-weight": "600"},
    "muted": {"fill": "var(--muted)"},
    "small": {"font-size": "11.5px"},
    "surface": {"fill": "var(--surface)"},
    "grid": {"stroke": "var(--grid)"},
    "axis": {"stroke": "var(--axis)"},
    "halo": {
        "stroke": "var(--surface)",
        "stroke-width": "4",
        "stroke-linejoin": "round",
        "paint-order": "stroke",
    },
}
"""What elements of a class look like, as CSS has it."""

STYLE = (
    variables(".chart")
    + f".chart{{font-family:{FONT};font-size:{SIZE}px;font-variant-numeric:tabular-nums}}"
    + ".chart text{fill:var(--ink)}"
    + "".join(
        f".chart .{name}{{{';'.join(f'{key}:{value}' for key, value in look.items())}}}"
        for name, look in CLASSES.items()
    )
)


@dataclass(frozen=True)
class Axis:
    """What one axis shows. The title says the unit: "time per image (ms)"."""

    title: str
    log: bool = False
    lower: float | None = None  # the axis reaches at least this far, and as far as the data do
    upper: float | None = None

    def __post_init__(self) -> None:
        if self.log and any(end is not None and end <= 0 for end in (self.lower, self.upper)):
            raise ValueError(
                f"axis '{self.title}': a logarithmic axis has no place for {self.lower}, {self.upper}"
            )


@dataclass(frozen=True)
class Scale:
    """Values lower..upper laid on the pixels start..end."""

    lower: float
    upper: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        if self.log:
            # The logarithm of each number, not of quotients: these may leave the range of floats.
            lower = math.log(self.lower)
            part = (math.log(value) - lower) / (math.log(self.upper) - lower)
        else:
            part = (value - self.lower) / (self.upper - self.lower)
        return self.start + part * (self.end - self.start)

    def shows(self, value: float) -> bool:
        """Whether the value has a place: finite, and positive on a logarithmic scale."""
        return math.isfinite(value) and (value > 0 or not self.log)

    def ticks(self, spacing: float) -> list[tuple[float, str]]:
        """Round values about `spacing` pixels apart, with their labels."""
        count = max(2, abs(self.end - self.start) / spacing)
        if self.log:
            powers = self.lower < 1e-3 or self.upper > 1e6
            values, step = _log_ticks(self.lower, self.upper, count)
            return [(value, _scientific(value) if powers else tick_label(value, step)) for value in values]
        step = _round_step((self.upper - self.lower) / count)
        first, last = math.ceil(self.lower / step - 1e-6), math.floor(self.upper / step + 1e-6)
        return [(i * step, tick_label(i * step, step)) for i in range(first, last + 1)]


def fit_scale(axis: Axis, values: Iterable[float], start: float, end: float, *, tight: bool = False) -> Scale:
    """A scale that holds these values, with round ends unless the axis sets them or it is to be `tight`."""
    ends = [value for value in (axis.lower, axis.upper) if value is not None]
    shown = [*ends, *(value for value in values if math.isfinite(value) and (value > 0 or not axis.log))]
    lower, upper = min(shown, default=0.1 if axis.log else 0.0), max(shown, default=1.0)
    if axis.log:
        room = 1.0 if tight and upper > lower else max((upper / lower) ** 0.06, 1.25)
        return Scale(
            lower if lower == axis.lower else lower / room,
            upper if upper == axis.upper and upper > lower else upper * room,
            start,
            end,
            log=True,
        )
    if upper <= lower:
        room = abs(lower) * 0.1 or 1.0
        lower, upper = lower if lower == axis.lower else lower - room, upper + room
    if not tight:
        step = _round_step((upper - lower) / 5)
        lower = lower if lower == axis.lower else math.floor(lower / step + 1e-6) * step
        upper = upper if upper == axis.upper else math.ceil(upper / step - 1e-6) * step
    return Scale(lower, upper, start, end)


def _round_step(step: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))


def _log_ticks(lower: float, upper: float, count: float) -> tuple[list[float], float | None]:
    """1-2-5 in every decade where there is room, else powers of ten, else every few powers of ten.

    Where not even two of these lie between the ends: even steps, and their size.
    """
    first, last = math.floor(math.log10(lower)), math.ceil(math.log10(upper))
    options: list[list[float]] = [[1, 2, 3, 4, 5, 6, 8], [1, 2, 5], [1, 3], [1]]
    chosen: list[float] = []
    for factors in options:
        chosen = [f * 10.0**p for p in range(first, last + 1) for f in factors]
        chosen = [value for value in chosen if lower * (1 - 1e-9) <= value <= upper * (1 + 1e-9)]
        if len(chosen) < 2:
            step = _round_step((upper - lower) / count)
            return [i * step for i in range(math.ceil(lower / step), math.floor(upper / step) + 1)], step
        if len(chosen) <= 1.3 * count:
            return chosen, None
    return chosen[:: math.ceil(len(chosen) / count)], None


def tick_label(value: float, step: float | None = None) -> str:
    """A number in as few characters as tell it from its neighbours `step` away."""
    size = abs(value if step is None else step)
    if value == 0:
        return "0"
    if abs(value) >= 1e7 or size < 1e-4:
        return _scientific(value)
    decimals = max(0, -math.floor(math.log10(size) + 1e-9))
    return f"{value:,.{decimals}f}".replace("-", "−")


def _scientific(value: float) -> str:
    mantissa, power = f"{value:.3e}".split("e")
    factor = mantissa.rstrip("0").rstrip(".").replace("-", "−")
    ten = "10" + str(int(power)).translate(_SUPERSCRIPT)
    return ten if factor == "1" else f"{factor}×{ten}"


@dataclass(frozen=True)
class Plot:
    """The rectangle that data are drawn in, with its two scales."""

    x: Scale
    y: Scale

    def point(self, x: float, y: float) -> Point:
        return self.x(x), self.y(y)

    def shows(self, x: float, y: float) -> bool:
        return self.x.shows(x) and self.y.shows(y)


def frame(
    plot: Plot, x_title: str, y_title: str, *, spacing: tuple[float, float] = (90, 45), y_labels: bool = True
) -> Element:
    """Grid, ticks and axis titles: that of y above its axis, that of x below the middle of its own."""
    left, right, bottom, top = plot.x.start, plot.x.end, plot.y.start, plot.y.end
    parts = [text(0 if left > 12 else left, top - 14, y_title, class_="muted")] if y_title else []
    for value, label in plot.y.ticks(spacing[1]):
        y = plot.y(value)
        parts.append(line((left, y), (right, y), class_="grid"))
        if y_labels:
            parts.append(text(left - 8, y + 4.5, label, class_="muted", text_anchor="end"))
    for value, label in plot.x.ticks(spacing[0]):
        x = plot.x(value)
        parts += [
            line((x, bottom), (x, bottom + 5), class_="axis"),
            text(x, bottom + 20, label, class_="muted", text_anchor="middle"),
        ]
    parts.append(line((left, bottom), (right, bottom), class_="axis"))
    if x_title:
        parts.append(text((left + right) / 2, bottom + 42, x_title, class_="muted", text_anchor="middle"))
    return group(*parts)


def heading(width: float, height: float, title: str) -> list[Element]:
    """The surface and the title of a chart."""
    return [rect(0, 0, width, height, class_="surface"), text(0, 18, title, class_="title")]


def label_room(labels: Sequence[str]) -> float:
    """Pixels that the widest of these labels needs."""
    return max((text_width(label, SIZE) for label in labels), default=0.0)


def spread(wanted: Sequence[float], gap: float, lower: float, upper: float) -> list[float]:
    """Places nearest to the wanted ones (least squares), in their order, at least `gap` apart, within
    lower..upper if they fit."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[tuple[float, int]] = []  # mean and number of neighbours pushed together
    for rank, index in enumerate(order):
        mean, size = wanted[index] - rank * gap, 1
        while blocks and blocks[-1][0] >= mean:
            before, count = blocks.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        blocks.append((mean, size))
    means = [mean for mean, size in blocks for _ in range(size)]
    highest = max(lower, upper - (len(wanted) - 1) * gap)
    places = [0.0] * len(wanted)
    for rank, index in enumerate(order):
        places[index] = min(max(means[rank], lower), highest) + rank * gap
    return places
