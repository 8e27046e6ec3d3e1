"""The convolution integral against closed forms, SciPy's quadrature and NumPy's discrete convolution."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy.integrate import quad
from scipy.special import ndtr
from scipy.stats import norm

from neocog.ops.integral import (
    Floats,
    Function,
    box,
    convolve_functions,
    exponential,
    gaussian,
    sampled,
    step,
    trace,
    triangle,
)

T = np.concatenate([np.linspace(-4, 4, 801), [-1, 1, 1e-12, 1 + 1e-12]])

Callables = Function | Callable[[Floats], ArrayLike]


def charge(t: Floats, rate: float) -> Floats:
    """exp(-rate tau) from 0 on, under a box from -1/2 to 1/2: a capacitor that charges and discharges."""
    rise = -np.expm1(-rate * (t + 0.5)) / rate
    fall = (np.exp(-rate * (t - 0.5)) - np.exp(-rate * (t + 0.5))) / rate
    return np.where(t < -0.5, 0, np.where(t < 0.5, rise, fall))


def cauchy(x: Floats) -> Floats:
    return 1 / (math.pi * (1 + x * x))


def laplace(x: Floats) -> Floats:
    return np.exp(-np.abs(x))


def ramp(x: Floats) -> Floats:
    """The integral of x clipped to [0, 1], up to 1."""
    return np.clip(x, 0, 1) ** 2 / 2


CLOSED: dict[str, tuple[Callables, Callables, Floats]] = {
    "box, box": (box(), box(), np.maximum(1 - np.abs(T), 0)),
    "two boxes": (box(1, 0.5), box(3, -1, 2), 2 * np.clip(np.minimum(T + 2.5, 1.5 - T), 0, 1)),
    "box, triangle": (box(), triangle(), np.where(abs(T) < 0.5, 0.75 - T**2, ramp(1.5 - np.abs(T)))),
    "exponential, box": (exponential(2), box(), charge(T, 2)),
    "two exponentials": (exponential(2), exponential(3), np.where(T > 0, np.exp(-2 * T) - np.exp(-3 * T), 0)),
    "two Gaussians": (gaussian(1), gaussian(0.01, 0.5), norm.pdf(T, 0.5, math.hypot(1, 0.01))),
    "box, Gaussian": (box(), gaussian(0.3), ndtr((T + 0.5) / 0.3) - ndtr((T - 0.5) / 0.3)),
    "step, Gaussian": (step(), gaussian(0.3), ndtr(T / 0.3)),
    "two steps": (step(), step(1, 3), 3 * np.maximum(T - 1, 0)),
    "callables": (cauchy, cauchy, 2 / math.pi / (4 + T**2)),
    "callables with a break": (laplace, laplace, (1 + np.abs(T)) * np.exp(-np.abs(T))),
    "step, callable": (step(), cauchy, 0.5 + np.arctan(T) / math.pi),
    "straight lines": (sampled([-1, 0, 1], [0, 1, 0]), step(), np.where(T < 0, ramp(T + 1), 1 - ramp(1 - T))),
}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms_to_ten_digits_and_within_the_stated_errors(name: str) -> None:
    f, g, expected = CLOSED[name]
    for found in (convolve_functions(f, g, T), convolve_functions(g, f, T)):
        wrong = np.abs(found.values - expected)
        assert wrong.max() <= 1e-12
        assert (wrong <= found.errors + 1e-15).all()  # the closed forms are rounded too
        assert found.errors.max() <= 1e-10


def test_far_tails_keep_their_digits() -> None:
    found = convolve_functions(gaussian(1), gaussian(2), [20.0, 60.0])
    np.testing.assert_allclose(found.values, norm.pdf([20, 60], 0, math.sqrt(5)), rtol=1e-10)


@settings(max_examples=25)
@given(
    st.lists(st.floats(-3, 3), min_size=2, max_size=6, unique=True),
    st.integers(0, 2**32 - 1),
    st.floats(-3, 3),
    st.sampled_from(["box", "exponential", "gaussian", "triangle"]),
)
def test_samples_against_scipys_quadrature(places: list[float], seed: int, t: float, other: str) -> None:
    x = np.sort(places)
    if np.diff(x).min() < 1e-3:
        return
    y = np.random.default_rng(seed).normal(size=len(x))
    g = {
        "box": box(1.5, 0.2),
        "exponential": exponential(1.7),
        "gaussian": gaussian(0.4),
        "triangle": triangle(),
    }
    found = convolve_functions(sampled(x, y), g[other], t)
    cuts = sorted({*x, *(t - g[other].edges()).clip(x[0], x[-1])})
    pieces = itertools.pairwise(cuts)
    expected = sum(
        quad(lambda tau: np.interp(tau, x, y) * g[other](t - tau), a, b, epsabs=1e-13)[0] for a, b in pieces
    )
    assert float(found.values) == pytest.approx(expected, abs=1e-10)


@given(st.integers(0, 2**32 - 1))
def test_it_commutes_is_linear_and_shifts(seed: int) -> None:
    draw = np.random.default_rng(seed)
    width, sigma, shift = draw.uniform(0.2, 2, 3)
    t = draw.normal(size=5)
    f, g, h = box(width), gaussian(sigma), triangle(1.3)
    both = Function(lambda x: 2 * g(x) - h(x), g.support, (*g.breaks, *h.edges()))
    found = convolve_functions(f, both, t).values
    apart = 2 * convolve_functions(f, g, t).values - convolve_functions(h, f, t).values
    np.testing.assert_allclose(found, apart, atol=1e-11)
    moved = convolve_functions(box(width, shift), g, t + shift).values
    np.testing.assert_allclose(moved, convolve_functions(f, g, t).values, atol=1e-11)


def test_the_area_of_a_convolution_is_the_product_of_areas() -> None:
    t = np.linspace(-6, 6, 1201)
    found = convolve_functions(box(1.5, 0, 2), gaussian(0.5), t)
    assert np.trapezoid(found.values, t) == pytest.approx(3, abs=1e-9)


def test_the_discrete_convolution_approaches_it() -> None:
    """What numpy.convolve gives of samples, times their distance, is off by at most its square."""
    spacing = 0.01
    x = np.arange(-2, 2 + spacing / 2, spacing)
    y = np.cos(x) * (1 - x**2 / 4)
    discrete = np.convolve(y, y) * spacing
    t = 2 * x[0] + spacing * np.arange(len(discrete))
    np.testing.assert_allclose(
        convolve_functions(sampled(x, y), sampled(x, y), t).values, discrete, atol=1e-4
    )


def test_shapes_and_the_tolerance() -> None:
    assert convolve_functions(box(), box(), 0.0).values.shape == ()
    assert convolve_functions(box(), box(), np.zeros((2, 3))).errors.shape == (2, 3)
    assert convolve_functions(box(), box(), []).values.shape == (0,)
    rough, fine = (convolve_functions(cauchy, gaussian(), T, tolerance=x).errors.max() for x in (1e-3, 1e-12))
    assert fine < rough <= 1e-3


def test_many_breaks_are_done_in_turns() -> None:
    x = np.linspace(-1, 1, 3001)
    found = convolve_functions(sampled(x, 1 - np.abs(x)), triangle(), [-0.5, 0.0, 0.25])
    expected = convolve_functions(triangle(), triangle(), [-0.5, 0.0, 0.25])
    np.testing.assert_allclose(found.values, expected.values, atol=1e-12)


@pytest.mark.parametrize(
    ("f", "g"),
    [
        (step(), lambda x: 1),
        (lambda x: 1, lambda x: 1),
        (step(), lambda x: 1 / (1 + np.abs(x))),
        (step(), np.sin),
        (step(), Function(lambda x: 1 / x, (-1, 1))),
        (step(), lambda x: np.exp(x * x)),
        (box(), lambda x: np.full_like(x, np.nan)),
    ],
)
def test_what_diverges_is_told(f: Callables, g: Callables) -> None:
    with pytest.raises(ValueError, match=r"the integral at t = 2 does not settle: it diverges"):
        convolve_functions(f, g, [2.0, 3.0])


def test_a_trace_is_what_the_integral_sees() -> None:
    shown = trace(exponential(2), box(), 0.3, np.linspace(-1, 2, 31))
    assert shown.tau[0] == -1 and shown.tau[-1] == 2 and (np.diff(shown.tau) > 0).all()
    assert np.isin(np.linspace(-1, 2, 31), shown.tau).all()
    np.testing.assert_array_equal(shown.f, exponential(2)(shown.tau))
    np.testing.assert_array_equal(shown.g, box()(0.3 - shown.tau))
    np.testing.assert_array_equal(shown.product, shown.f * shown.g)
    whole = convolve_functions(exponential(2), box(), 0.3)
    assert (shown.area, shown.error) == (float(whole.values), float(whole.errors))
    assert np.trapezoid(shown.product, shown.tau) == pytest.approx(shown.area, rel=0.01)


def test_a_trace_draws_edges_upright() -> None:
    shown = trace(box(), box(), 0.25, [-1.0, 1.0])
    jumps = np.abs(np.diff(shown.f)) > 0.5
    assert jumps.sum() == 2 and (np.diff(shown.tau)[jumps] < 1e-14).all()
    assert np.trapezoid(shown.product, shown.tau) == pytest.approx(0.75, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: box(0), "width must be positive"),
        (lambda: triangle(-1), "width must be positive"),
        (lambda: exponential(math.inf), "rate must be positive"),
        (lambda: gaussian(math.nan), "sigma must be positive"),
        (lambda: Function(np.sin, (1, 1)), "low < high"),
        (lambda: Function(np.sin, breaks=(math.inf,)), "breaks must be finite"),
        (lambda: sampled([0], [1]), "samples are two arrays"),
        (lambda: sampled([0, 1], [1]), "samples are two arrays"),
        (lambda: sampled([[0, 1]], [[0, 1]]), "samples are two arrays"),
        (lambda: sampled([1, 0], [1, 1]), "must grow"),
        (lambda: sampled([0, 0], [1, 1]), "must grow"),
        (lambda: sampled([0, math.nan], [1, 1]), "must be finite"),
        (lambda: sampled([0, 1], [1, math.inf]), "must be finite"),
        (lambda: convolve_functions(box(), box(), [0, math.nan]), "t must be finite"),
        (lambda: trace(box(), box(), 0, []), "at least one place"),
        (lambda: convolve_functions(box(), box(), 0, tolerance=0), "tolerance must lie"),
    ],
)
def test_wrong_arguments(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
