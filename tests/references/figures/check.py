"""What each figure must show, by somebody else's arithmetic, and whose computation would spoil it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from neocog.pictures.figure import Figure


class Check(NamedTuple):
    """Of one figure."""

    holds: Callable[[Figure], None]
    """Raises AssertionError unless the figure's values are right, by SciPy, torch or plain counting."""
    computed_by: tuple[str, ...]
    """Names of the library's functions in the figure's module: with any of them wrong, `holds` must not."""
    spoil: Callable[[Any], Any]
    """Makes a result of theirs wrong."""
