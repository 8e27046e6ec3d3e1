"""Binned densities against direct summation, scipy.stats.gaussian_kde and sklearn's KernelDensity."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline
from scipy.stats import gaussian_kde
from sklearn.neighbors import KernelDensity
from tests.references.kde import direct_density

from neocog.ops._kernels_kde import splines
from neocog.ops.kde import KERNELS, Density, Floats, kernel_density

N = 10_000

draw = np.random.default_rng(7)
SAMPLES: dict[str, Floats] = {
    "normal": draw.normal(size=N),
    "heavy tails": draw.standard_t(3, size=N),
    "edges": draw.uniform(size=N),
    "two widths": np.concatenate([0.05 * draw.normal(size=N // 2), 3 + draw.normal(size=N // 2)]),
    "few places": np.repeat(5 * draw.normal(size=10), N // 10),
    "plane": draw.normal(size=(N, 2)),
    "slanted": draw.multivariate_normal([0, 1], [[1, 0.9], [0.9, 4]], size=N),
    "two clusters": np.concatenate([0.05 * draw.normal(size=(N // 2, 2)), 1 + draw.normal(size=(N // 2, 2))]),
}


def grid_places(density: Density, count: int) -> tuple[Floats, Floats]:
    """Some grid points (count, d) and the density there."""
    index = tuple(draw.integers(0, size, count) for size in density.values.shape)
    return np.stack([axis[i] for axis, i in zip(density.axes, index, strict=True)], -1), density.values[index]


def near(samples: Floats, count: int) -> Floats:
    """Points (count, d) where samples are."""
    plane = samples.reshape(len(samples), -1)
    return plane[draw.integers(0, len(plane), count)] + 0.1 * draw.normal(size=(count, plane.shape[1]))


def difference(density: Density, samples: Floats, count: int = 200) -> tuple[float, float]:
    """From direct summation, at grid points and between them, as a share of the density's peak."""
    plane, weights = samples.reshape(len(samples), -1), np.ones(len(samples))
    places, values = grid_places(density, count)
    points = near(samples, count)
    direct = [
        direct_density(one, plane, weights, density.covariance, density.kernel) for one in (places, points)
    ]
    peak = density.values.max()
    return abs(values - direct[0]).max() / peak, abs(density.at(points) - direct[1]).max() / peak


@pytest.mark.parametrize("name", SAMPLES)
def test_gaussian_is_direct_summation_to_a_millionth(name: str) -> None:
    on_grid, between = difference(kernel_density(SAMPLES[name]), SAMPLES[name])
    assert on_grid < 1e-6 and between < 1e-6


@pytest.mark.parametrize("name", SAMPLES)
def test_epanechnikov_is_direct_summation_to_what_is_stated(name: str) -> None:
    samples = SAMPLES[name]
    on_grid, between = difference(kernel_density(samples, kernel="epanechnikov"), samples)
    limit = 1e-6 if samples.ndim == 1 else 3e-4
    assert on_grid < limit and between < limit


@pytest.mark.parametrize("name", ["normal", "edges", "plane"])
def test_a_box_is_wrong_by_the_samples_at_its_rim(name: str) -> None:
    samples = SAMPLES[name]
    plane = samples.reshape(N, -1)
    density = kernel_density(samples, kernel="box")
    places, values = grid_places(density, 100)
    direct = direct_density(places, plane, np.ones(N), density.covariance, "box")
    inverse, d = np.linalg.inv(density.covariance), plane.shape[1]
    height = math.sqrt(np.linalg.det(inverse)) / ((d + 2) ** (d / 2) * (2 if d == 1 else math.pi))
    cell = [axis[1] - axis[0] for axis in density.axes]
    reach = math.sqrt(d + 2)
    steps = math.sqrt(sum(inverse[i, i] * cell[i] ** 2 for i in range(d)) * 1.1)  # a cell, in bandwidths
    for place, found, exact in zip(places, values, direct, strict=True):
        away = np.sqrt((((place - plane) @ inverse) * (place - plane)).sum(axis=1))
        rim = height * (abs(away - reach) < steps).mean()
        assert abs(found - exact) <= rim + (d - 1) / (25 * 32) * exact + 1e-9


@settings(max_examples=50)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(2, 8), st.booleans())
def test_the_bound_of_the_gaussian_holds_for_one_sample(x: float, y: float, cells: int, plane: bool) -> None:
    """The worst case: nothing averages out. The first sample is far away and fixes where the grid lies."""
    samples = np.array([[-15 - x, -15 - y], [0.0, 0.0]])[:, : 1 + plane]
    density = kernel_density(samples, bandwidth=1, cells=cells)
    inner = [np.flatnonzero(np.abs(axis) < 2) for axis in density.axes]
    places = np.meshgrid(*(axis[i] for axis, i in zip(density.axes, inner, strict=True)), indexing="ij")
    exact = np.exp(-sum(one**2 for one in places) / 2) / (2 * math.pi) ** ((1 + plane) / 2) / 2
    wrong = np.abs(density.values[np.ix_(*inner)] - exact).max() / exact.max()
    assert wrong <= (1 + plane) / (50 * cells**6) + 2e-8  # where the kernel is cut off


@pytest.mark.parametrize("rule", ["scott", "silverman"])
@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_scipys_bandwidths_weights_and_densities(rule: Any, dimensions: int, weighted: bool) -> None:
    samples = draw.normal(size=(300, dimensions)) @ draw.normal(size=(dimensions, dimensions))
    weights = draw.uniform(0, 3, 300) if weighted else None
    points = draw.normal(size=(50, dimensions))
    theirs = gaussian_kde(samples.T, bw_method=rule, weights=weights)
    ours = kernel_density(samples, bandwidth=rule, weights=weights)
    np.testing.assert_allclose(ours.covariance, theirs.covariance, rtol=1e-12)
    assert np.abs(ours.at(points) - theirs(points.T)).max() < 1e-6 * ours.values.max()


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize(("kernel", "theirs"), [("epanechnikov", "epanechnikov"), ("box", "tophat")])
def test_sklearns_kernels(kernel: Any, theirs: str, dimensions: int) -> None:
    """They reach one of their bandwidths; ours has one as its standard deviation."""
    samples = draw.normal(size=(500, dimensions))
    reach = math.sqrt(dimensions + (4 if kernel == "epanechnikov" else 2))
    other = KernelDensity(bandwidth=0.4 * reach, kernel=theirs, rtol=1e-12, atol=1e-14).fit(samples)
    density = kernel_density(samples, bandwidth=0.4, kernel=kernel)
    places, values = grid_places(density, 200)
    with np.errstate(divide="ignore"):
        expected = np.exp(other.score_samples(places))
    limit = {"epanechnikov": 1e-3, "box": 0.03}[kernel]
    assert np.abs(values - expected).max() < limit * values.max()
    assert np.median(np.abs(values - expected)) < limit / 10 * values.max()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", ["two widths", "plane"])
def test_it_is_a_density(kernel: Any, name: str) -> None:
    density = kernel_density(SAMPLES[name], kernel=kernel)
    cell = math.prod(axis[1] - axis[0] for axis in density.axes)
    assert density.values.min() >= 0
    assert density.values.sum() * cell == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_has_the_bandwidth_as_its_deviation(kernel: Any) -> None:
    density = kernel_density([[3.0, -1.0]], bandwidth=(0.5, 2), kernel=kernel)
    cell = math.prod(axis[1] - axis[0] for axis in density.axes)
    for axis, centre, width, other in zip(density.axes, (3, -1), (0.5, 2), (1, 0), strict=True):
        marginal = density.values.sum(axis=other) * cell
        assert marginal @ (axis - centre) == pytest.approx(0, abs=1e-6)
        assert marginal @ (axis - centre) ** 2 == pytest.approx(width**2, rel=0.003)


def test_nothing_wraps_around_the_ends() -> None:
    """As it does when a circular convolution is not padded."""
    density = kernel_density([0.0, 0.0, 10.0], bandwidth=1)
    assert density.at([-5.0, 15.0]) == pytest.approx([2 / 3 * 1.4867e-6, 1 / 3 * 1.4867e-6], rel=0.01)
    assert (density.at([-100.0, 100.0]) == 0).all()


@given(st.floats(0, 1, exclude_max=True), st.sampled_from([1, 3, 5]))
def test_splines_are_scipys(t: float, order: int) -> None:
    values = np.empty(order + 1)
    first = splines(7 + t, order, values)
    expected = [
        float(
            BSpline.basis_element(np.arange(order + 2), extrapolate=False)(
                7 + t - (first + i) + (order + 1) / 2
            )
        )
        for i in range(order + 1)
    ]
    np.testing.assert_allclose(values / math.factorial(order), np.nan_to_num(expected), atol=1e-14)


@pytest.mark.parametrize(
    ("samples", "options", "words"),
    [
        ([], {}, "at least one sample"),
        (np.zeros((5, 3)), {}, r"shape \(N,\) or \(N, 2\)"),
        (3.0, {}, r"shape \(N,\) or \(N, 2\)"),
        ([1.0, math.nan], {}, "samples must be finite"),
        ([1.0], {}, "give the bandwidth as a number"),
        ([2.0, 2.0], {}, "give the bandwidth as a number"),
        ([[0, 0], [1, 1], [2, 2]], {}, "on one line"),
        ([1.0, 2.0], {"bandwidth": 0}, "bandwidth must be positive"),
        ([1.0, 2.0], {"bandwidth": (1, 2)}, "one number or one an axis"),
        ([1.0, 2.0], {"bandwidth": "scot"}, "did you mean 'scott'"),
        ([1.0, 2.0], {"kernel": "gausian"}, "did you mean 'gaussian'"),
        ([1.0, 2.0], {"cells": 0}, "cells must lie"),
        ([1.0, 2.0], {"bandwidth": 1e-9}, "larger bandwidth"),
        ([1.0, 2.0], {"weights": [1]}, "weights are 2 numbers"),
        ([1.0, 2.0], {"weights": [1, -1]}, "weights are 2 numbers"),
        ([1.0, 2.0], {"weights": [0, 0]}, "not all 0"),
    ],
)
def test_what_gives_no_density(samples: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kernel_density(samples, **options)


def test_points_have_the_samples_dimensions() -> None:
    with pytest.raises(ValueError, match=r"points have the shape \(N,\), got \(1, 2\)"):
        kernel_density([1.0, 2.0]).at([[1.0, 2.0]])
    with pytest.raises(ValueError, match="points must be finite"):
        kernel_density([1.0, 2.0]).at([math.inf])
    assert kernel_density([1.0, 2.0]).at([]).shape == (0,)
