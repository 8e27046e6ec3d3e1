"""Charts: the right places, no overlaps, and one well-formed document whatever the data."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import isotonic_regression
from tests.references.worlds import random_world

from neocog.metrics.voc import VocClass, voc_average_precision
from neocog.pictures.axes import Axis, Scale, fit_scale, spread, tick_label
from neocog.pictures.charts import (
    WIDTH,
    Curve,
    Dot,
    bar_chart,
    line_chart,
    precision_recall_chart,
    scatter_chart,
)

SVG = "{http://www.w3.org/2000/svg}"
NUMBER = st.floats(allow_nan=True, allow_infinity=True, width=32)


def parse(markup: str) -> ElementTree.Element:
    assert "nan" not in re.sub(r">[^<]*<", "><", markup).lower().replace("tran", "")
    return ElementTree.fromstring(markup)


def texts(root: ElementTree.Element) -> list[str]:
    return [item.text or "" for item in root.iter(f"{SVG}text")]


def circles(root: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(item.attrib["cx"]), float(item.attrib["cy"])) for item in root.iter(f"{SVG}circle")]


def test_linear_and_logarithmic_scales() -> None:
    scale = Scale(0, 10, 100, 0)
    assert (scale(0), scale(5), scale(10)) == (100, 50, 0)
    scale = Scale(1, 100, 0, 200, log=True)
    assert (scale(1), scale(10), scale(100)) == pytest.approx((0, 100, 200))
    assert not scale.shows(0.0) and not scale.shows(math.inf) and scale.shows(0.5)


@pytest.mark.parametrize(
    ("scale", "spacing", "labels"),
    [
        (Scale(0, 1, 0, 450), 90, "0 0.2 0.4 0.6 0.8 1.0"),
        (Scale(0, 4000, 0, 360), 90, "0 1,000 2,000 3,000 4,000"),
        (Scale(-0.4, 0.1, 0, 450), 90, "−0.4 −0.3 −0.2 −0.1 0 0.1"),
        (Scale(15, 6000, 0, 700, log=True), 90, "20 50 100 200 500 1,000 2,000 5,000"),
        (Scale(11.2, 17.5, 0, 560, log=True), 90, "12 14 16"),
        (Scale(2.05, 2.95, 0, 560, log=True), 90, "2.2 2.4 2.6 2.8"),
        (Scale(1e-5, 1e-3, 150, 0, log=True), 45, "10⁻⁵ 10⁻⁴ 10⁻³"),
        (Scale(1e-12, 1, 100, 0, log=True), 45, "10⁻¹² 10⁻⁶ 10⁰"),
    ],
)
def test_ticks_are_round(scale: Scale, spacing: float, labels: str) -> None:
    assert " ".join(label for _, label in scale.ticks(spacing)) == labels


@pytest.mark.parametrize(
    ("value", "step", "label"),
    [
        (0.30000000000000004, 0.1, "0.3"),
        (2.5, 0.5, "2.5"),
        (1200.0, None, "1,200"),
        (3e-5, 1e-5, "3×10⁻⁵"),
        (0, 1, "0"),
    ],
)
def test_tick_labels(value: float, step: float | None, label: str) -> None:
    assert tick_label(value, step) == label


@given(st.floats(1e-3, 1e5))
def test_one_value_alone_has_a_tick_near_it(value: float) -> None:
    scale = fit_scale(Axis("time (ms)", log=True), [value], 100, 700)
    assert scale.ticks(90)


@given(st.lists(NUMBER, max_size=8), st.booleans(), st.booleans())
def test_scale_holds_all_that_it_shows(values: list[float], log: bool, tight: bool) -> None:
    values = [value for value in values if not 0 < abs(value) < 1e-30 and not abs(value) > 1e30]
    scale = fit_scale(Axis("a", log=log), values, 0, 100, tight=tight)
    for value in values:
        if scale.shows(value):
            assert -1e-3 <= scale(value) <= 100 + 1e-3
    assert scale.lower < scale.upper and scale.ticks(20) is not None


def test_axis_reaches_what_it_is_asked_for_and_what_the_data_need() -> None:
    assert fit_scale(Axis("a", lower=0, upper=1), [0.3, 0.4], 0, 1) == Scale(0, 1, 0, 1)
    assert fit_scale(Axis("a", lower=0, upper=1), [-0.7, 0.4], 0, 1).lower == -1.0
    with pytest.raises(ValueError, match="logarithmic"):
        Axis("time (ms)", log=True, lower=0)


@given(st.lists(st.floats(0, 300), min_size=1, max_size=12))
def test_labels_spread_as_isotonic_regression_says(wanted: list[float]) -> None:
    gap, lower, upper = 17.0, 0.0, 300.0
    order = np.argsort(wanted, kind="stable")
    shift = gap * np.arange(len(wanted))
    fitted = isotonic_regression(np.array(wanted)[order] - shift)
    expected = np.clip(fitted, lower, upper - shift[-1]) + shift
    assert np.array(spread(wanted, gap, lower, upper))[order] == pytest.approx(expected, abs=1e-6)


def test_dots_stand_where_the_axes_say() -> None:
    """Three decades on a logarithmic x axis are equally far apart; y falls as the value rises."""
    dots = [
        Dot("a", 1, 0.1),
        Dot("b", 10, 0.2),
        Dot("c", 100, 0.3),
        Dot("lost", 0, 0.5),
        Dot("gone", 5, math.nan),
    ]
    root = parse(scatter_chart("t", dots, Axis("time (ms)", log=True), Axis("AP", lower=0)))
    (xa, ya), (xb, yb), (xc, yc) = circles(root)
    assert xb - xa == pytest.approx(xc - xb, abs=0.02) and xb > xa
    assert ya - yb == pytest.approx(yb - yc, abs=0.02) and ya > yb
    assert {"a", "b", "c", "time (ms)", "AP"} <= set(texts(root)) and not {"lost", "gone"} & set(texts(root))


def test_accent_marks_the_active_dot_alone() -> None:
    dots = [Dot("a", 1, 0.1), Dot("b", 2, 0.2)]
    root = parse(scatter_chart("t", dots, Axis("x"), Axis("y"), active=["b"]))
    styles = [item.attrib["style"] for item in root.iter(f"{SVG}circle")]
    assert [("--accent" in style) for style in styles] == [False, True]


def test_labels_of_close_dots_do_not_overlap() -> None:
    dots = [Dot(f"model {i}", 10 + i, 0.5 + 0.004 * i, 0.01) for i in range(4)] + [Dot("far", 1000, 0.1)]
    root = parse(scatter_chart("t", dots, Axis("x", log=True), Axis("y", lower=0)))
    labels = [item for item in root.iter(f"{SVG}text") if item.get("class") == "halo"]
    spots = [(float(item.attrib["x"]), float(item.attrib["y"])) for item in labels]
    assert len(spots) == 5
    for i, (x, y) in enumerate(spots):
        assert x >= 0 and x + 40 <= WIDTH
        assert all(abs(y - b) >= 12 or abs(x - a) >= 40 for a, b in spots[:i])


def test_whisker_below_a_logarithmic_axis_ends_at_it() -> None:
    root = parse(scatter_chart("t", [Dot("a", 1, 0.1, 0.5)], Axis("x"), Axis("y", log=True)))
    assert len(circles(root)) == 1


def test_line_breaks_at_what_is_not_finite() -> None:
    curve = Curve("a", [0, 1, 2, 3, 4], [1, 2, math.nan, 3, 4])
    root = parse(line_chart("t", [curve], Axis("step"), Axis("loss")))
    drawn = [item.attrib["d"] for item in root.iter(f"{SVG}path")]
    assert [d.count("M") for d in drawn] == [2]
    assert "a" not in texts(root)  # one curve needs no label


def test_long_curve_keeps_its_extremes_in_few_points() -> None:
    rng = np.random.default_rng(0)
    y = rng.random(50_000)
    y[31_234], y[777] = 40.0, -25.0
    markup = line_chart(
        "t", [Curve("a", np.arange(50_000), y)], Axis("step"), Axis("loss", lower=-30, upper=50)
    )
    path = next(parse(markup).iter(f"{SVG}path")).attrib["d"]
    heights = [float(point.split()[1]) for point in re.split("[ML]", path)[1:]]
    plot = fit_scale(Axis("loss", lower=-30, upper=50), [], 380 - 52, 60)
    assert min(heights) == pytest.approx(plot(40), abs=0.01) and max(heights) == pytest.approx(
        plot(-25), abs=0.01
    )
    assert len(heights) < 2500 and len(markup) < 50_000


def test_smooth_line_is_a_running_mean_over_the_faint_values() -> None:
    curve, loss = Curve("a", range(6), [0.0, 6, 0, 6, 0, 6]), Axis("loss", lower=0, upper=6)
    root = parse(line_chart("t", [curve], Axis("step"), loss, smooth=3))
    faint, smooth = (item.attrib["d"] for item in root.iter(f"{SVG}path"))
    scale = fit_scale(loss, [], 380 - 52, 60)
    heights = [float(point.split()[1]) for point in re.split("[ML]", smooth)[1:]]
    assert heights == pytest.approx([scale(v) for v in (3, 2, 4, 2, 4, 3)], abs=0.01)
    assert faint != smooth


def test_many_curves_have_labels_apart_and_dashes_where_colours_repeat() -> None:
    curves = [Curve(f"curve {i}", [0, 1], [0, 1 + i / 100]) for i in range(24)]
    root = parse(line_chart("t", curves, Axis("x"), Axis("y")))
    heights = sorted(
        float(item.attrib["y"]) for item in root.iter(f"{SVG}text") if (item.text or "").startswith("curve")
    )
    assert len(heights) == 24 and min(np.diff(heights)) >= 16.9 and heights[0] >= 60
    looks = {
        (p.get("style"), p.get("stroke-dasharray")) for p in root.iter(f"{SVG}path") if p.get("stroke-width")
    }
    assert len(looks) == 24


def test_bars_are_as_long_as_their_values() -> None:
    markup = bar_chart("t", {"a": 0.5, "b": 0.25, "none": None, "zero": 0.0}, Axis("AP", lower=0, upper=1))
    root = parse(markup)
    widths = [float(r.attrib["width"]) for r in root.iter(f"{SVG}rect") if "style" in r.attrib]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.02) and widths[2] == 0
    assert {"0.500", "0.250", "0.000", "absent", "a", "none", "AP"} <= set(texts(root))


def test_negative_bars_leave_zero_to_the_left() -> None:
    root = parse(bar_chart("t", {"up": 1.0, "down": -1.0}, Axis("change"), active=["up"]))
    up, down = (r for r in root.iter(f"{SVG}rect") if "style" in r.attrib)
    assert float(down.attrib["x"]) + float(down.attrib["width"]) == pytest.approx(
        float(up.attrib["x"]), abs=0.02
    )
    assert "−1.000" in texts(root)
    assert "--accent" in up.attrib["style"] and "--quiet" in down.attrib["style"]


def test_precision_recall_has_a_panel_a_class() -> None:
    names = ["car", "bus", "dog", "ship", "a name far too long for the head of so small a panel"]
    result = voc_average_precision(*random_world(11, images=40), names)
    root = parse(precision_recall_chart("t", result.classes))
    shown = texts(root)
    assert shown.count("absent") == 2  # bus and ship have no object in this world
    assert f"AP {result.classes[0].voc_ap:.3f}" in shown
    assert names[-1] not in shown and any(text.endswith("…") for text in shown)
    assert len(list(root.iter(f"{SVG}path"))) == 2 * 3


def test_class_never_detected_has_an_empty_panel() -> None:
    none = np.zeros(0)
    parse(precision_recall_chart("t", [VocClass("a", 0.0, 0.0, 3, 0, none, none, none)]))
    parse(precision_recall_chart("t", []))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=20), st.lists(st.tuples(NUMBER, NUMBER), max_size=6)), max_size=4),
    st.booleans(),
    st.booleans(),
)
def test_any_data_give_one_well_formed_document(
    data: list[tuple[str, list[tuple[float, float]]]], log: bool, other: bool
) -> None:
    curves = [Curve(name, [p[0] for p in points], [p[1] for p in points]) for name, points in data]
    x, y = Axis("x", log=log), Axis("y", log=other)
    assert line_chart("t", curves, x, y) == line_chart("t", curves, x, y)
    parse(line_chart("t", curves, x, y, smooth=3))
    parse(scatter_chart("t", [Dot(name, *point) for name, points in data for point in points], x, y))
    parse(bar_chart("t", {name: points[0][0] if points else None for name, points in data}, Axis("v")))
