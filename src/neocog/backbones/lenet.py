"""LeNet-5: convolution, pooling, convolution, pooling, and dense layers on what is left.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of
the IEEE 86(11), 1998. The usual modern variant is the default. The dense layers (C5, F6 and the output) are
the classifier's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone, grey
from neocog.types import Features

TABLE = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5)),
)
"""Table I of the paper: the maps of S2 that each map of C3 reads, so that maps come to differ."""


def scaled_tanh(x: Tensor) -> Tensor:
    """1.7159 tanh(2x / 3), elementwise: it leaves 1 and -1 where they are (appendix A of the paper)."""
    return 1.7159 * torch.tanh(x * (2 / 3))


class LeNet5(Backbone):
    """Maps `conv1 pool1 conv2 pool2` of 6, 6, 16 and 16 channels at strides 1, 2, 2 and 4.

    They are (B, 16, 5, 5) at the end of 32 x 32 grey pixels. By default with ReLU, max-pooling and a full
    second convolution: 2,572 parameters, and 61,706 with dense layers of 120, 84 and 10.

    `original`: the network of 1998 up to S4, with 1,716 parameters: pooling that learns (`Subsampling`),
    the sparse C3 and scaled tanh; 60,000 with C5 and F6. Its output, distances from fixed bitmaps of the
    characters, is left out: the last layer is linear here. Black is -0.1 and white 1.175, as the paper has
    ground and ink.
    """

    def __init__(self, *, original: bool = False) -> None:
        names = "conv1", "pool1", "conv2", "pool2"
        super().__init__(
            dict(zip(names, (6, 6, 16, 16), strict=True)),
            dict(zip(names, (1, 2, 2, 4), strict=True)),
            mean=(0.1 / 1.275 if original else 0.1307,),  # else of MNIST's pixels, as their deviation
            std=(1 / 1.275 if original else 0.3081,),
        )
        self.original = original
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.pool1: nn.Module = Subsampling(6) if original else nn.MaxPool2d(2)
        self.conv2: nn.Module = SparseConvolution() if original else nn.Conv2d(6, 16, 5)
        self.pool2: nn.Module = Subsampling(16) if original else nn.MaxPool2d(2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear" if original else "relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def normalise(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] as grey ones (B, 1, H, W), shifted and scaled."""
        return super().normalise(grey(images))

    def forward(self, images: Tensor, until: str | None = None) -> Features:
        self.require(until)
        squash = scaled_tanh if self.original else F.relu
        maps: dict[str, Tensor] = {}
        x = self.normalise(images)
        for block, (conv, pool) in enumerate(((self.conv1, self.pool1), (self.conv2, self.pool2)), 1):
            for name in (f"conv{block}", f"pool{block}"):
                maps[name] = x = squash(conv(x)) if name.startswith("conv") else pool(x)
                if name == until:
                    return Features(maps)
        return Features(maps)


lenet5 = LeNet5  # the builder, named as those of the ResNets


class Subsampling(nn.Module):
    """The sum of each 2x2 window times a coefficient of its map, plus a bias, squashed by
    scaled tanh, as all units up to F6 are (S2 and S4).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.full((channels,), 0.25))  # begins as the mean
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H / 2, W / 2)."""
        total = 4 * F.avg_pool2d(x, 2)
        return scaled_tanh(total * self.coefficient[:, None, None] + self.bias[:, None, None])


class SparseConvolution(nn.Module):
    """A 5x5 convolution of 6 maps to 16 with the connections of `TABLE` only (C3): 1,516 parameters."""

    readers: Tensor  # (60,) the map of C3 that each kernel belongs to
    read: Tensor  # (60,) the map of S2 that it reads

    def __init__(self) -> None:
        super().__init__()
        pairs = [(reader, read) for reader, those in enumerate(TABLE) for read in those]
        readers, read = torch.tensor(pairs).unbind(1)
        self.register_buffer("readers", readers, persistent=False)
        self.register_buffer("read", read, persistent=False)
        inputs = torch.tensor([25.0 * len(those) for those in TABLE])
        self.kernels = nn.Parameter(torch.randn(len(pairs), 5, 5) * inputs[readers, None, None] ** -0.5)
        self.bias = nn.Parameter(torch.zeros(len(TABLE)))

    def weight(self) -> Tensor:
        """The kernels as those of a full convolution (16, 6, 5, 5), 0 where there is no connection."""
        full = self.kernels.new_zeros(len(TABLE), 6, 5, 5)
        return full.index_put((self.readers, self.read), self.kernels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 6, H, W) to (B, 16, H - 4, W - 4)."""
        return F.conv2d(x, self.weight(), self.bias)
