"""Darknet: the 24 convolutions of YOLO's first version, made for looking once.

Redmon et al. 2016, arXiv:1506.02640, figure 3, as in the authors' `yolo.cfg` of that time: each convolution
has a bias and no normalisation, and is followed by max(x, 0.1 x). The two fully connected layers that follow
are the detector's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from neocog.backbones.backbone import Backbone
from neocog.types import Features

SLOPE = 0.1
"""Of the leaky ReLU, below 0."""

Layer = tuple[int, int, int] | None
"""Kernel, channels and stride of a convolution; None for a 2x2 pooling of stride 2."""

_FOURTH: tuple[Layer, ...] = ((1, 256, 1), (3, 512, 1))
_FIFTH: tuple[Layer, ...] = ((1, 512, 1), (3, 1024, 1))

LAYERS: tuple[Layer, ...] = (
    *((7, 64, 2), None),
    *((3, 192, 1), None),
    *((1, 128, 1), (3, 256, 1), (1, 256, 1), (3, 512, 1), None),
    *(*_FOURTH, *_FOURTH, *_FOURTH, *_FOURTH, (1, 512, 1), (3, 1024, 1), None),
    *(*_FIFTH, *_FIFTH, (3, 1024, 1), (3, 1024, 2)),
    *((3, 1024, 1), (3, 1024, 1)),
)

CLASSIFYING = LAYERS[:-4]
"""The first 20 convolutions, which the authors trained on ImageNet; a 1x1 convolution to the classes and a
mean followed."""


class Darknet(Backbone):
    """Maps `conv1` to `conv24`, each after its leaky ReLU, at strides 2 (conv1) to 64 (conv22 and after).

    60,155,968 parameters. The first 20 layers are those that the authors trained on ImageNet first; `layers`
    is their table, another one gives a thinner or a shorter network. Pixels go in as they are, in [0, 1].
    """

    def __init__(self, layers: Sequence[Layer] = LAYERS) -> None:
        channels: dict[str, int] = {}
        strides: dict[str, int] = {}
        stride = 1
        for layer in layers:
            stride *= 2 if layer is None else layer[2]
            if layer is not None:
                name = f"conv{len(channels) + 1}"
                channels[name], strides[name] = layer[1], stride
        super().__init__(channels, strides, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        self.features = nn.Sequential(*_modules(layers))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE, nonlinearity="leaky_relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor, until: str | None = None) -> Features:
        self.require(until)
        maps: dict[str, Tensor] = {}
        x = self.normalise(images)
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.LeakyReLU):
                name = f"conv{len(maps) + 1}"
                maps[name] = x
                if name == until:
                    break
        return Features(maps)


darknet = Darknet  # the builder, named as those of the ResNets


def _modules(layers: Sequence[Layer]) -> Iterator[nn.Module]:
    before = 3
    for layer in layers:
        if layer is None:
            yield nn.MaxPool2d(2, 2)
        else:
            kernel, channels, stride = layer
            yield nn.Conv2d(before, channels, kernel, stride, padding=kernel // 2)
            yield nn.LeakyReLU(SLOPE)  # not in place: every layer's map is kept
            before = channels
