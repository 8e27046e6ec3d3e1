"""Faster R-CNN: the regions come from the features themselves.

Ren, He, Girshick, Sun 2015, arXiv:1506.01497. Trained jointly by default: one network, four
losses, and no gradient through the coordinates of the proposals ("approximate joint training"); the four
steps of the paper are in `alternating.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from neocog.backbones.backbone import Backbone
from neocog.ops.coder import BoxCoder
from neocog.ops.ranges import check_range
from neocog.ops.roi import roi_align, roi_pool
from neocog.parts.candidates import Candidates, suppress
from neocog.parts.heads import region_head
from neocog.parts.regions import (
    RegionOptions,
    Regions,
    choose_regions,
    region_candidates,
    region_loss,
)
from neocog.parts.rpn import RPN, RPNOptions, RPNOutput
from neocog.types import Batch, Detections, Features, Task


@dataclass(frozen=True)
class FasterRCNNOptions:
    """Defaults: the paper's detector on VGG-16."""

    level: str = "conv5_3"  # the feature map that regions are proposed on
    region_level: str = "conv5_3"  # the one they are read from: the same in the paper
    pool: int = 7  # cells a side of a pooled region
    align: bool = False  # RoIAlign (He et al. 2017) in place of the paper's RoI max-pooling
    hidden: int = 4096  # width of the two layers; 0: the backbone's last stage on each region (ResNets)
    dropout: float = 0.5
    norm: bool = False  # BatchNorm in the region head, for training from scratch
    training: Literal["joint", "alternating"] = "joint"  # all losses at once, or the paper's four steps
    rpn: RPNOptions = RPNOptions()
    regions: RegionOptions = RegionOptions()

    def __post_init__(self) -> None:
        check_range(self, 1, 64, "pool")
        check_range(self, 0, 65_536, "hidden")
        check_range(self, 0, 0.99, "dropout")


@dataclass(frozen=True, slots=True)
class FasterRCNNOutput:
    features: Features
    rpn: RPNOutput
    regions: Regions
    logits: Tensor  # (R, K + 1), background last
    deltas: Tensor  # (R, 4K)


class FasterRCNN(nn.Module):
    """Backbone, region proposals, pooled regions, two-layer head. K classes, R regions over the batch."""

    task = Task.DETECT
    search = None  # its regions come from the features

    def __init__(self, backbone: Backbone, classes: int, options: FasterRCNNOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or FasterRCNNOptions()
        self.classes, self.coder = classes, BoxCoder()
        level, region_level = options.level, options.region_level
        self.last = backbone.last([level, region_level])
        self.backbone, self.stride = backbone, backbone.strides[region_level]
        self.rpn = RPN(backbone.channels[level], backbone.strides[level], options.rpn)
        self.head = region_head(
            backbone,
            region_level,
            classes,
            options.pool,
            options.hidden,
            options.dropout,
            options.norm,
        )

    def forward(self, batch: Batch) -> FasterRCNNOutput:
        features = self.backbone(batch.images, until=self.last)
        return self.look(features, self.rpn(features.maps[self.options.level], batch), batch)

    def look(self, features: Features, rpn: RPNOutput, batch: Batch) -> FasterRCNNOutput:
        """What the head makes of the regions that an RPN proposed."""
        options, pool = self.options, roi_align if self.options.align else roi_pool
        regions = choose_regions(rpn.proposals, batch, self.classes, options.regions)
        size = (options.pool, options.pool)
        pooled = pool(
            features.maps[options.region_level], regions.boxes, regions.images, size, 1 / self.stride
        )
        if not options.hidden:
            pooled = self.backbone.after(options.region_level, pooled)
        logits, deltas = self.head(pooled)
        return FasterRCNNOutput(features, rpn, regions, logits, deltas)

    def loss(self, output: FasterRCNNOutput, batch: Batch) -> dict[str, Tensor]:
        return self.rpn.loss(output.rpn, batch) | self.head_loss(output, batch)

    def head_loss(self, output: FasterRCNNOutput, batch: Batch) -> dict[str, Tensor]:
        """The two losses of Fast R-CNN alone."""
        hardest = self.options.regions.hardest
        return region_loss(output.regions, output.logits, output.deltas, self.coder, batch, hardest)

    def candidates(self, output: FasterRCNNOutput, batch: Batch) -> Candidates:
        """Every region as every class that it may be, before suppression."""
        return region_candidates(
            output.regions, output.logits, output.deltas, self.coder, batch, self.options.regions.score
        )

    def decode(self, output: FasterRCNNOutput, batch: Batch) -> list[Detections]:
        """Detections of each image, in pixels of the network's input, best first."""
        options = self.options.regions
        return suppress(self.candidates(output, batch), len(batch), self.classes, options.nms, options.most)
