"""R-FCN: nothing is learnt after the regions are read, so a region costs next to nothing.

Dai, Li, He, Sun 2016, arXiv:1605.06409. A convolution gives every bin of a region ("top left", "bottom
middle") a map of scores of its own, for each class; a region reads each bin in the bin's map, and the mean
over the bins is its score: they vote. Where things are within a region is thereby learnt by the maps, and the
whole backbone may come before the regions. The last stage of a ResNet keeps stride 16, by dilation.

Box offsets are read in the same way, from 4 k^2 maps for all classes, as in the paper; the authors' code has
8 k^2, of which it trains one half.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from neocog.backbones.backbone import Backbone
from neocog.ops.coder import BoxCoder
from neocog.ops.ranges import check_range
from neocog.ops.roi import ps_roi_align, ps_roi_pool
from neocog.parts.candidates import Candidates, suppress
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
class RFCNOptions:
    """Defaults: the paper's detector on ResNet-101, with the numbers of the authors' joint training."""

    level: str = "layer3"  # the feature map that regions are proposed on
    score_level: str = "layer4"  # the one that scores are computed from
    bins: int = 7  # k: a region has k x k bins; the figures of the paper have 3
    align: bool = False  # bilinear samples, as RoIAlign's (He et al. 2017), in place of the paper's average
    channels: int = 1024  # of the 1x1 convolution before the score maps; 0: none
    norm: bool = False  # BatchNorm after it, for training from scratch
    rpn: RPNOptions = RPNOptions(before_nms=(6_000, 6_000), after_nms=(300, 300))
    regions: RegionOptions = RegionOptions(background=0.1)

    def __post_init__(self) -> None:
        check_range(self, 1, 64, "bins")
        check_range(self, 0, 65_536, "channels")


@dataclass(frozen=True, slots=True)
class RFCNOutput:
    features: Features
    score_maps: Tensor  # (B, k k (K + 1), H, W): bins row by row, the scores of a bin side by side
    box_maps: Tensor  # (B, k k 4, H, W)
    rpn: RPNOutput
    regions: Regions
    votes: Tensor  # (R, K + 1, k, k): what each bin of each region says
    logits: Tensor  # (R, K + 1), their means, background last
    deltas: Tensor  # (R, 4), for all classes


class RFCN(nn.Module):
    """Backbone, region proposals, score maps, vote. K classes, R regions over the batch, k x k bins."""

    task = Task.DETECT
    search = None  # its regions come from the features

    def __init__(self, backbone: Backbone, classes: int, options: RFCNOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or RFCNOptions()
        self.classes, self.coder = classes, BoxCoder()
        level, score_level = options.level, options.score_level
        self.last = backbone.last([level, score_level])
        self.backbone, self.stride = backbone, backbone.strides[score_level]
        self.rpn = RPN(backbone.channels[level], backbone.strides[level], options.rpn)
        self.reduce = _reduction(backbone.channels[score_level], options)
        channels, cells = options.channels or backbone.channels[score_level], options.bins**2
        self.scores = nn.Conv2d(channels, cells * (classes + 1), 1)
        self.offsets = nn.Conv2d(channels, cells * 4, 1)
        for layer in (self.scores, self.offsets):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, batch: Batch) -> RFCNOutput:
        features = self.backbone(batch.images, until=self.last)
        rpn = self.rpn(features.maps[self.options.level], batch)
        regions = choose_regions(rpn.proposals, batch, self.classes, self.options.regions)
        reduced = self.reduce(features.maps[self.options.score_level])
        score_maps, box_maps = self.scores(reduced), self.offsets(reduced)
        votes = self.read(score_maps, regions)
        deltas = self.read(box_maps, regions).mean(dim=(2, 3))
        return RFCNOutput(features, score_maps, box_maps, rpn, regions, votes, votes.mean(dim=(2, 3)), deltas)

    def read(self, maps: Tensor, regions: Regions) -> Tensor:
        """Maps (B, k k C, H, W) to what the bins of each region read in theirs (R, C, k, k), float32."""
        pool = ps_roi_align if self.options.align else ps_roi_pool
        bins = (self.options.bins, self.options.bins)
        return pool(maps, regions.boxes, regions.images, bins, 1 / self.stride)

    def loss(self, output: RFCNOutput, batch: Batch) -> dict[str, Tensor]:
        hardest = self.options.regions.hardest
        return self.rpn.loss(output.rpn, batch) | region_loss(
            output.regions, output.logits, output.deltas, self.coder, batch, hardest
        )

    def candidates(self, output: RFCNOutput, batch: Batch) -> Candidates:
        """Every region as every class that it may be, before suppression."""
        return region_candidates(
            output.regions, output.logits, output.deltas, self.coder, batch, self.options.regions.score
        )

    def decode(self, output: RFCNOutput, batch: Batch) -> list[Detections]:
        """Detections of each image, in pixels of the network's input, best first."""
        options = self.options.regions
        return suppress(self.candidates(output, batch), len(batch), self.classes, options.nms, options.most)


def _reduction(inputs: int, options: RFCNOptions) -> nn.Sequential:
    """The 1x1 convolution before the score maps, and what follows it; nothing for 0 channels."""
    outputs = options.channels
    if not outputs:
        return nn.Sequential()
    convolution = nn.Conv2d(inputs, outputs, 1, bias=not options.norm)
    if options.norm:
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
    nn.init.normal_(convolution.weight, std=0.01)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return nn.Sequential(convolution, nn.ReLU(inplace=True))
