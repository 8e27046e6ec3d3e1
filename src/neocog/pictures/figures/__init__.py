"""The figures of the course, each drawn from numbers that this package computed.

`FIGURES["max-pooling"].draw()` gives a figure that shows itself in a notebook and saves itself to files.
"""

from neocog.pictures.figures.registry import FIGURES, Entry

__all__ = ["FIGURES", "Entry"]
