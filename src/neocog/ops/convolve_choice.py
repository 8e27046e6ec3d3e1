"""Which way `convolve` goes: the fastest of those whose result is right for these numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from neocog.ops.convolve_cost import Estimate

METHODS = ("auto", "direct", "fft", "overlap-add")
QUIET = 0.02  # of the peak; a transform in float32 errs by up to 1e-6 of the peak, so by 5e-5 of this
_DOUBLE = {"float32": "float64", "complex64": "complex128"}


class Choice(NamedTuple):
    """How `convolve` would go about it, and why."""

    method: str
    """direct, fft or overlap-add."""
    reason: str
    """In one sentence."""
    seconds: dict[str, float]
    """The estimate of each way that is open, on the machine that the model was fitted on."""
    computed_in: str
    """The type of the sums or transforms, such as float64."""


def check(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"method must be 'auto', 'direct', 'fft' or 'overlap-add', not {method!r}")


def for_integers(guess: Estimate, kind: str, rounds_right: Callable[[], bool]) -> Choice:
    """Integers: by a transform in float64 where its rounded result is exact."""
    if not rounds_right():
        return Choice("direct", "a transform could not tell integers this large apart", guess.seconds, kind)
    return Choice(
        guess.fastest, "it should be the fastest, and rounds to the exact integers", guess.seconds, "float64"
    )


def for_floats(
    guess: Estimate, finer: Callable[[str], Estimate], kind: str, quietest: Callable[[], float]
) -> Choice:
    """Others: a transform only if all are finite, and in a type that resolves the quietest part.

    `finer` estimates transforms in another type; `quietest` gives the smallest peak of a part of the inputs
    over their whole peak, NaN if something is not finite.
    """
    if guess.fastest == "direct":
        return Choice("direct", "it should be the fastest", guess.seconds, kind)
    quiet = quietest()
    if math.isnan(quiet):
        reason = "a transform would spread numbers that are not finite over the whole result"
        return Choice("direct", reason, guess.seconds, kind)
    if quiet >= QUIET or kind not in _DOUBLE:
        return Choice(guess.fastest, "it should be the fastest", guess.seconds, kind)
    slower = finer(_DOUBLE[kind])
    both = Estimate({**slower.seconds, "direct": guess.seconds["direct"]}, slower.lengths)
    reason = "a part of an input is so quiet that a transform in single precision would drown it"
    return Choice(both.fastest, reason, both.seconds, kind if both.fastest == "direct" else _DOUBLE[kind])
