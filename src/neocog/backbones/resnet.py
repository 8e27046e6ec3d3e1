"""Residual networks: a block learns what to add to its input, so a hundred layers train.

He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, arXiv:1512.03385. Names in
the state dict are those of torchvision, whose published weights fit as they are; so is the place of the
stride in a bottleneck: its 3x3 convolution ("v1.5"), where the paper's models have the first 1x1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from neocog.backbones.backbone import Backbone
from neocog.types import Features


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: (B, before, H, W) to (B, width, H / stride, W / stride)."""

    expansion = 1

    def __init__(self, before: int, width: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, dilation, dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, 1, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(before, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        added: Tensor = self.relu(y + shortcut)
        return added


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut: (B, before, H, W) to (B, 4 width, H / stride, ...)."""

    expansion = 4

    def __init__(self, before: int, width: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        after = self.expansion * width
        self.conv1 = nn.Conv2d(before, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, after, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(before, after, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        added: Tensor = self.relu(y + shortcut)
        return added


def _shortcut(before: int, after: int, stride: int) -> nn.Sequential | None:
    """The paper's option B: identity (None) where shapes agree, else a 1x1 convolution."""
    if stride == 1 and before == after:
        return None
    return nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))


Dilations = tuple[tuple[int, int], tuple[int, int]]
"""Of the 3x3 convolutions of `layer3` and of `layer4`: in the first block, and in the others."""

PLAIN: Dilations = ((1, 1), (1, 1))
CONV5: Dilations = ((1, 1), (2, 2))
"""R-FCN's "a trous" conv5: `layer4` stays at stride 16."""
STRIDE8: Dilations = ((1, 2), (2, 4))
"""Both stay at stride 8 (Chen et al. 2015, arXiv:1412.7062); a first block still reads the grid before it."""


class ResNet(Backbone):
    """A 7x7 convolution, a pooling and four stages of residual blocks; a dense layer if `classes` is given.

    Maps: `conv1` (after ReLU, stride 2), `pool1` (4), and `layer1` to `layer4` (4, 8, 16, 32), which the
    paper calls conv2_x to conv5_x.

    `depths` counts the blocks of each stage. `dilations`: PLAIN, CONV5 or STRIDE8; a stage that is dilated
    keeps the stride before it. `zero_init` starts the last normalisation of every
    block at zero, so that each block begins as its shortcut (Goyal et al. 2017, arXiv:1706.02677).
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        depths: tuple[int, int, int, int],
        classes: int | None = None,
        *,
        dilations: Dilations = PLAIN,
        zero_init: bool = False,
    ) -> None:
        c = 64 * block.expansion
        channels = {"conv1": 64, "pool1": 64, "layer1": c, "layer2": 2 * c, "layer3": 4 * c, "layer4": 8 * c}
        steps = [1 if dilation > 1 else 2 for _, dilation in dilations]  # strides of the last two stages
        strides = {"conv1": 2, "pool1": 4, "layer1": 4, "layer2": 8}
        strides |= {"layer3": 8 * steps[0], "layer4": 8 * steps[0] * steps[1]}
        super().__init__(channels, strides)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(block, depths[0], 64, 64, 1)
        self.layer2 = _stage(block, depths[1], c, 128, 2)
        self.layer3 = _stage(block, depths[2], 2 * c, 256, steps[0], dilations[0])
        self.layer4 = _stage(block, depths[3], 4 * c, 512, steps[1], dilations[1])
        self.fc = None if classes is None else nn.Linear(8 * c, classes)
        self._initialise(zero_init)

    def forward(self, images: Tensor, until: str | None = None) -> Features:
        self.require(until)
        maps: dict[str, Tensor] = {}
        x = self.normalise(images)
        for name, stage in self._stages():
            maps[name] = x = stage(x)
            if name == until:
                break
        return Features(maps)

    def after(self, level: str, cells: Tensor) -> Tensor:
        self.require(level)
        stages = list(self._stages())
        for _, stage in stages[list(self.channels).index(level) + 1 :]:
            cells = stage(cells)
        return cells

    def logits(self, images: Tensor) -> Tensor:
        """Class scores (B, classes), before softmax, from the mean over positions of `layer4`."""
        if self.fc is None:
            raise ValueError("this ResNet was built without classes")
        scores: Tensor = self.fc(self(images).maps["layer4"].mean(dim=(2, 3)))
        return scores

    def _stages(self) -> Iterator[tuple[str, Callable[[Tensor], Tensor]]]:
        yield "conv1", lambda x: self.relu(self.bn1(self.conv1(x)))
        yield "pool1", self.maxpool
        yield "layer1", self.layer1
        yield "layer2", self.layer2
        yield "layer3", self.layer3
        yield "layer4", self.layer4

    def _initialise(self, zero_init: bool) -> None:
        """He et al. 2015 (arXiv:1502.01852), fan-out, for convolutions; normalisations start as identity."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init and isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.weight)
            elif zero_init and isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)


def _stage(
    block: type[BasicBlock | Bottleneck],
    depth: int,
    before: int,
    width: int,
    stride: int,
    dilations: tuple[int, int] = (1, 1),
) -> nn.Sequential:
    first = block(before, width, stride, dilations[0])
    rest = (block(width * block.expansion, width, 1, dilations[1]) for _ in range(depth - 1))
    return nn.Sequential(first, *rest)


def resnet18(classes: int | None = None, *, dilations: Dilations = PLAIN, zero_init: bool = False) -> ResNet:
    """ResNet-18; 11,689,512 parameters with 1,000 classes."""
    return ResNet(BasicBlock, (2, 2, 2, 2), classes, dilations=dilations, zero_init=zero_init)


def resnet34(classes: int | None = None, *, dilations: Dilations = PLAIN, zero_init: bool = False) -> ResNet:
    """ResNet-34; 21,797,672 parameters with 1,000 classes."""
    return ResNet(BasicBlock, (3, 4, 6, 3), classes, dilations=dilations, zero_init=zero_init)


def resnet50(classes: int | None = None, *, dilations: Dilations = PLAIN, zero_init: bool = False) -> ResNet:
    """ResNet-50; 25,557,032 parameters with 1,000 classes."""
    return ResNet(Bottleneck, (3, 4, 6, 3), classes, dilations=dilations, zero_init=zero_init)


def resnet101(classes: int | None = None, *, dilations: Dilations = PLAIN, zero_init: bool = False) -> ResNet:
    """ResNet-101; 44,549,160 parameters with 1,000 classes."""
    return ResNet(Bottleneck, (3, 4, 23, 3), classes, dilations=dilations, zero_init=zero_init)
