"""Which figures there are, in the order of the course."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from neocog.pictures.figure import Figure
from neocog.pictures.figures import (
    channels,
    detection,
    fields,
    integrals,
    invariance,
    localization,
    networks,
    photographs,
    pixelwise,
    pooling,
    sharing,
    signals,
    sliding,
)


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
        Entry(pooling.max_pooling, "max-pooling of 4x4 to 2x2, with switches"),
        Entry(invariance.pooling_invariance, "three detectors for three orientations, and their maximum"),
        Entry(invariance.pooling_shift, "pooled values stay where the input moves by one"),
        Entry(pooling.large_map_pooled, "a map of 224x224 and its pooled one, to scale"),
        Entry(pooling.unpooling, "maxima put back by their switches, against enlarging without"),
        Entry(sharing.parameter_sharing, "connections and weights of three kinds of layer"),
        Entry(sharing.sharing_counts, "weights of three kinds of layer on 1000x1000 pixels"),
        Entry(channels.one_by_one, "a 1x1 convolution as a matrix over channels at every pixel"),
        Entry(networks.architecture_digits, "the notes' net for digits, with every map"),
        Entry(networks.architecture_three_blocks, "three blocks of convolution, ReLU and pooling, to scale"),
        Entry(networks.zoo, "LeNet-5, AlexNet and VGG-16 beside each other"),
        Entry(localization.two_headed_localization, "one trunk, a head for the class and one for the box"),
        Entry(detection.region_proposals, "regions that may hold an object, and how many objects they cover"),
        Entry(detection.single_shot_grid, "cells and default boxes that answer for objects"),
        Entry(pixelwise.fcn_architecture, "FCN-32s, FCN-16s and FCN-8s: scores, skips, up-samplings"),
        Entry(pixelwise.deconvnet_architecture, "an encoder and its mirror image, joined by switches"),
    )
}
