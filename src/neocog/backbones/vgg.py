"""VGG-16: depth from nothing but 3x3 convolutions.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015,
arXiv:1409.1556, configuration D. Names in the state dict are those of torchvision, whose published weights
fit as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from neocog.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone
from neocog.types import Features

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels and convolutions before each pooling


class VGG16(Backbone):
    """Thirteen 3x3 convolutions in five blocks, and three dense layers where `classes` is given.

    14,714,688 parameters without classes, 138,357,544 with 1,000.

    Maps: the last convolution of each block after its ReLU (`conv1_2 conv2_2 conv3_3 conv4_3 conv5_3`,
    strides 1, 2, 4, 8, 16) and its pooling (`pool1` to `pool5`, strides 2 to 32).

    `ceil_mode` rounds the size of pooled maps up, as Caffe does and the detectors published with it expect.
    `switches` also returns the argmax of each pooling, (B, C, h, w) flat positions in the map before it.
    """

    def __init__(
        self,
        classes: int | None = None,
        *,
        ceil_mode: bool = False,
        switches: bool = False,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        channels: dict[str, int] = {}
        strides: dict[str, int] = {}
        for block, (width, depth) in enumerate(BLOCKS, 1):
            channels |= {f"conv{block}_{depth}": width, f"pool{block}": width}
            strides |= {f"conv{block}_{depth}": 2 ** (block - 1), f"pool{block}": 2**block}
        super().__init__(channels, strides, mean=mean, std=std)
        self.switches = switches
        self.features = nn.Sequential(*_layers(ceil_mode, switches))
        # A map ends where a pooling begins (the ReLU before it) and where the pooling ends.
        pools = [i for i, layer in enumerate(self.features) if isinstance(layer, nn.MaxPool2d)]
        ends = [end for pool in pools for end in (pool - 1, pool)]
        self._names = dict(zip(ends, channels, strict=True))
        self.classifier = None if classes is None else _classifier(classes)
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
            raise ValueError("this VGG16 was built without classes")
        pooled = nn.functional.adaptive_avg_pool2d(self(images, "pool5").maps["pool5"], 7)
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


vgg16 = VGG16  # the builder, named as those of the ResNets


def _layers(ceil_mode: bool, switches: bool) -> Iterator[nn.Module]:
    before = 3
    for width, depth in BLOCKS:
        for _ in range(depth):
            yield nn.Conv2d(before, width, 3, padding=1)
            yield nn.ReLU()
            before = width
        yield nn.MaxPool2d(2, 2, ceil_mode=ceil_mode, return_indices=switches)


def _classifier(classes: int) -> nn.Sequential:
    """fc6, fc7 and fc8; fc6 reads the 7x7 map in (channel, row, column) order."""
    return nn.Sequential(
        nn.Linear(512 * 7 * 7, 4096),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(4096, classes),
    )
