"""What happens to regions once something has proposed them: choosing, scoring, learning, decoding.

Girshick 2015 (Fast R-CNN), arXiv:1504.08083; defaults are those of py-faster-rcnn's end-to-end training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.ops.assign import assign, sample
from neocog.ops.boxes import clip
from neocog.ops.coder import BoxCoder
from neocog.ops.losses import smooth_l1
from neocog.ops.nms import batched_nms
from neocog.ops.ranges import check_range
from neocog.ops.rng import generator
from neocog.types import Batch, Detections, Proposals


@dataclass(frozen=True)
class RegionOptions:
    """What a region head learns from, and what it reports."""

    samples: int = 128  # regions an image that a step learns from
    positive_share: float = 0.25
    positive: float = 0.5  # IoU from which a region is an object; all others are background
    score: float = 0.05  # detections below it are not reported
    nms: float = 0.3  # per class
    most: int = 100  # detections an image, over all classes

    def __post_init__(self) -> None:
        check_range(self, 0, 1, "positive_share", "positive", "score", "nms")
        check_range(self, 1, 1_000_000, "samples", "most")


@dataclass(frozen=True, slots=True)
class Regions:
    """Regions of a whole batch; with labels and targets when they are to be learnt from."""

    boxes: Tensor  # (R, 4) pixels
    images: Tensor  # (R,) int64, position in the batch
    labels: Tensor | None = None  # (R,) int64, K = background
    targets: Tensor | None = None  # (P, 4) boxes of the objects that the P labelled regions answer for

    def __len__(self) -> int:
        return len(self.boxes)


def choose_regions(
    proposals: Sequence[Proposals], batch: Batch, classes: int, options: RegionOptions
) -> Regions:
    """All proposals of each image; with targets, a labelled sample of proposals and true boxes instead."""
    if batch.targets is None:
        return Regions(*_stack([proposal.boxes for proposal in proposals]))
    boxes, labels, targets = [], [], []
    for proposal, target, key in zip(proposals, batch.targets, batch.keys, strict=True):
        candidates = torch.cat([proposal.boxes, target.boxes[~target.ignore]])
        assigned = assign(candidates, target, positive=options.positive, negative=options.positive)
        positives, negatives = sample(
            assigned, options.samples, options.positive_share, generator(key, "regions")
        )
        boxes.append(candidates[torch.cat([positives, negatives])])
        labels.append(torch.cat([target.labels[assigned[positives]], torch.full_like(negatives, classes)]))
        targets.append(target.boxes[assigned[positives]])
    return Regions(*_stack(boxes), torch.cat(labels), torch.cat(targets))


def _stack(boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Boxes of all images in one tensor (R, 4), and the image (R,) of each."""
    counts = torch.tensor([len(box) for box in boxes])
    images = torch.repeat_interleave(torch.arange(len(boxes)), counts)
    return torch.cat(list(boxes)), images.to(boxes[0].device)


class TwoLayerHead(nn.Module):
    """Two fully connected layers, then K + 1 scores and four offsets a class (Fast R-CNN, figure 1).

    The first layer reads a pooled region row by row, channels innermost, as it lies in memory. Weights made
    for channels outermost (VGG's fc6) are permuted once, when they are loaded.
    """

    def __init__(
        self, channels: int, pool: int, hidden: int, classes: int, dropout: float = 0.0, norm: bool = False
    ) -> None:
        """`norm` puts BatchNorm after both hidden layers: without it they learn slowly from scratch."""
        super().__init__()
        self.fc6 = _hidden(channels * pool * pool, hidden, norm)
        self.fc7 = _hidden(hidden, hidden, norm)
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(hidden, classes + 1)
        self.deltas = nn.Linear(hidden, 4 * classes)
        for layer, deviation in ((self.logits, 0.01), (self.deltas, 0.001)):
            nn.init.normal_(layer.weight, std=deviation)
            nn.init.zeros_(layer.bias)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features (R, C, pool, pool) to logits (R, K + 1) and deltas (R, 4K), float32."""
        hidden = self.dropout(F.relu(self.fc6(pooled.permute(0, 2, 3, 1).flatten(1))))
        hidden = self.dropout(F.relu(self.fc7(hidden)))
        return self.logits(hidden).float(), self.deltas(hidden).float()


def _hidden(inputs: int, outputs: int, norm: bool) -> nn.Module:
    if not norm:
        return nn.Linear(inputs, outputs)
    return nn.Sequential(nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs))


def region_loss(
    regions: Regions, logits: Tensor, deltas: Tensor, coder: BoxCoder, batch: Batch
) -> dict[str, Tensor]:
    """`classes` (cross-entropy) and `boxes` (smooth L1), both divided by the number of the step's regions.

    Not by the number of positives: that is the authors' choice, and it weighs pictures rich in objects more.
    """
    if regions.labels is None or regions.targets is None:
        raise ValueError("region_loss needs regions chosen with targets")
    count = max(batch.total(len(regions)), 1)
    classes = logits.shape[1] - 1
    positives = torch.nonzero(regions.labels < classes).squeeze(1)
    wanted = coder.encode(regions.targets, regions.boxes[positives])
    given = deltas.view(len(regions), classes, 4)[positives, regions.labels[positives]]
    return {
        "classes": F.cross_entropy(logits, regions.labels, reduction="sum") / count,
        "boxes": smooth_l1(given - wanted).sum() / count,
    }


def region_decode(
    regions: Regions, logits: Tensor, deltas: Tensor, coder: BoxCoder, batch: Batch, options: RegionOptions
) -> list[Detections]:
    """Softmax, decode, clip, threshold, suppress per class, keep the best: one result an image."""
    classes = logits.shape[1] - 1
    scores = logits.softmax(dim=1)[:, :classes]
    region, label = torch.nonzero(scores > options.score, as_tuple=True)
    image, score = regions.images[region], scores[region, label]
    boxes = coder.decode(deltas.view(-1, classes, 4)[region, label], regions.boxes[region])
    boxes = clip(boxes, batch.limits[image])
    keep = batched_nms(boxes, score, image * classes + label, options.nms)
    boxes, score, label, image = boxes[keep], score[keep], label[keep], image[keep]
    return [
        Detections(boxes[own][: options.most], score[own][: options.most], label[own][: options.most])
        for own in (image == index for index in range(len(batch)))
    ]
