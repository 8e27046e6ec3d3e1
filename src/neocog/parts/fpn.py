"""A feature pyramid: fine maps that know what the coarse ones know, and what reads them by size.

Lin, Dollar, Girshick, He, Hariharan, Belongie 2017, arXiv:1612.03144.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.ops.anchors import BASE, base_anchors, corner_anchors, corner_grid, grid_anchors
from neocog.ops.boxes import area
from neocog.ops.roi import roi_align_maps
from neocog.parts.regions import Regions
from neocog.parts.rpn import RPN, RPNOptions, RPNOutput
from neocog.types import Batch


class FeaturePyramid(nn.Module):
    """Maps of a backbone, fine to coarse, brought to one width; each adds the enlarged map above it.

    One more map, every second cell of the coarsest, serves the largest anchors.
    """

    def __init__(self, channels: Sequence[int], outputs: int, norm: bool = False) -> None:
        """`channels` of each map, `outputs` of each of the pyramid; `norm`: BatchNorm after every layer."""
        super().__init__()
        self.lateral = nn.ModuleList(_conv(inputs, outputs, 1, norm) for inputs in channels)
        self.smooth = nn.ModuleList(_conv(outputs, outputs, 3, norm) for _ in channels)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (B, C, h, w) to as many and one (B, outputs, h, w)."""
        merged = [lateral(one) for lateral, one in zip(self.lateral, maps, strict=True)]
        for place in range(len(maps) - 2, -1, -1):
            fine, coarse = merged[place], merged[place + 1]
            merged[place] = fine + F.interpolate(coarse, size=fine.shape[-2:], mode="nearest")
        pyramid = [smooth(one) for smooth, one in zip(self.smooth, merged, strict=True)]
        return *pyramid, F.max_pool2d(pyramid[-1], 1, 2)


def _conv(inputs: int, outputs: int, kernel: int, norm: bool) -> nn.Module:
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=not norm)
    nn.init.kaiming_uniform_(layer.weight, a=1)
    if norm:
        return nn.Sequential(layer, nn.BatchNorm2d(outputs))
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class PyramidRPN(nn.Module):
    """One RPN that looks at every map, with anchors of one scale on each."""

    bases: Tensor  # (maps, A, 4)

    def __init__(
        self, channels: int, strides: Sequence[int], options: RPNOptions, corner: bool = False
    ) -> None:
        """`options.scales`: one a map, fine to coarse; ValueError if there are more or fewer.

        `corner`: anchors as torchvision places and rounds them, at the cells' corners.
        """
        super().__init__()
        if len(options.scales) != len(strides):
            raise ValueError(f"rpn.scales: the pyramid's {len(strides)} maps need one each")
        self.strides, self.corner = tuple(strides), corner
        self.shared = RPN(channels, self.strides[0], replace(options, scales=options.scales[:1]))
        made = [
            corner_anchors(BASE * scale, options.ratios) if corner else base_anchors([scale], options.ratios)
            for scale in options.scales
        ]
        self.register_buffer("bases", torch.stack(made), persistent=False)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int], batch: Batch) -> RPNOutput:
        """Maps (B, C, h, w) of pictures padded to `size` (height, width) to anchors and proposals.

        The anchors A of all maps follow each other, fine to coarse. Each map proposes its best, which are
        suppressed among themselves; the best of them all are an image's proposals.
        """
        scored = [self.shared.score(one) for one in maps]
        anchors = [self.anchors(place, one, size) for place, one in enumerate(maps)]
        candidates = [
            self.shared.candidates(own, logits.detach(), deltas.detach(), batch)
            for own, (logits, deltas) in zip(anchors, scored, strict=True)
        ]
        logits, deltas = (torch.cat(column, dim=1) for column in zip(*scored, strict=True))
        return RPNOutput(torch.cat(anchors), logits, deltas, self.shared.choose(candidates, batch))

    def loss(self, output: RPNOutput, batch: Batch) -> dict[str, Tensor]:
        """As `RPN.loss`: the sample of a picture is drawn from the anchors of all maps."""
        return self.shared.loss(output, batch)

    def anchors(self, place: int, features: Tensor, size: tuple[int, int]) -> Tensor:
        """Those (A, 4) of the map of this place in the pyramid, of pictures padded to `size`."""
        shape = (features.shape[2], features.shape[3])
        if self.corner:
            return corner_grid(self.bases[place], shape, size)
        return grid_anchors(self.bases[place], shape, self.strides[place])


def map_of(boxes: Tensor, strides: Sequence[int], canonical: float = 224.0) -> Tensor:
    """Which of the maps of these strides each box (R, 4) is read from: (R,) int64, equation 1 of the paper.

    A box of `canonical` pixels a side is read at stride 16, one of half the side at stride 8, and so on, as
    far as there are maps.
    """
    finest, coarsest = (round(math.log2(stride)) for stride in (strides[0], strides[-1]))
    # A little more than the logarithm, so that a box of exactly a boundary's size does not fall below it.
    level = torch.floor(4 + torch.log2(area(boxes).sqrt() / canonical) + 1e-6)
    return level.clamp(finest, coarsest).to(torch.int64) - finest


def pyramid_align(
    maps: Sequence[Tensor],
    strides: Sequence[int],
    regions: Regions,
    cells: int,
    canonical: float = 224.0,
    aligned: bool = True,
) -> Tensor:
    """RoIAlign of each region on the map of its size, with 2 x 2 samples a cell: (R, C, cells, cells)."""
    which, scales = map_of(regions.boxes, strides, canonical), [1 / stride for stride in strides]
    size = cells, cells
    return roi_align_maps(maps, which, regions.boxes, regions.images, size, scales, SAMPLES, aligned)


SAMPLES = 2
"""Of RoIAlign, per cell and axis (He et al. 2017, Mask R-CNN)."""
