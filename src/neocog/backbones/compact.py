"""A small residual network that learns from scratch in minutes on two CPU cores.

A strided convolution, residual stages at strides 4, 8 and 16 (He et al. 2016, arXiv:1512.03385), and two
steps of a feature pyramid back to stride 4 (Lin et al. 2017, arXiv:1612.03144). No published weights: mean
and standard deviation only centre the pixels.
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
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(hidden)) + self.shortcut(x))


class Merge(nn.Module):
    """A fine map and a coarse one, brought to one width, added at the fine size and smoothed."""

    def __init__(self, fine: int, coarse: int, outputs: int) -> None:
        super().__init__()
        self.lateral = nn.Sequential(_conv(fine, outputs, 1), nn.BatchNorm2d(outputs))
        self.top = nn.Sequential(_conv(coarse, outputs, 1), nn.BatchNorm2d(outputs))
        self.smooth = nn.Sequential(
            _conv(outputs, outputs, 3), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        enlarged = F.interpolate(self.top(coarse), size=fine.shape[-2:], mode="nearest")
        merged: Tensor = self.smooth(F.relu(self.lateral(fine) + enlarged))
        return merged


class Compact(Backbone):
    """Maps `c2`, `c3`, `c4` at strides 4, 8, 16; `p3` and `p2` at 8 and 4 again, with the context of `c4`."""

    def __init__(
        self,
        widths: tuple[int, int, int, int, int, int] = (16, 48, 96, 128, 96, 48),
        *,
        pyramid: bool = True,
    ) -> None:
        """`widths`: channels of the stem, of the three stages, of `p3` and of `p2`.

        Without `pyramid` it ends with `c4`, for a detector that has a pyramid of its own.
        """
        stem, c2, c3, c4, p3, p2 = widths
        super().__init__(
            {"c2": c2, "c3": c3, "c4": c4} | ({"p3": p3, "p2": p2} if pyramid else {}),
            {"c2": 4, "c3": 8, "c4": 16} | ({"p3": 8, "p2": 4} if pyramid else {}),
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
        )
        self.stem = nn.Sequential(_conv(3, stem, 3, 2), nn.BatchNorm2d(stem), nn.ReLU(inplace=True))
        self.c2 = Block(stem, c2, 2)
        self.c3 = nn.Sequential(Block(c2, c3, 2), Block(c3, c3))
        self.c4 = nn.Sequential(Block(c3, c4, 2), Block(c4, c4))
        if pyramid:
            self.p3, self.p2 = Merge(c3, c4, p3), Merge(c2, p3, p2)

    def forward(self, images: Tensor, until: str | None = None) -> Features:
        self.require(until)
        maps: dict[str, Tensor] = {}
        x = self.stem(self.normalise(images))
        for name, stage in (("c2", self.c2), ("c3", self.c3), ("c4", self.c4)):
            x = maps[name] = stage(x)
            if name == until:
                return Features(maps)
        if "p3" not in self.channels:
            return Features(maps)
        maps["p3"] = self.p3(maps["c3"], maps["c4"])
        if until != "p3":
            maps["p2"] = self.p2(maps["c2"], maps["p3"])
        return Features(maps)


def compact(*, pyramid: bool = True) -> Compact:
    return Compact(pyramid=pyramid)
