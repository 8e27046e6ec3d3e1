"""The two small networks of the lecture notes.

The digit net reads one grey channel of 28 x 28 pixels; the pattern net repeats one layer pattern three times
on a picture of 128 x 128.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone, grey
from neocog.ops.arithmetic import conv_out
from neocog.types import Features

DIGIT_SIDE = 28
"""Pixels a side of the pictures whose map the notes' dense layer reads."""

DIGIT_INPUTS = 160
"""Numbers that this dense layer reads: ten channels of 4 x 4 cells."""


class NotesDigit(Backbone):
    """6x6 convolution to 5 channels, 2x2 max-pooling, ReLU, 3x3 convolution to 10 channels, ReLU.

    180 + 5 and 450 + 10 parameters. Maps: `conv1`, before the pooling and the ReLU (stride 2), `pool1` after
    both (4) and `conv2` (4), of (B, 10, 4, 4) at 28 x 28 pixels. ReLU commutes with max-pooling, so pooling
    first gives the same values with a quarter of the evaluations.

    The counts of the notes leave strides, padding and pooling open; the default needs no padding and no
    rounding. Raises ValueError for a geometry that does not lead to the notes' 160 numbers.
    """

    def __init__(
        self,
        *,
        stride: int = 2,
        padding: int = 0,
        pool: int = 2,
        pool_stride: int = 2,
        ceil_mode: bool = False,
        second_stride: int = 1,
        second_padding: int = 0,
    ) -> None:
        strides = stride, stride * pool_stride, stride * pool_stride * second_stride
        names = "conv1", "pool1", "conv2"
        super().__init__(
            dict(zip(names, (5, 5, 10), strict=True)),
            dict(zip(names, strides, strict=True)),
            mean=(0.1307,),  # of MNIST's pixels, as its deviation
            std=(0.3081,),
        )
        cells = conv_out(DIGIT_SIDE, 6, stride, padding)
        cells = conv_out(cells, pool, pool_stride, ceil_mode=ceil_mode)
        cells = conv_out(cells, 3, second_stride, second_padding)
        if 10 * cells * cells != DIGIT_INPUTS:
            raise ValueError(
                f"this geometry leads from {DIGIT_SIDE} px a side to {10 * cells * cells} numbers, "
                f"and the notes' dense layer reads {DIGIT_INPUTS}"
            )
        self.conv1 = nn.Conv2d(1, 5, 6, stride, padding)
        self.pool1 = nn.MaxPool2d(pool, pool_stride, ceil_mode=ceil_mode)
        self.conv2 = nn.Conv2d(5, 10, 3, second_stride, second_padding)
        _initialise(self)

    def normalise(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] as grey ones (B, 1, H, W), shifted and scaled."""
        return super().normalise(grey(images))

    def forward(self, images: Tensor, until: str | None = None) -> Features:
        self.require(until)
        maps = {"conv1": self.conv1(self.normalise(images))}
        if until != "conv1":
            maps["pool1"] = F.relu(self.pool1(maps["conv1"]))
        if until in (None, "conv2"):
            maps["conv2"] = F.relu(self.conv2(maps["pool1"]))
        return Features(maps)


class NotesPattern(Backbone):
    """Three times a 7x7 convolution to 32 channels, ReLU and 2x2 max-pooling; 105,152 parameters.

    Maps: `conv1` to `conv3` after their ReLU (strides 1, 2, 4) and `pool1` to `pool3` (2, 4, 8), the last of
    (B, 32, 16, 16) at 128 x 128 pixels.
    """

    def __init__(self) -> None:
        names = [f"{kind}{block}" for block in (1, 2, 3) for kind in ("conv", "pool")]
        strides = dict(zip(names, (1, 2, 2, 4, 4, 8), strict=True))
        super().__init__(dict.fromkeys(names, 32), strides, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
        self.conv1 = nn.Conv2d(3, 32, 7, padding=3)
        self.conv2 = nn.Conv2d(32, 32, 7, padding=3)
        self.conv3 = nn.Conv2d(32, 32, 7, padding=3)
        self.pool = nn.MaxPool2d(2)
        _initialise(self)

    def forward(self, images: Tensor, until: str | None = None) -> Features:
        self.require(until)
        maps: dict[str, Tensor] = {}
        x = self.normalise(images)
        for block, conv in enumerate((self.conv1, self.conv2, self.conv3), 1):
            for name in (f"conv{block}", f"pool{block}"):
                maps[name] = x = F.relu(conv(x)) if name.startswith("conv") else self.pool(x)
                if name == until:
                    return Features(maps)
        return Features(maps)


notes_digit, notes_pattern = NotesDigit, NotesPattern  # the builders, named as those of the ResNets


def _initialise(network: nn.Module) -> None:
    """He et al. 2015 (arXiv:1502.01852): the signal keeps its size through ReLU. Biases start at 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
