"""What happens to regions once something has proposed them: choosing, scoring, learning, decoding.

Girshick 2015 (Fast R-CNN), arXiv:1504.08083; defaults are those of py-faster-rcnn's end-to-end training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from neocog.ops.assign import NEGATIVE, UNUSED, assign, sample
from neocog.ops.boxes import clip, iou
from neocog.ops.coder import BoxCoder
from neocog.ops.losses import smooth_l1
from neocog.ops.ranges import check_range
from neocog.ops.rng import generator
from neocog.parts.candidates import Candidates
from neocog.types import Batch, Proposals


@dataclass(frozen=True)
class RegionOptions:
    """What a region head learns from, and what it reports."""

    samples: int = 128  # regions an image that a step learns from
    hard: bool = False  # those of the highest loss among all regions, in place of a random sample
    positive_share: float = 0.25  # of a random sample, at most
    positive: float = 0.5  # IoU from which a region is an object
    background: float = 0.0  # IoU from which a region below that is background; 0.1 in Fast R-CNN
    score: float = 0.05  # detections below it are not reported
    nms: float = 0.3  # per class
    most: int = 100  # detections an image, over all classes

    def __post_init__(self) -> None:
        check_range(self, 0, 1, "positive_share", "positive", "background", "score", "nms")
        check_range(self, 1, 1_000_000, "samples", "most")

    @property
    def hardest(self) -> int:
        """How many regions an image `region_loss` picks; 0: it takes what `choose_regions` has drawn."""
        return self.samples if self.hard else 0


@dataclass(frozen=True, slots=True)
class Regions:
    """Regions of a whole batch; with labels and targets when they are to be learnt from."""

    boxes: Tensor  # (R, 4) pixels
    images: Tensor  # (R,) int64, position in the batch
    labels: Tensor | None = None  # (R,) int64, K = background
    targets: Tensor | None = None  # (P, 4) boxes of the objects that the P labelled regions answer for

    def __len__(self) -> int:
        return len(self.boxes)


def given(batch: Batch) -> Sequence[Proposals]:
    """The proposals that came with the pictures. Raises ValueError if the batch has none.

    For a picture in which nothing was found the whole of it stands, and its middle: a head with BatchNorm
    cannot learn from a single region.
    """
    if batch.proposals is None:
        raise ValueError("this network takes its regions from outside: the batch needs proposals")
    return [
        proposals if len(proposals) else Proposals(limit * limit.new_tensor(_INSTEAD), limit.new_zeros(2))
        for proposals, limit in zip(batch.proposals, batch.limits, strict=True)
    ]


_INSTEAD = ((0, 0, 1, 1), (0.25, 0.25, 0.75, 0.75))
"""Shares of a picture's width and height."""


def choose_regions(
    proposals: Sequence[Proposals], batch: Batch, classes: int, options: RegionOptions
) -> Regions:
    """All proposals of each image; with targets, a labelled sample of proposals and true boxes instead.

    What overlaps the objects of a picture less than `options.background` is not learnt from: the authors of
    Fast R-CNN take it for easy, and leave it out as a cheap form of mining hard examples. With `options.hard`
    nothing is left out: what to learn from shows in the losses.
    """
    if batch.targets is None:
        return Regions(*_stack([proposal.boxes for proposal in proposals]))
    boxes, labels, targets = [], [], []
    for proposal, target, key in zip(proposals, batch.targets, batch.keys, strict=True):
        candidates = torch.cat([proposal.boxes, target.boxes[~target.ignore]])
        assigned = assign(candidates, target, positive=options.positive, negative=options.positive)
        if options.background > 0 and not options.hard and not target.ignore.all():
            overlaps = iou(candidates, target.boxes[~target.ignore]).amax(dim=1)
            assigned[(overlaps < options.background) & (assigned == NEGATIVE)] = UNUSED
        most, share = (len(assigned), 1.0) if options.hard else (options.samples, options.positive_share)
        positives, negatives = sample(assigned, most, share, generator(key, "regions"))
        boxes.append(candidates[torch.cat([positives, negatives])])
        labels.append(torch.cat([target.labels[assigned[positives]], torch.full_like(negatives, classes)]))
        targets.append(target.boxes[assigned[positives]])
    return Regions(*_stack(boxes), torch.cat(labels), torch.cat(targets))


def _stack(boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Boxes of all images in one tensor (R, 4), and the image (R,) of each."""
    counts = torch.tensor([len(box) for box in boxes])
    images = torch.repeat_interleave(torch.arange(len(boxes)), counts)
    return torch.cat(list(boxes)), images.to(boxes[0].device)


def region_loss(
    regions: Regions, logits: Tensor, deltas: Tensor, coder: BoxCoder, batch: Batch, hardest: int = 0
) -> dict[str, Tensor]:
    """`classes` (cross-entropy) and `boxes` (smooth L1), both divided by the number of the step's regions.

    Not by the number of positives: that is the authors' choice, and it weighs pictures rich in objects more.
    With `hardest` above 0, only so many regions of each image count: those with the highest sum of the two.
    """
    if regions.labels is None:
        raise ValueError("region_loss needs regions chosen with targets")
    classes = F.cross_entropy(logits, regions.labels, reduction="none")
    boxes = box_losses(regions, deltas, logits.shape[1] - 1, coder)
    if hardest:
        rows = _hardest((classes + boxes).detach(), regions.images, len(batch), hardest)
        classes, boxes = classes[rows], boxes[rows]
    count = max(batch.total(len(classes)), 1)
    return {"classes": classes.sum() / count, "boxes": boxes.sum() / count}


def box_losses(regions: Regions, deltas: Tensor, classes: int, coder: BoxCoder) -> Tensor:
    """Smooth L1 (R,) of each region's deltas (R, 4K), or (R, 4) for any class; 0 for background."""
    if regions.labels is None or regions.targets is None:
        raise ValueError("box_losses needs regions chosen with targets")
    positives = torch.nonzero(regions.labels < classes).squeeze(1)
    wanted = coder.encode(regions.targets, regions.boxes[positives])
    given = _of_class(deltas, positives, regions.labels[positives])
    return deltas.new_zeros(len(regions)).index_add(0, positives, smooth_l1(given - wanted).sum(dim=1))


def _of_class(deltas: Tensor, rows: Tensor, labels: Tensor) -> Tensor:
    """The four deltas of these rows for these labels, out of (R, 4K), or (R, 4) for any class."""
    each = deltas.view(len(deltas), deltas.shape[1] // 4, 4)
    return each[rows, labels.clamp(max=each.shape[1] - 1)]


def _hardest(losses: Tensor, images: Tensor, count: int, most: int) -> Tensor:
    """Places of the `most` highest losses (R,) of each of `count` images; of equal ones the first.

    Online hard example mining: Shrivastava et al. 2016, arXiv:1604.03540, and R-FCN's `box_annotator_ohem`.
    """
    order = losses.argsort(descending=True, stable=True)
    return torch.cat([order[images[order] == image][:most] for image in range(count)])


def region_candidates(
    regions: Regions, logits: Tensor, deltas: Tensor, coder: BoxCoder, batch: Batch, score: float
) -> Candidates:
    """`scored_candidates` of the softmax of logits (R, K + 1)."""
    return scored_candidates(regions, logits.softmax(dim=1)[:, :-1], deltas, coder, batch, score)


def scored_candidates(
    regions: Regions, scores: Tensor, deltas: Tensor, coder: BoxCoder, batch: Batch, least: float
) -> Candidates:
    """Every region as every class for which its score (R, K) is above `least`, clipped to the picture.

    It is moved by its deltas (R, 4K), or (R, 4) for any class.
    """
    region, label = torch.nonzero(scores > least, as_tuple=True)
    image = regions.images[region]
    boxes = coder.decode(_of_class(deltas, region, label), regions.boxes[region])
    return Candidates(clip(boxes, batch.limits[image]), scores[region, label], label, image)
