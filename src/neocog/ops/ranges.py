"""Ranges of options: what is outside would fail later, and far from its cause."""

from __future__ import annotations


def check_range(options: object, low: float, high: float, *names: str) -> None:
    """Raise ValueError unless each number in these fields lies in [low, high]; a tuple must hold one."""
    for name in names:
        value = getattr(options, name)
        for number in value if isinstance(value, tuple) else (value,):
            if not low <= number <= high:
                raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got {number}")
        if value == ():
            raise ValueError(f"{name} must hold a number at least")
