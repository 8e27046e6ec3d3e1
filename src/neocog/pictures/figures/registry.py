"""Which figures there are, in the order of the course."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from neocog.pictures.figure import Figure


@dataclass(frozen=True)
class Entry:
    """A figure that can be drawn."""

    name: str
    title: str
    """In a few words, what it is about."""
    module: str
    """Of this package; it has a function of the figure's name, and is loaded when that is drawn."""

    def draw(self) -> Figure:
        """Compute and draw it."""
        module = import_module(f"neocog.pictures.figures.{self.module}")
        figure: Figure = getattr(module, self.name.replace("-", "_"))()
        return figure


FIGURES = {
    entry.name: entry
    for entry in (
        Entry("pulse-smoothing", "a pulse averaged by a sliding box", "signals"),
        Entry("binary-image", "a 3x3 kernel slides over a 5x5 picture of zeros and ones", "sliding"),
    )
}
