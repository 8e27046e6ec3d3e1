"""A small residual network that learns from scratch in minutes on two CPU cores.

A strided convolution, residual stages at strides 4, 8 and 16 (He et al. 2016, arXiv:1512.03385, with the last
BatchNorm of a block starting at zero), and one step of a feature pyramid back to stride 8 (Lin et al. 2017,
arXiv:1612.03144). No published weights: mean and standard deviation only centre the pixels.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone
from neocog.types import Features


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where size or width changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = _conv(outputs, outputs, 3), nn.BatchNorm2d(outputs)
        nn.init.zeros_(self.bn2.weight)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(hidden)) + self.shortcut(x))


class Compact(Backbone):
    """Maps `c2`, `c3`, `c4` at strides 4, 8 and 16, and `p3`: stride 8 again, with the context of `c4`."""

    def __init__(self, widths: tuple[int, int, int, int, int] = (32, 48, 96, 128, 96)) -> None:
        """`widths`: channels of the stem, of the three stages, and of `p3`."""
        stem, c2, c3, c4, p3 = widths
        super().__init__(
            {"c2": c2, "c3": c3, "c4": c4, "p3": p3},
            {"c2": 4, "c3": 8, "c4": 16, "p3": 8},
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
        )
        self.stem = nn.Sequential(_conv(3, stem, 3, 2), nn.BatchNorm2d(stem), nn.ReLU(inplace=True))
        self.c2 = Block(stem, c2, 2)
        self.c3 = nn.Sequential(Block(c2, c3, 2), Block(c3, c3))
        self.c4 = nn.Sequential(Block(c3, c4, 2), Block(c4, c4))
        self.lateral = nn.Sequential(_conv(c3, p3, 1), nn.BatchNorm2d(p3))
        self.top = nn.Sequential(_conv(c4, p3, 1), nn.BatchNorm2d(p3))
        self.smooth = nn.Sequential(_conv(p3, p3, 3), nn.BatchNorm2d(p3), nn.ReLU(inplace=True))

    def forward(self, images: Tensor, until: str | None = None) -> Features:
        self.require(until)
        maps: dict[str, Tensor] = {}
        x = self.stem(self.normalise(images))
        for name, stage in (("c2", self.c2), ("c3", self.c3), ("c4", self.c4)):
            x = maps[name] = stage(x)
            if name == until:
                return Features(maps)
        fine = maps["c3"]
        coarse = F.interpolate(self.top(maps["c4"]), size=fine.shape[-2:], mode="nearest")
        maps["p3"] = self.smooth(F.relu(self.lateral(fine) + coarse))
        return Features(maps)


def compact() -> Compact:
    return Compact()
