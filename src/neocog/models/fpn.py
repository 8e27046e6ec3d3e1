"""Faster R-CNN on a feature pyramid: objects of every size are found, and read, on a map of their size.

Lin, Dollar, Girshick, He, Hariharan, Belongie 2017, arXiv:1612.03144. What differs from `faster_rcnn.py`: the
backbone's maps are merged from coarse to fine, one RPN looks at all of them, and a region is read from one of
them, by its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from neocog.backbones.backbone import Backbone
from neocog.ops.coder import BoxCoder
from neocog.ops.ranges import check_range
from neocog.parts.candidates import Candidates, suppress
from neocog.parts.fpn import FeaturePyramid, PyramidRPN, pyramid_align
from neocog.parts.heads import TwoLayerHead
from neocog.parts.regions import (
    RegionOptions,
    Regions,
    choose_regions,
    region_candidates,
    region_loss,
)
from neocog.parts.rpn import RPNOptions, RPNOutput
from neocog.types import Batch, Detections, Features, Task


@dataclass(frozen=True)
class FPNOptions:
    """Defaults: the paper's detector on a ResNet, with the RoIAlign of Mask R-CNN."""

    maps: tuple[str, ...] = ("layer1", "layer2", "layer3", "layer4")  # of the backbone, fine to coarse
    channels: int = 256  # of every map of the pyramid
    canonical: float = 224.0  # side in pixels of a region that is read at stride 16
    pool: int = 7  # cells a side of a pooled region
    hidden: int = 1024  # width of the two layers
    dropout: float = 0.0
    norm: bool = False  # BatchNorm in the pyramid and the region head, for training from scratch
    anchors: Literal["centre", "corner"] = "centre"  # of a cell; corner: as torchvision's detectors have them
    aligned: bool = True  # RoIAlign with half-pixel centres, which torchvision's detector lacks
    shorter: bool = False  # fit a picture's shorter side into the shorter of `size`, not its height
    rpn: RPNOptions = RPNOptions(
        scales=(2, 4, 8, 16, 32),  # one a map, the last on the extra one
        channels=256,
        inside_only=False,
        before_nms=(2_000, 1_000),  # of each map
        after_nms=(2_000, 1_000),
        shortest=0.001,
    )
    regions: RegionOptions = RegionOptions(samples=512, nms=0.5)

    def __post_init__(self) -> None:
        check_range(self, 1, 64, "pool")
        check_range(self, 1, 65_536, "channels", "hidden")
        check_range(self, 1, 65_536, "canonical")
        check_range(self, 0, 0.99, "dropout")
        if self.rpn.norm:
            raise ValueError("rpn.norm must be false: the maps share the RPN, and not their statistics")
        if len(self.rpn.scales) != len(self.maps) + 1:
            raise ValueError(f"rpn.scales must have {len(self.maps) + 1} numbers: one a map and one more")


@dataclass(frozen=True, slots=True)
class FPNOutput:
    features: Features
    pyramid: tuple[Tensor, ...]  # (B, channels, h, w), fine to coarse; the last one serves the RPN alone
    rpn: RPNOutput  # the anchors of all maps, fine to coarse
    regions: Regions
    logits: Tensor  # (R, K + 1), background last
    deltas: Tensor  # (R, 4K)


class FPN(nn.Module):
    """Backbone, pyramid, proposals, regions by size, two-layer head. K classes, R regions over the batch."""

    task = Task.DETECT
    search = None  # its regions come from the features

    def __init__(self, backbone: Backbone, classes: int, options: FPNOptions | None = None) -> None:
        """Raises UsageError for a map that the backbone lacks, ValueError for strides that do not double."""
        super().__init__()
        self.options = options = options or FPNOptions()
        self.classes, self.coder = classes, BoxCoder()
        self.backbone, self.last = backbone, backbone.last(options.maps)
        self.strides = [backbone.strides[name] for name in options.maps]
        if any(2 * fine != coarse for fine, coarse in zip(self.strides, self.strides[1:], strict=False)):
            raise ValueError(f"maps: their strides must double from one to the next, not {self.strides}")
        widths = [backbone.channels[name] for name in options.maps]
        self.pyramid = FeaturePyramid(widths, options.channels, options.norm)
        strides = [*self.strides, 2 * self.strides[-1]]
        self.rpn = PyramidRPN(options.channels, strides, options.rpn, options.anchors == "corner")
        self.head = TwoLayerHead(
            options.channels, options.pool, options.hidden, classes, options.dropout, options.norm
        )

    def forward(self, batch: Batch) -> FPNOutput:
        options, images = self.options, self.canvas(batch)
        features = self.backbone(images, until=self.last)
        pyramid = self.pyramid([features.maps[name] for name in options.maps])
        rpn = self.rpn(pyramid, (images.shape[2], images.shape[3]), batch)
        regions = choose_regions(rpn.proposals, batch, self.classes, options.regions)
        pooled = pyramid_align(
            pyramid[:-1], self.strides, regions, options.pool, options.canonical, options.aligned
        )
        logits, deltas = self.head(pooled)
        return FPNOutput(features, pyramid, rpn, regions, logits, deltas)

    def canvas(self, batch: Batch) -> Tensor:
        """The pictures (B, 3, H, W) on a ground of the backbone's mean, H and W multiples of its last stride.

        So a cell lies exactly over four of the next finer map, and what surrounds a picture is 0 to the
        network, as it is in the authors' code and torchvision's.
        """
        step = self.strides[-1]
        height, width = (-(-max(sides) // step) * step for sides in zip(*batch.sizes, strict=True))
        if batch.images.shape[2:] == (height, width) and set(batch.sizes) == {(height, width)}:
            return batch.images
        images = self.backbone.mean.expand(len(batch), -1, height, width)
        images = images.to(batch.images).contiguous(memory_format=torch.channels_last)
        for ground, picture, (rows, columns) in zip(images, batch.images, batch.sizes, strict=True):
            ground[:, :rows, :columns] = picture[:, :rows, :columns]
        return images

    def loss(self, output: FPNOutput, batch: Batch) -> dict[str, Tensor]:
        hardest = self.options.regions.hardest
        own = region_loss(output.regions, output.logits, output.deltas, self.coder, batch, hardest)
        return self.rpn.loss(output.rpn, batch) | own

    def candidates(self, output: FPNOutput, batch: Batch) -> Candidates:
        """Every region as every class that it may be, before suppression."""
        return region_candidates(
            output.regions, output.logits, output.deltas, self.coder, batch, self.options.regions.score
        )

    def decode(self, output: FPNOutput, batch: Batch) -> list[Detections]:
        """Detections of each image, in pixels of the network's input, best first."""
        options = self.options.regions
        return suppress(self.candidates(output, batch), len(batch), self.classes, options.nms, options.most)
