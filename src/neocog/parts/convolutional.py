"""A classifier as a convolutional network: its dense layers slide over pictures of any size.

A dense layer is a convolution whose kernel covers its whole input, so the same numbers, read as filters,
score every window of a larger picture at once: a heat map for the cost of one pass (Long, Shelhamer and
Darrell 2015, arXiv:1411.4038, figure 2; Sermanet et al. 2014, arXiv:1312.6229, section 3.5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone
from neocog.errors import UsageError
from neocog.ops.arithmetic import Field
from neocog.ops.summary import summarize
from neocog.parts.dense import DenseHead, map_size, shapes_of


class HeadOptions(Protocol):
    """What must be known of a classifier's options."""

    @property
    def level(self) -> str: ...
    @property
    def side(self) -> int: ...
    @property
    def pool(self) -> int: ...
    @property
    def first(self) -> str: ...


class DenseClassifier(Protocol):
    """What a classifier has; `neocog.models.classifier.Classifier` has it."""

    backbone: Backbone
    head: DenseHead

    @property
    def options(self) -> HeadOptions: ...


class ConvolutionalClassifier(nn.Module):
    """Images (B, 3, H, W) in [0, 1] to logits (B, K, h, w): one cell for each place of the training window.

    On pictures of the training size it is the classifier, with one cell. Cell (i, j) looks at the pixels
    around (offset + j stride, offset + i stride), continuous coordinates in which the first pixel is centred
    at 0.5: `field` has the same with the size of what a cell sees, in whole pixels. Cells far from the border
    see the picture where in a cut-out window they saw padding, so they differ from the classifier on it,
    unless the network does not pad.

    It is for evaluation: it shares the backbone and the weights with its classifier, and has no dropout.
    """

    def __init__(self, backbone: Backbone, level: str, layers: nn.Sequential, side: int) -> None:
        """`layers` make logits of the map `level`; `side`: the smallest pictures, pixels."""
        super().__init__()
        self.backbone, self.level, self.layers, self.side = backbone, level, layers, side
        with torch.inference_mode(False):  # in which a summary would not see operators one by one
            shapes, images = shapes_of(self), torch.empty(1, 3, side, side, device="meta")
            summary = summarize(self, images, lambda given: functional_call(self, shapes, (given,)))
        field = summary.rows[-1].field
        if field is None:
            raise UsageError(f"the cells of {type(backbone).__name__}'s {level} do not each see one window")
        self.field: Field = field

    @property
    def stride(self) -> int:
        """Pixels from one cell to the next."""
        return self.field.jump

    @property
    def offset(self) -> float:
        """Continuous coordinate, in pixels, of the centre of what the first cell sees, along both axes."""
        return self.field.start + 0.5

    def forward(self, images: Tensor) -> Tensor:
        """Raises UsageError for pictures smaller than the training window."""
        if min(images.shape[-2:]) < self.side:
            height, width = images.shape[-2:]
            raise UsageError(f"a picture of {width} x {height} px has no window of {self.side} px a side")
        maps = self.backbone(images, until=self.level).maps
        logits: Tensor = self.layers(maps[self.level]).float()
        return logits


def convolutionalized(classifier: DenseClassifier, *, averaged: bool = True) -> ConvolutionalClassifier:
    """The classifier as a convolutional network, in evaluation mode.

    A head that reads the mean of the map becomes an average pooling of the training map's size, stride 1, and
    1x1 convolutions; without `averaged`, the latter alone, which answer for each cell of the map. Those of a
    single linear layer are then class activation maps (Zhou et al. 2016, arXiv:1512.04150), whose mean is
    what the classifier says. A head that reads cells becomes a convolution of the training map's size: with
    the same numbers where the map has those cells, and otherwise with their averaging multiplied into them.
    Raises UsageError for a classifier whose first layer shares no weights: it has one size.
    """
    options, backbone = classifier.options, classifier.backbone
    if options.first != "convolution":
        raise UsageError(f"a classifier with first={options.first} sees pictures of one size")
    channels, rows, columns = map_size(backbone, options.level, options.side)
    layers = nn.Sequential(*_layers(classifier.head, (channels, rows, columns), options.pool, averaged))
    return ConvolutionalClassifier(backbone, options.level, layers, options.side).eval()


def _layers(head: DenseHead, shape: tuple[int, int, int], pool: int, averaged: bool) -> Iterator[nn.Module]:
    channels, rows, columns = shape
    first = True
    if averaged and pool == 1 and rows * columns > 1:
        yield nn.AvgPool2d((rows, columns), stride=1)
    for layer in head:
        if isinstance(layer, nn.Linear):
            weight = layer.weight.detach()
            if first and pool != 1:
                yield _convolution(_over_map(weight, shape, pool), layer)
            else:
                yield _convolution(weight[:, :, None, None], layer)
            first = False
        elif not isinstance(layer, nn.Dropout):
            yield layer


def _over_map(weight: Tensor, shape: tuple[int, int, int], pool: int) -> Tensor:
    """Weights (O, C cells) as filters over the whole map (O, C, rows, columns), averaging included."""
    channels, rows, columns = shape
    if not pool or pool == rows == columns:
        return weight.view(-1, *shape)
    places = torch.eye(rows * columns, dtype=weight.dtype, device=weight.device)
    averages = F.adaptive_avg_pool2d(places.view(-1, 1, rows, columns), pool).flatten(1)  # (places, cells)
    spread: Tensor = weight.view(len(weight), channels, -1) @ averages.T
    return spread.view(-1, *shape)


def _convolution(weight: Tensor, layer: nn.Linear) -> nn.Conv2d:
    """A convolution with these filters (O, C, h, w), and the bias of a dense layer."""
    outputs, inputs, height, width = weight.shape
    conv = nn.Conv2d(inputs, outputs, (height, width), device="meta")
    conv.weight = nn.Parameter(weight)
    conv.bias = nn.Parameter(layer.bias.detach())
    return conv
