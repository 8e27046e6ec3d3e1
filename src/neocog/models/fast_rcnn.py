"""Fast R-CNN: the network runs once over the picture, and each region reads its features.

Girshick 2015, arXiv:1504.08083. The regions come from outside, by selective search; classes and boxes are
learnt together.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from neocog.backbones.backbone import Backbone
from neocog.ops.coder import BoxCoder
from neocog.ops.ranges import check_range
from neocog.ops.roi import roi_align, roi_pool
from neocog.parts.candidates import Candidates, suppress
from neocog.parts.heads import TwoLayerHead, region_head
from neocog.parts.regions import RegionOptions, Regions, choose_regions, given, region_candidates, region_loss
from neocog.proposals.search import SearchOptions
from neocog.types import Batch, Detections, Features, Task


@dataclass(frozen=True)
class FastRCNNOptions:
    """Defaults: the paper's "model L", on VGG-16."""

    level: str = "conv5_3"  # the feature map that regions are read from
    pool: int = 7  # cells a side of a pooled region
    align: bool = False  # RoIAlign (He et al. 2017) in place of the paper's RoI max-pooling
    hidden: int = 4096  # width of the two layers; 0: the backbone's last stage on each region (ResNets)
    dropout: float = 0.5
    norm: bool = False  # BatchNorm in the region head, for training from scratch
    svd: tuple[int, int] = (0, 0)  # ranks of the two hidden layers at test time; 0 for the whole layer
    search: SearchOptions = SearchOptions()
    regions: RegionOptions = RegionOptions(samples=64, background=0.1)

    def __post_init__(self) -> None:
        check_range(self, 1, 64, "pool")
        check_range(self, 0, 65_536, "hidden")
        check_range(self, 0, 65_536, "svd")
        check_range(self, 0, 0.99, "dropout")


@dataclass(frozen=True, slots=True)
class FastRCNNOutput:
    features: Features
    regions: Regions
    logits: Tensor  # (R, K + 1), background last
    deltas: Tensor  # (R, 4K)


class FastRCNN(nn.Module):
    """Backbone, pooled regions, two-layer head. K classes, R regions over the batch."""

    task = Task.DETECT

    def __init__(self, backbone: Backbone, classes: int, options: FastRCNNOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or FastRCNNOptions()
        self.classes, self.coder, self.search = classes, BoxCoder(), options.search
        backbone.require(options.level)
        self.backbone, self.stride = backbone, backbone.strides[options.level]
        self.head = region_head(
            backbone,
            options.level,
            classes,
            options.pool,
            options.hidden,
            options.dropout,
            options.norm,
        )

    def forward(self, batch: Batch) -> FastRCNNOutput:
        options, pool = self.options, roi_align if self.options.align else roi_pool
        regions = choose_regions(given(batch), batch, self.classes, options.regions)
        features = self.backbone(batch.images, until=options.level)
        size = (options.pool, options.pool)
        pooled = pool(features.maps[options.level], regions.boxes, regions.images, size, 1 / self.stride)
        if not options.hidden:
            pooled = self.backbone.after(options.level, pooled)
        logits, deltas = self.head(pooled)
        return FastRCNNOutput(features, regions, logits, deltas)

    def loss(self, output: FastRCNNOutput, batch: Batch) -> dict[str, Tensor]:
        hardest = self.options.regions.hardest
        return region_loss(output.regions, output.logits, output.deltas, self.coder, batch, hardest)

    def candidates(self, output: FastRCNNOutput, batch: Batch) -> Candidates:
        """Every region as every class that it may be, before suppression."""
        return region_candidates(
            output.regions, output.logits, output.deltas, self.coder, batch, self.options.regions.score
        )

    def decode(self, output: FastRCNNOutput, batch: Batch) -> list[Detections]:
        """Detections of each image, in pixels of the network's input, best first."""
        options = self.options.regions
        return suppress(self.candidates(output, batch), len(batch), self.classes, options.nms, options.most)

    def compress(self) -> None:
        """Truncate the hidden layers to the ranks of `options.svd`, in place: for testing only."""
        if isinstance(self.head, TwoLayerHead):
            self.head.truncate(self.options.svd)
