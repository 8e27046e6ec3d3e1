"""VGG-16, and a thin counterpart: depth from nothing but 3x3 convolutions.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015,
arXiv:1409.1556, configuration D. Names in the state dict are those of torchvision, whose published weights
fit as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from neocog.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone
from neocog.types import Features

Blocks = Sequence[tuple[int, int]]
"""Channels and convolutions before each pooling."""

BLOCKS: Blocks = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
THIN: Blocks = ((16, 1), (32, 1), (64, 2), (128, 2), (192, 2))


class VGG(Backbone):
    """3x3 convolutions in blocks that each end in a pooling; three dense layers where `classes` is given.

    Maps: the last convolution of each block after its ReLU (in VGG-16 `conv1_2 conv2_2 conv3_3 conv4_3
    conv5_3`, strides 1, 2, 4, 8, 16) and its pooling (`pool1` to `pool5`, strides 2 to 32).

    `norm` puts BatchNorm before each ReLU; `bias` is whether convolutions add one. `ceil_mode` rounds the
    size of pooled maps up, as Caffe does and the networks published with it expect. `switches` also returns
    the argmax of each pooling, (B, C, h, w) flat positions in the map before it.
    """

    def __init__(
        self,
        blocks: Blocks,
        classes: int | None = None,
        *,
        norm: bool = False,
        bias: bool = True,
        ceil_mode: bool = False,
        switches: bool = False,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        channels: dict[str, int] = {}
        strides: dict[str, int] = {}
        for block, (width, depth) in enumerate(blocks, 1):
            channels |= {f"conv{block}_{depth}": width, f"pool{block}": width}
            strides |= {f"conv{block}_{depth}": 2 ** (block - 1), f"pool{block}": 2**block}
        super().__init__(channels, strides, mean=mean, std=std)
        self.blocks = tuple(blocks)
        self.switches = switches
        self.features = nn.Sequential(*_layers(blocks, norm, bias, ceil_mode, switches))
        # A map ends where a pooling begins (the ReLU before it) and where the pooling ends.
        pools = [i for i, layer in enumerate(self.features) if isinstance(layer, nn.MaxPool2d)]
        ends = [end for pool in pools for end in (pool - 1, pool)]
        self._names = dict(zip(ends, channels, strict=True))
        self.classifier = None if classes is None else _classifier(blocks[-1][0], classes)
        self._initialise()

    def forward(self, images: Tensor, until: str | None = None) -> Features:
        self.require(until)
        maps: dict[str, Tensor] = {}
        switches: dict[str, Tensor] = {}
        x = self.normalise(images)
        for index, layer in enumerate(self.features):
            name = self._names.get(index)
            if self.switches and isinstance(layer, nn.MaxPool2d) and name is not None:
                x, switches[name] = layer(x)
            else:
                x = layer(x)
            if name is not None:
                maps[name] = x
                if name == until:
                    break
        return Features(maps, switches)

    def logits(self, images: Tensor) -> Tensor:
        """Class scores (B, classes), before softmax; the dense layers always see a 7x7 map."""
        if self.classifier is None:
            raise ValueError("this VGG was built without classes")
        last = f"pool{len(self.blocks)}"
        pooled = nn.functional.adaptive_avg_pool2d(self(images, last).maps[last], 7)
        scores: Tensor = self.classifier(pooled.flatten(1))
        return scores

    def _initialise(self) -> None:
        """Normal weights and zero biases: He's deviation for convolutions, 0.01 for dense layers.

        The paper draws all weights from a normal distribution of one fixed deviation and needs a shallower
        net trained first; with He's (He et al. 2015, arXiv:1502.01852, fan-out) it trains from scratch.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)


def vgg16(
    classes: int | None = None,
    *,
    norm: bool = False,
    ceil_mode: bool = False,
    switches: bool = False,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> VGG:
    """Thirteen convolutions: 14,714,688 parameters without classes, 138,357,544 with 1,000.

    With `norm` torchvision's `vgg16_bn`.
    """
    return VGG(BLOCKS, classes, norm=norm, ceil_mode=ceil_mode, switches=switches, mean=mean, std=std)


def thin(*, ceil_mode: bool = False, switches: bool = False) -> VGG:
    """Eight narrow convolutions with BatchNorm, which learn from scratch in minutes; no published weights.

    The finest maps are the narrowest: at full size every channel costs as much as 1,024 at the last.
    """
    centred: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    return VGG(THIN, norm=True, bias=False, ceil_mode=ceil_mode, switches=switches, **centred)


def _layers(blocks: Blocks, norm: bool, bias: bool, ceil_mode: bool, switches: bool) -> Iterator[nn.Module]:
    before = 3
    for width, depth in blocks:
        for _ in range(depth):
            yield nn.Conv2d(before, width, 3, padding=1, bias=bias)
            if norm:
                yield nn.BatchNorm2d(width)
            yield nn.ReLU(inplace=norm)
            before = width
        yield nn.MaxPool2d(2, 2, ceil_mode=ceil_mode, return_indices=switches)


def _classifier(channels: int, classes: int) -> nn.Sequential:
    """fc6, fc7 and fc8; fc6 reads the 7x7 map in (channel, row, column) order."""
    return nn.Sequential(
        nn.Linear(channels * 7 * 7, 4096),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(4096, classes),
    )
