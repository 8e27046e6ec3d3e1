"""The region proposal network: objects or not, at every anchor of a feature map.

Ren et al. 2015 (Faster R-CNN), arXiv:1506.01497; defaults are those of py-faster-rcnn, trained end to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.ops.anchors import base_anchors, grid_anchors
from neocog.ops.assign import assign, sample
from neocog.ops.boxes import clip, shorter_side
from neocog.ops.coder import BoxCoder
from neocog.ops.losses import smooth_l1
from neocog.ops.nms import batched_nms
from neocog.ops.ranges import check_range
from neocog.ops.rng import generator
from neocog.types import Batch, Proposals


@dataclass(frozen=True)
class RPNOptions:
    """Anchors, what they learn from, and how many proposals they make. Defaults: the paper's, for VGG-16."""

    scales: tuple[float, ...] = (8, 16, 32)  # multiples of 16 pixels
    ratios: tuple[float, ...] = (0.5, 1, 2)  # height / width
    channels: int = 512  # of the 3x3 convolution
    norm: bool = False  # BatchNorm after it, for training from scratch
    positive: float = 0.7  # IoU from which an anchor is an object
    negative: float = 0.3  # IoU below which it is background
    samples: int = 256  # anchors an image that a step learns from
    positive_share: float = 0.5
    inside_only: bool = True  # learn only from anchors that do not cross the border
    beta: float = 1 / 9  # of the smooth L1 loss
    before_nms: tuple[int, int] = (12_000, 6_000)  # best anchors kept: training, test
    after_nms: tuple[int, int] = (2_000, 300)  # proposals kept: training, test
    nms: float = 0.7
    shortest: float = 16.0  # pixels; smaller proposals are dropped

    def __post_init__(self) -> None:
        check_range(self, 0, 1, "positive", "negative", "positive_share", "nms")
        check_range(self, 1, 1_000_000, "samples", "before_nms", "after_nms")
        check_range(self, 1, 65_536, "channels")
        check_range(self, 0.01, 1000, "scales", "ratios")
        check_range(self, 1e-6, 1e6, "beta")
        check_range(self, 0, 1e6, "shortest")


@dataclass(frozen=True, slots=True)
class RPNOutput:
    anchors: Tensor  # (A, 4) pixels
    logits: Tensor  # (B, A, 2): object, background
    deltas: Tensor  # (B, A, 4)
    proposals: tuple[Proposals, ...]  # of each image, best first, without gradient


class MapProposals(NamedTuple):
    """What a map would propose, before suppression; N over the batch."""

    boxes: Tensor  # (N, 4) pixels
    scores: Tensor  # (N,) in [0, 1]
    images: Tensor  # (N,) int64, position in the batch


class RPN(nn.Module):
    """A 3x3 convolution, then for each anchor two scores and four offsets."""

    def __init__(self, channels: int, stride: int, options: RPNOptions) -> None:
        super().__init__()
        self.stride, self.options, self.coder = stride, options, BoxCoder((1.0, 1.0, 1.0, 1.0))
        self.register_buffer("base", base_anchors(options.scales, options.ratios), persistent=False)
        anchors = len(self.base)
        self.conv = nn.Conv2d(channels, options.channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(options.channels) if options.norm else nn.Identity()
        self.logits = nn.Conv2d(options.channels, 2 * anchors, 1)
        self.deltas = nn.Conv2d(options.channels, 4 * anchors, 1)
        for layer in (self.conv, self.logits, self.deltas):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.bias, 0.0)  # type: ignore[arg-type]

    base: Tensor

    def forward(self, features: Tensor, batch: Batch) -> RPNOutput:
        """Features (B, C, H, W) to anchors (A = H * W * base anchors), scores, offsets and proposals."""
        logits, deltas = self.score(features)
        rows, columns = features.shape[-2:]
        anchors = grid_anchors(self.base, (rows, columns), self.stride)
        candidates = self.candidates(anchors, logits.detach(), deltas.detach(), batch)
        return RPNOutput(anchors, logits, deltas, self.choose([candidates], batch))

    def score(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, H, W) to logits (B, A, 2) and deltas (B, A, 4) of the map's anchors, float32."""
        count = features.shape[0]  # len() of a tensor would be a constant in an export
        hidden = F.relu(self.norm(self.conv(features)))
        logits = self.logits(hidden).permute(0, 2, 3, 1).reshape(count, -1, 2).float()
        deltas = self.deltas(hidden).permute(0, 2, 3, 1).reshape(count, -1, 4).float()
        return logits, deltas

    def candidates(self, anchors: Tensor, logits: Tensor, deltas: Tensor, batch: Batch) -> MapProposals:
        """A map's best anchors, decoded, clipped, without the small: the order of `proposal_layer.py`."""
        before = self.options.before_nms[batch.targets is None]
        margins = logits[..., 0] - logits[..., 1]
        scores, order = margins.topk(min(before, margins.shape[1]), dim=1)
        chosen = deltas.gather(1, order[..., None].expand(-1, -1, 4))
        boxes = clip(self.coder.decode(chosen, anchors[order]), batch.limits[:, None])
        large = shorter_side(boxes) >= self.options.shortest
        return MapProposals(boxes[large], scores[large].sigmoid(), torch.nonzero(large)[:, 0])

    def choose(self, maps: Sequence[MapProposals], batch: Batch) -> tuple[Proposals, ...]:
        """Suppress within each map and image, then keep the best of an image from all its maps."""
        after = self.options.after_nms[batch.targets is None]
        boxes = torch.cat([one.boxes for one in maps])
        scores = torch.cat([one.scores for one in maps])
        image = torch.cat([one.images for one in maps])
        group = torch.cat([one.images + place * len(batch) for place, one in enumerate(maps)])
        keep = batched_nms(boxes, scores, group, self.options.nms)
        kept = image[keep]
        best = [keep[kept == index][:after] for index in range(len(batch))]
        return tuple(Proposals(boxes[own], scores[own]) for own in best)

    def loss(self, output: RPNOutput, batch: Batch) -> dict[str, Tensor]:
        """`rpn_objectness` and `rpn_boxes`, both divided by the anchors sampled in the step (lambda = 1)."""
        if batch.targets is None:
            raise ValueError("RPN.loss needs a batch with targets")
        options, anchors = self.options, output.anchors
        usable = {size: self._usable(anchors, size) for size in set(batch.sizes)}
        rows, labels, boxes, references, images = [], [], [], [], []
        for image, (target, size, key) in enumerate(zip(batch.targets, batch.sizes, batch.keys, strict=True)):
            assigned = assign(
                anchors,
                target,
                positive=options.positive,
                negative=options.negative,
                force_best=True,
                usable=usable[size],
            )
            positives, negatives = sample(
                assigned, options.samples, options.positive_share, generator(key, "rpn")
            )
            rows.append(torch.cat([positives, negatives]) + image * len(anchors))
            labels.append(torch.cat([torch.zeros_like(positives), torch.ones_like(negatives)]))
            boxes.append(target.boxes[assigned[positives]])
            references.append(anchors[positives])
            images.append(positives + image * len(anchors))
        sampled = torch.cat(rows)
        count = max(batch.total(len(sampled)), 1)
        objectness = F.cross_entropy(output.logits.flatten(0, 1)[sampled], torch.cat(labels), reduction="sum")
        wanted = self.coder.encode(torch.cat(boxes), torch.cat(references))
        difference = output.deltas.flatten(0, 1)[torch.cat(images)] - wanted
        return {
            "rpn_objectness": objectness / count,
            "rpn_boxes": smooth_l1(difference, options.beta).sum() / count,
        }

    def _usable(self, anchors: Tensor, size: tuple[int, int]) -> Tensor:
        """Anchors (A,) a step may learn from: inside the picture, or at least centred in it."""
        height, width = size
        if self.options.inside_only:
            x0, y0, x1, y1 = anchors.unbind(-1)
            return (x0 >= 0) & (y0 >= 0) & (x1 <= width) & (y1 <= height)
        x, y = ((anchors[:, :2] + anchors[:, 2:]) / 2).unbind(-1)
        return (x < width) & (y < height)
