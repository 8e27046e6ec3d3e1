"""Ranges of options: what is outside would fail later, and far from its cause."""

from __future__ import annotations

import math


def check_range(options: object, low: float, high: float, *names: str) -> None:
    """Raise ValueError unless each number in these fields lies in [low, high]; a tuple must hold one."""
    for name in names:
        value = getattr(options, name)
        for number in value if isinstance(value, tuple) else (value,):
            if not low <= number <= high:
                raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got {number}")
        if value == ():
            raise ValueError(f"{name} must hold a number at least")


def positive(name: str, value: float, most: float = math.inf) -> float:
    """`value`, if it is finite, above 0 and at most `most`; otherwise ValueError."""
    if not 0 < value < math.inf or value > most:
        limit = "" if math.isinf(most) else f" and at most {most:g}"
        raise ValueError(f"{name} must be positive{limit}, got {value:g}")
    return value
