"""Which figures there are, in the order of the course."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from neocog.pictures.figure import Figure
from neocog.pictures.figures import fields, integrals, photographs, signals, sliding


class Entry(NamedTuple):
    """A figure that can be drawn."""

    draw: Callable[[], Figure]
    """Computes and draws it."""
    title: str
    """In a few words, what it is about."""

    @property
    def name(self) -> str:
        """Of the figure and its files: that of the function, with hyphens."""
        return self.draw.__name__.replace("_", "-")


FIGURES = {
    entry.name: entry
    for entry in (
        Entry(signals.pulse_smoothing, "a pulse averaged by a sliding box"),
        Entry(integrals.integral_squares, "a square slides over a square: the overlap draws a triangle"),
        Entry(integrals.integral_exponential, "a decay slides over a square: a charge and a discharge"),
        Entry(signals.pulse_derivative, "a pulse made differentiable: (f * g)' = f * g'"),
        Entry(signals.density, "a density estimate is spikes convolved with a bell"),
        Entry(sliding.binary_image, "a 3x3 kernel slides over a 5x5 picture of zeros and ones"),
        Entry(sliding.one_step, "one step of a convolution in close-up"),
        Entry(photographs.laplacian_photograph, "both Laplacians of a photograph"),
        Entry(photographs.sobel_close_up, "grey levels at an edge and what Sobel's kernels answer"),
        Entry(sliding.stride_and_padding, "stride 2 with padding 1 over a 5x5 picture"),
        Entry(fields.dilation, "what a kernel sees at dilation 1, 2, 3, and stacked"),
        Entry(photographs.six_filters, "a 32x32x3 picture under six filters"),
        Entry(sliding.two_maps, "two filters scan a picture to two maps"),
        Entry(photographs.edges_as_sparsity, "nearly all of a photograph's edge map is close to zero"),
    )
}
