"""From coarse maps to fine ones: bilinear up-sampling, and where on the picture the cells of a map lie.

Long, Shelhamer and Darrell 2015 (FCN), arXiv:1411.4038, section 3.3, and the authors' `surgery.py` and
`net.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the cells of a map lie along one axis: the centre of cell i is pixel stride * i + first."""

    stride: float
    first: float

    def after(self, kernel: int, stride: int = 1, padding: int = 0) -> Grid:
        """The cells of a convolution or pooling that reads this map."""
        return Grid(self.stride * stride, self.first + self.stride * ((kernel - 1) / 2 - padding))

    def enlarged(self, kernel: int, factor: int, padding: int = 0) -> Grid:
        """The cells of a transposed convolution of stride `factor` that reads this map."""
        stride = self.stride / factor
        return Grid(stride, self.first - stride * ((kernel - 1) / 2 - padding))

    def place(self, other: Grid) -> int:
        """Which cell of this map has the centre of cell 0 of another of its stride.

        Raises ValueError where none has: the maps do not lie on one grid.
        """
        cell = (other.first - self.first) / self.stride
        if other.stride != self.stride or cell != round(cell):
            raise ValueError(f"{other} is not on the grid of {self}")
        return round(cell)


def bilinear_kernel(side: int) -> Tensor:
    """The filter (side, side) with which a transposed convolution of stride (side + 1) // 2 interpolates."""
    factor = (side + 1) // 2
    centre = factor - 1 if side % 2 else factor - 0.5
    row = 1 - (torch.arange(side) - centre).abs() / factor
    return row[:, None] * row


def bilinear_weight(channels: int, side: int) -> Tensor:
    """Of a transposed convolution (channels, channels, side, side) that enlarges each channel on its own."""
    weight = torch.zeros(channels, channels, side, side)
    weight[range(channels), range(channels)] = bilinear_kernel(side)
    return weight


class Upsample(nn.Module):
    """Maps (B, C, h, w) to (B, C, factor h, factor w): a transposed convolution that starts as bilinear.

    Its filters join all channels, and only the diagonal is not 0 at first. What is `learned` is how they
    differ from that, so that weight decay draws them back to it. Otherwise it stays bilinear, and is computed
    as the interpolation that it is, which repeats the outermost cells where the transposed convolution fades
    out over half a cell.

    `between`: cells lie in the middle of the `factor` finer ones that they become, as those of poolings of
    2 x 2 do; the filter is 2 factor wide. Otherwise they lie on the first of these, as those of padded 3 x 3
    convolutions of stride 2 do; it is 2 factor - 1 wide. With `whole`, half a cell more on each side is
    given, (factor (h + 1), factor (w + 1)): a transposed convolution without padding, as the authors have it.
    """

    start: Tensor
    change: Tensor | None  # (C, C, side, side)

    def __init__(
        self, channels: int, factor: int, *, learned: bool = False, between: bool = True, whole: bool = False
    ) -> None:
        super().__init__()
        if whole and not between:
            raise ValueError("only cells between pixels have half a cell more around them")
        self.factor, self.between, self.whole = factor, between, whole
        self.kernel = 2 * factor - (0 if between else 1)
        self.padding = 0 if whole else factor // 2 if between else factor - 1
        start = bilinear_weight(channels, self.kernel) if learned else torch.zeros(0)
        self.register_buffer("start", start, persistent=False)
        self.register_parameter("change", nn.Parameter(torch.zeros_like(start)) if learned else None)

    def grid(self, grid: Grid) -> Grid:
        """Where the cells of what comes out lie, from those of what goes in."""
        return grid.enlarged(self.kernel, self.factor, self.padding)

    def forward(self, maps: Tensor) -> Tensor:
        height, width = (self.factor * side for side in maps.shape[-2:])
        if not self.between:  # the last cell is followed by others that are not there
            maps = F.pad(maps, (0, 1, 0, 1), mode="replicate")
        if self.change is not None:
            weight = self.start + self.change
            large = F.conv_transpose2d(maps, weight, stride=self.factor, padding=self.padding)
        elif self.between:
            large = F.interpolate(maps, scale_factor=self.factor, mode="bilinear", align_corners=False)
            if self.whole:
                large = F.pad(large, [self.factor // 2] * 4, mode="replicate")
        else:
            large = F.interpolate(maps, size=(height + 1, width + 1), mode="bilinear", align_corners=True)
        return large if self.between else large[:, :, :height, :width]


def overlap(coarse: Tensor, fine: Tensor, place: int) -> tuple[Tensor, Tensor]:
    """The parts of two maps of one stride that lie on each other: cell 0 of `coarse` on cell `place`, 0 or
    more, of `fine`, along both axes."""
    fine = fine[:, :, place:, place:]
    height, width = (min(a, b) for a, b in zip(coarse.shape[-2:], fine.shape[-2:], strict=True))
    return coarse[:, :, :height, :width], fine[:, :, :height, :width]
