"""R-CNN: regions from selective search, and the whole network anew for every one of them.

Girshick, Donahue, Darrell, Malik 2014, arXiv:1311.2524. Each region is warped to the input of a network made
for classification, which is fine-tuned on regions. By default its softmax scores them and a layer beside it
refines the boxes; the paper's own last stage, linear SVMs and ridge regression on the network's features, is
the option `scorer="svm"`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from neocog.backbones.backbone import Backbone
from neocog.ops.coder import BoxCoder
from neocog.ops.ranges import check_range
from neocog.ops.warp_regions import warp_regions
from neocog.parts.candidates import Candidates, suppress
from neocog.parts.heads import Head, MeanHead, TwoLayerHead
from neocog.parts.regions import (
    RegionOptions,
    Regions,
    choose_regions,
    given,
    region_candidates,
    region_loss,
    scored_candidates,
)
from neocog.parts.svm import LinearScorer, fit_scorer
from neocog.proposals.search import SearchOptions
from neocog.types import Batch, Detections, Task


@dataclass(frozen=True)
class RCNNOptions:
    """Defaults: the paper's detector on VGG-16."""

    level: str = "pool5"  # the feature map that a crop ends in
    crop: int = 224  # pixels a side that every region is warped to
    context: int = 16  # of these, on each side, from around the region
    hidden: int = 4096  # width of the two layers after the map; 0: scores from its mean, as in ResNets
    dropout: float = 0.5
    norm: bool = False  # BatchNorm in the two layers, for training from scratch
    scorer: Literal["softmax", "svm"] = "softmax"
    at_once: int = 128  # crops that go through the network together at test time
    search: SearchOptions = SearchOptions()
    regions: RegionOptions = RegionOptions(samples=64)

    def __post_init__(self) -> None:
        check_range(self, 1, 4096, "crop")
        check_range(self, 0, 1024, "context")
        check_range(self, 0, 65_536, "hidden")
        check_range(self, 0, 0.99, "dropout")
        check_range(self, 1, 65_536, "at_once")
        if 2 * self.context >= self.crop:
            raise ValueError(f"context: {self.context} leaves nothing of a crop of {self.crop}")


@dataclass(frozen=True, slots=True)
class RCNNOutput:
    regions: Regions
    features: Tensor  # (R, D) the last vector before the scores
    logits: Tensor  # (R, K + 1), background last; with fitted SVMs (R, K), their margins
    deltas: Tensor  # (R, 4K)


class RCNN(nn.Module):
    """Warped regions, backbone, head. K classes, R regions over the batch."""

    task = Task.DETECT

    def __init__(self, backbone: Backbone, classes: int, options: RCNNOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or RCNNOptions()
        self.classes, self.coder, self.search = classes, BoxCoder(), options.search
        backbone.require(options.level)
        self.backbone = backbone
        channels, cells = (
            backbone.channels[options.level],
            -(-options.crop // backbone.strides[options.level]),
        )
        self.head: Head = (
            TwoLayerHead(channels, cells, options.hidden, classes, options.dropout, options.norm)
            if options.hidden
            else MeanHead(channels, classes)
        )
        self.linear = None
        if options.scorer == "svm":
            self.linear = LinearScorer(options.hidden or channels, channels * cells * cells, classes)

    def forward(self, batch: Batch) -> RCNNOutput:
        regions = choose_regions(given(batch), batch, self.classes, self.options.regions)
        at_once = self.options.at_once if batch.targets is None else max(len(regions), 1)
        parts = zip(torch.split(regions.boxes, at_once), torch.split(regions.images, at_once), strict=True)
        seen = [self._look(batch.images, boxes, images) for boxes, images in parts]
        return RCNNOutput(regions, *(torch.cat(part) for part in zip(*seen, strict=True)))

    def crops(self, images: Tensor, boxes: Tensor, batch_index: Tensor) -> Tensor:
        """What the network sees of regions (R, 4) of images (B, 3, H, W): (R, 3, crop, crop) in [0, 1]."""
        options, fill = self.options, self.backbone.mean.flatten()
        return warp_regions(images, boxes, batch_index, side=options.crop, context=options.context, fill=fill)

    def _pooled(self, images: Tensor, boxes: Tensor, batch_index: Tensor) -> Tensor:
        level = self.options.level
        return self.backbone(self.crops(images, boxes, batch_index), until=level).maps[level]

    def _look(self, images: Tensor, boxes: Tensor, batch_index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pooled = self._pooled(images, boxes, batch_index)
        features = self.head.features(pooled)
        if self.linear is not None and self.linear.fitted:
            return features, *self.linear(features, pooled)
        return features, *self.head.outputs(features)

    def loss(self, output: RCNNOutput, batch: Batch) -> dict[str, Tensor]:
        hardest = self.options.regions.hardest
        return region_loss(output.regions, output.logits, output.deltas, self.coder, batch, hardest)

    @torch.no_grad()
    def complete(self, pictures: Callable[[], Iterable[Batch]], seed: int) -> dict[str, Tensor]:
        """Fit the SVMs and the box regressions to pictures with targets and proposals, read twice.

        The network stays as it is. Returns what changed in the state, by name.
        """
        assert self.linear is not None
        self.linear.take(fit_scorer(pictures, self._vectors, self.classes, self.coder, seed))
        return {f"linear.{name}": value for name, value in self.linear.state_dict().items()}

    def _vectors(self, images: Tensor, boxes: Tensor, batch_index: Tensor) -> tuple[Tensor, Tensor]:
        """The last vector (R, D) and the map (R, C * h * w) of each region."""
        at_once, seen = self.options.at_once, []
        for some, index in zip(torch.split(boxes, at_once), torch.split(batch_index, at_once), strict=True):
            pooled = self._pooled(images, some, index)
            seen.append((self.head.features(pooled), pooled.flatten(1)))
        features, maps = zip(*seen, strict=True)
        return torch.cat(features), torch.cat(maps)

    def candidates(self, output: RCNNOutput, batch: Batch) -> Candidates:
        """Every region as every class that it may be, before suppression.

        The score of an SVM is the logistic function of its margin: in [0, 1], and in the same order.
        """
        regions, deltas, least = output.regions, output.deltas, self.options.regions.score
        if output.logits.shape[1] == self.classes:
            return scored_candidates(regions, output.logits.sigmoid(), deltas, self.coder, batch, least)
        return region_candidates(regions, output.logits, deltas, self.coder, batch, least)

    def decode(self, output: RCNNOutput, batch: Batch) -> list[Detections]:
        """Detections of each image, in pixels of the network's input, best first."""
        options = self.options.regions
        return suppress(self.candidates(output, batch), len(batch), self.classes, options.nms, options.most)
