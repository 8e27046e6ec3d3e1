"""The convolution of two functions of a real number: (f * g)(t) = integral of f(tau) g(t - tau) over tau.

The line is cut wherever f or the mirrored g may break, and each piece is integrated by Gauss-Legendre
quadrature, halved until whole and halves agree. Between the cuts polynomials come out exactly, so that the
convolution of two boxes is a triangle to the last digits. Functions that never become zero are integrated up
to infinity, over u from 1 to 0 in tau = a + 1 / u - 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neocog.ops.ranges import positive

Floats = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(10)
_HALVINGS = 50
_MOST_PIECES = 1 << 14
"""Pieces at a time: what is more of them is done in turns, or does not settle."""

_ROUNDING = 1024 * float(np.finfo(float).eps)
"""Share of a value: an exponent near -745, the least there is, makes as much of its own rounding."""

_SIDE = 8 * float(np.finfo(float).eps)
"""How far from a break, as a share of the numbers about it, both sides of it are sure to be told apart."""


@dataclass(frozen=True)
class Function:
    """A function that is zero outside its support [low, high), and smooth except at its breaks.

    `value` takes an array of any shape and gives one of the same shape, or a number; it is asked within the
    support only. A narrow peak that no break points at may be overlooked.
    """

    value: Callable[[Floats], ArrayLike]
    support: tuple[float, float] = (-math.inf, math.inf)
    breaks: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        if not self.support[0] < self.support[1]:
            raise ValueError(f"a support (low, high) needs low < high, got {self.support}")
        if not all(map(math.isfinite, self.breaks)):
            raise ValueError(f"breaks must be finite, got {self.breaks}")

    def __call__(self, x: ArrayLike) -> Floats:
        places = np.asarray(x, float)
        low, high = self.support
        inside = (places >= low) & (places < high)
        return np.where(inside, self.value(places.clip(low, high)), 0.0)

    def edges(self) -> Floats:
        """Where it may break: its breaks, and the finite ends of its support."""
        return np.array([*filter(math.isfinite, self.support), *self.breaks])


def box(width: float = 1, centre: float = 0, height: float = 1) -> Function:
    """`height` within `width` about `centre`, and 0 elsewhere."""
    half = positive("width", width) / 2
    return Function(lambda x: height, (centre - half, centre + half), ())


def triangle(width: float = 2, centre: float = 0, height: float = 1) -> Function:
    """A straight rise to `height` at `centre` and a straight fall; 0 from `width` / 2 away."""
    half = positive("width", width) / 2
    return Function(
        lambda x: height * (1 - np.abs(x - centre) / half), (centre - half, centre + half), (centre,)
    )


def exponential(rate: float = 1) -> Function:
    """exp(-rate x) from 0 on, and 0 before: causal. It ends where a double cannot hold it any more."""
    positive("rate", rate)
    return Function(lambda x: np.exp(-rate * x), (0, 745 / rate), tuple(k / rate for k in (2, 8, 32, 128)))


def gaussian(sigma: float = 1, centre: float = 0) -> Function:
    """A normal distribution, of area 1. It ends where a double cannot hold it any more."""
    positive("sigma", sigma)
    height = 1 / (sigma * math.sqrt(2 * math.pi))
    return Function(
        lambda x: height * np.exp(-0.5 * ((x - centre) / sigma) ** 2),
        (centre - 38.5 * sigma, centre + 38.5 * sigma),
        tuple(centre + k * sigma for k in (-16, -8, -4, 0, 4, 8, 16)),
    )


def step(at: float = 0, height: float = 1) -> Function:
    """0 before `at`, `height` from there on."""
    return Function(lambda x: height, (at, math.inf), ())


def sampled(x: ArrayLike, y: ArrayLike) -> Function:
    """Straight lines between samples (N,) at growing places, and 0 outside them.

    Raises ValueError for fewer than two samples, places that do not grow, and what is not finite.
    """
    places, values = np.asarray(x, float), np.asarray(y, float)
    if places.ndim != 1 or places.shape != values.shape or len(places) < 2:
        raise ValueError(f"samples are two arrays (N,) with N >= 2, got {places.shape} and {values.shape}")
    if not (np.isfinite(places).all() and np.isfinite(values).all() and (np.diff(places) > 0).all()):
        raise ValueError("samples must be finite, and their places must grow")
    return Function(lambda at: np.interp(at, places, values), (places[0], places[-1]), tuple(places[1:-1]))


@dataclass(frozen=True)
class Integral:
    """(f * g)(t), of the shape of t, and what each value may be wrong by."""

    values: Floats
    errors: Floats


@dataclass(frozen=True)
class Trace:
    """What the integral sees at one t: the curves over tau (N,), and the area under their product."""

    t: float
    tau: Floats
    f: Floats  # f(tau)
    g: Floats  # g(t - tau)
    product: Floats
    area: float  # (f * g)(t)
    error: float


def convolve_functions(
    f: Function | Callable[[Floats], ArrayLike],
    g: Function | Callable[[Floats], ArrayLike],
    t: ArrayLike,
    *,
    tolerance: float = 1e-10,
) -> Integral:
    """(f * g)(t) at any number of t; a callable that is no `Function` is taken over the whole line.

    `errors` are estimates, usually far too large: the differences between pieces and their halves, and
    rounding. They are at most `tolerance` times the integral of |f(tau) g(t - tau)|. Raises ValueError for a
    tolerance outside [1e-12, 0.1], a t that is not finite, and where the integral does not settle: because it
    diverges, or because f or g breaks where no break is named.
    """
    if not 1e-12 <= tolerance <= 0.1:
        raise ValueError(f"tolerance must lie in [1e-12, 0.1], got {tolerance:g}")
    places = np.asarray(t, float)
    if not np.isfinite(places).all():
        raise ValueError("t must be finite")
    first, second = _function(f), _function(g)
    cuts = len(first.edges()) + len(second.edges()) + 2
    turns = np.array_split(places.ravel(), max(places.size * cuts // _MOST_PIECES, 1))
    with np.errstate(all="ignore"):  # what is not finite does not settle, and is told of then
        found = np.concatenate([_settle(first, second, turn, tolerance) for turn in turns], axis=1)
    return Integral(found[0].reshape(places.shape), found[1].reshape(places.shape))


def trace(
    f: Function | Callable[[Floats], ArrayLike],
    g: Function | Callable[[Floats], ArrayLike],
    t: float,
    tau: ArrayLike,
) -> Trace:
    """The curves under the integral at one t, over the given places `tau` (N,), in order.

    Both sides of every break among them are put in, so that a drawn edge is upright. Raises ValueError as
    `convolve_functions`, and without a place.
    """
    first, second = _function(f), _function(g)
    whole = convolve_functions(first, second, t)
    places = np.asarray(tau, float)
    if not places.size:
        raise ValueError("a trace needs at least one place tau")
    edges = np.concatenate([first.edges(), t - second.edges()])
    near = _SIDE * np.abs([t, *edges]).max()
    extra = np.concatenate([edges - near, edges, edges + near])
    places = np.union1d(places, extra[(extra >= places.min()) & (extra <= places.max())])
    one, other = first(places), second(t - places)
    return Trace(t, places, one, other, one * other, float(whole.values), float(whole.errors))


@dataclass(frozen=True)
class _Pieces:
    """Pieces of the line: those of finite ones go from `left` to `right`; of those to infinity u does."""

    rows: NDArray[np.intp]  # which t each belongs to
    left: Floats
    right: Floats
    origin: Floats  # where a piece to infinity begins
    side: Floats  # -1 or 1: to which infinity; 0: to none

    def __getitem__(self, which: NDArray[np.bool_]) -> _Pieces:
        return _Pieces(
            self.rows[which], self.left[which], self.right[which], self.origin[which], self.side[which]
        )

    def halves(self) -> _Pieces:
        """Twice as many: both halves of the first, both of the second, ..."""
        middle = (self.left + self.right) / 2
        left, right = np.column_stack([self.left, middle]), np.column_stack([middle, self.right])
        return _Pieces(
            self.rows.repeat(2), left.ravel(), right.ravel(), self.origin.repeat(2), self.side.repeat(2)
        )

    def areas(self, f: Function, g: Function, t: Floats) -> Floats:
        """The integral over each piece by one Gauss-Legendre rule."""
        half = (self.right - self.left)[:, None] / 2
        u = self.left[:, None] + half * (1 + _NODES)
        v = np.where(self.side[:, None] == 0, 1.0, u)
        beyond = self.origin[:, None] + self.side[:, None] * (1 / v - 1)
        tau = np.where(self.side[:, None] == 0, u, beyond)
        areas: Floats = (f(tau) * g(t[self.rows][:, None] - tau) / v**2 * half) @ _WEIGHTS
        return areas


def _cut(f: Function, g: Function, t: Floats) -> _Pieces:
    """The pieces between the cuts at every t (T,), where both f and the mirrored g may be other than zero."""
    low = np.maximum(f.support[0], t - g.support[1])[:, None]
    high = np.minimum(f.support[1], t - g.support[0])[:, None].clip(min=low)
    cuts = np.concatenate([np.broadcast_to(f.edges(), (len(t), len(f.edges()))), t[:, None] - g.edges()], 1)
    ends = np.sort(np.concatenate([low, cuts.clip(low, high), high], 1), axis=1)
    rows, columns = np.nonzero(ends[:, :-1] < ends[:, 1:])
    left, right = ends[rows, columns], ends[rows, columns + 1]
    side = np.where(np.isinf(right), 1.0, np.where(np.isinf(left), -1.0, 0.0))
    origin = np.select([side > 0, side < 0], [left, right], 0.0)
    return _Pieces(rows, np.where(side == 0, left, 0.0), np.where(side == 0, right, 1.0), origin, side)


def _settle(f: Function, g: Function, t: Floats, tolerance: float) -> Floats:
    """The integrals at every t (T,) and their errors (2, T)."""
    total, error, size = np.zeros((3, len(t)))
    pieces = _cut(f, g, t)
    most = _MOST_PIECES + 8 * len(pieces.rows)
    whole = pieces.areas(f, g, t)
    for halving in range(_HALVINGS):
        parts = pieces.halves()
        areas = parts.areas(f, g, t)
        better = areas.reshape(-1, 2).sum(axis=1)
        wrong = np.abs(better - whole)
        now = size + _sum(parts.rows, np.abs(areas), t)
        last = halving == _HALVINGS - 1 or len(parts.rows) > most
        done = (wrong <= tolerance / 100 * now[pieces.rows]) | last
        for sums, values in ((total, better), (error, wrong), (size, np.abs(better))):
            sums += _sum(pieces.rows[done], values[done], t)
        pieces, whole = parts[~done.repeat(2)], areas[~done.repeat(2)]
        if not len(whole):
            break
    unsettled = ~((error <= tolerance * size) & np.isfinite(total))
    if unsettled.any():
        raise ValueError(
            f"the integral at t = {t[unsettled][0]:g} does not settle: it diverges, or f or g needs a break "
            "or a support, or the tolerance is too small"
        )
    return np.stack([total, error + _ROUNDING * size])


def _sum(rows: NDArray[np.intp], values: Floats, t: Floats) -> Floats:
    return np.bincount(rows, values, len(t)).astype(float)  # of nothing at all it counts in whole numbers


def _function(f: Function | Callable[[Floats], ArrayLike]) -> Function:
    return f if isinstance(f, Function) else Function(f)
