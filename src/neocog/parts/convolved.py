"""VGG-16's fully connected layers as convolutions, which take pictures of any size.

Long, Shelhamer and Darrell 2015 (FCN), arXiv:1411.4038, section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvolvedDense(nn.Module):
    """fc6, a convolution of 7 x 7, and fc7, of 1 x 1, each with ReLU and dropout: (B, C, h, w) to
    (B, width, h, w) with a `padding` of 3 cells, (B, width, h - 6, w - 6) without."""

    KERNEL: ClassVar[int] = 7

    def __init__(self, channels: int, width: int, dropout: float, padding: int) -> None:
        super().__init__()
        self.fc6 = nn.Conv2d(channels, width, self.KERNEL, padding=padding)
        self.fc7 = nn.Conv2d(width, width, 1)
        self.dropout = dropout
        for layer in (self.fc6, self.fc7):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Tensor) -> Tensor:
        maps = F.dropout(F.relu(self.fc6(maps)), self.dropout, self.training)
        return F.dropout(F.relu(self.fc7(maps)), self.dropout, self.training)

    @torch.no_grad()
    def start_from(self, dense: Mapping[str, Tensor]) -> bool:
        """Take VGG-16's fc6 and fc7 (`classifier.0`, `classifier.3`), reshaped.

        False, and nothing is taken, where they are not there, are not finite, or have another size.
        """
        layers = {"classifier.0": self.fc6, "classifier.3": self.fc7}
        for name, layer in layers.items():
            weight, bias = dense.get(f"{name}.weight"), dense.get(f"{name}.bias")
            if weight is None or bias is None or weight.shape != layer.weight.flatten(1).shape:
                return False
            if not bool(weight.isfinite().all() and bias.isfinite().all()):
                return False
        for name, layer in layers.items():
            layer.weight.copy_(dense[f"{name}.weight"].view_as(layer.weight))
            assert layer.bias is not None
            layer.bias.copy_(dense[f"{name}.bias"])
        return True
