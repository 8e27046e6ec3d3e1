"""SSD: every box of a fixed table is scored at once, on maps of several sizes.

Liu, Anguelov, Erhan, Szegedy, Reed, Fu, Berg 2016, arXiv:1512.02325. Nothing is proposed and nothing is
cropped: a 3x3 convolution on each map gives class scores and offsets for the default boxes of its cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone
from neocog.ops.assign import NEGATIVE, match
from neocog.ops.boxes import clip
from neocog.ops.coder import BoxCoder
from neocog.ops.default_boxes import box_shapes, grid_boxes
from neocog.ops.losses import hard_negatives, smooth_l1
from neocog.ops.nms import best_of_each
from neocog.ops.ranges import check_range
from neocog.parts.candidates import Candidates, suppress
from neocog.parts.extras import DilatedDense, L2Norm, coarser, extra_layers, round_up, start_layers
from neocog.types import Batch, Detections, Features, Task


@dataclass(frozen=True)
class SSDOptions:
    """Defaults: the paper's SSD300 on VGG-16, with the boxes that it has on VOC."""

    levels: tuple[str, ...] = ("conv4_3", "conv5_3")  # the backbone's maps, from fine to coarse
    normalise: bool = True  # the first of them, cell by cell, to a learnt scale
    dense: int = 1024  # width of fc6 and fc7, which take the place of the last of them; 0: without
    extras: tuple[int, ...] = (512, 256, 256, 256)  # channels of the maps computed from it
    hidden: int = 0  # channels of a normalised 3x3 convolution before the scores of the backbone's maps
    side: int = 300  # pixels; the unit of `scales`
    scales: tuple[float, ...] = (0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 1.05)  # of each map's boxes, and one more
    ratios: tuple[tuple[float, ...], ...] = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))  # width / height
    limit: bool = False  # no default box is wider or higher than `side`
    stretch: bool = True  # pictures to the network's size, whatever their shape; False: fit them into it
    pixels: Literal["backbone", "caffe"] = "backbone"  # which mean and scale of pixels the weights expect
    positive: float = 0.5  # IoU from which a default box is an object, and below which background
    negatives: int = 3  # of the hardest background boxes, for every one that is an object
    score: float = 0.01  # detections up to it are not reported
    candidates: int = 400  # best boxes of a class in an image that suppression sees
    nms: float = 0.45  # per class
    most: int = 200  # detections an image, over all classes

    def __post_init__(self) -> None:
        check_range(self, 0, 1, "positive", "score", "nms")
        check_range(self, 0, 65_536, "dense", "hidden")
        check_range(self, 1, 16_384, "side")
        check_range(self, 1e-3, 10, "scales")
        check_range(self, 1, 1_000_000, "negatives", "candidates", "most")
        for width in self.extras:
            if not 2 <= width <= 65_536:
                raise ValueError(f"extras must lie in [2, 65536], got {width}")
        if not self.levels:
            raise ValueError("levels must name a map at least")
        for ratio in (ratio for ratios in self.ratios for ratio in ratios):
            if not 0.01 <= ratio <= 100:
                raise ValueError(f"ratios must lie in [0.01, 100], got {ratio}")
        maps = len(self.levels) + len(self.extras)
        if len(self.ratios) != maps or len(self.scales) != maps + 1:
            raise ValueError(
                f"{maps} maps (levels and extras) need {maps} ratios and {maps + 1} scales, "
                f"got {len(self.ratios)} and {len(self.scales)}"
            )


@dataclass(frozen=True, slots=True)
class SSDOutput:
    features: Features
    maps: tuple[Tensor, ...]  # what the scores are computed from, each (B, C, h, w), from fine to coarse
    boxes: Tensor  # (A, 4) default boxes, pixels: map by map; row, column, shape
    logits: Tensor  # (B, A, K + 1), background last
    deltas: Tensor  # (B, A, 4)


CAFFE_MEAN = (0.48235, 0.45882, 0.40784)
"""Mean colour of the pictures that the authors' VGG-16 was trained on, R G B: 123, 117, 104 of 255."""


class SSD(nn.Module):
    """Backbone, extra layers, and on each map two 3x3 convolutions. K classes, A default boxes."""

    task = Task.DETECT
    search = None  # its boxes are a table

    def __init__(self, backbone: Backbone, classes: int, options: SSDOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or SSDOptions()
        self.classes, self.coder = classes, BoxCoder()
        self.backbone, self.last = backbone, backbone.last(options.levels)
        if options.pixels == "caffe":  # 0 to 255 about the mean
            backbone.mean.copy_(torch.tensor(CAFFE_MEAN).view(1, 3, 1, 1))
            backbone.std.fill_(1 / 255)
        channels = [backbone.channels[level] for level in options.levels]
        steps: list[float] = [backbone.strides[level] for level in options.levels]
        self.l2 = L2Norm(channels[0]) if options.normalise else nn.Identity()
        self.dense = None
        if options.dense:
            round_up(backbone)
            self.dense = DilatedDense(channels[-1], options.dense)
            channels[-1] = options.dense
        cells = -(-options.side // backbone.strides[options.levels[-1]])
        self.extras = extra_layers(channels[-1], cells, options.extras)
        for width in options.extras:
            steps.append(steps[-1] * 2 if cells not in (3, 5) else options.side / (cells - 2))
            channels.append(width)
            cells = coarser(cells)
        self.steps = tuple(steps)
        self.shapes = [self._shapes(number) for number in range(len(channels))]
        read = len(options.levels) if options.hidden else 0  # maps that a trunk reads first
        self.trunks = nn.ModuleList(_trunk(width, options.hidden) for width in channels[:read])
        kernels = [1] * read + [3] * (len(channels) - read)
        channels[:read] = [options.hidden] * read
        counts = [len(shapes) for shapes in self.shapes]
        self.logits = _predictors(channels, counts, classes + 1, kernels)
        self.deltas = _predictors(channels, counts, 4, kernels)

    def _shapes(self, number: int) -> Tensor:
        options = self.options
        small, large = (scale * options.side for scale in options.scales[number : number + 2])
        shapes = box_shapes(small, large, options.ratios[number])
        return shapes.clamp(max=options.side) if options.limit else shapes

    def forward(self, batch: Batch) -> SSDOutput:
        images = batch.images
        if self.options.stretch:  # then all are of one size, and the rest only makes it a round number
            height, width = (max(sides) for sides in zip(*batch.sizes, strict=True))
            images = images[..., :height, :width]
        features = self.backbone(images, until=self.last)
        maps = [features.maps[level] for level in self.options.levels]
        if self.dense is not None:
            maps[-1] = self.dense(maps[-1])
        for layer in self.extras:
            maps.append(layer(maps[-1]))
        maps[0] = self.l2(maps[0])
        device = batch.images.device
        boxes = [
            grid_boxes(shapes.to(device), (one.shape[2], one.shape[3]), step)
            for shapes, one, step in zip(self.shapes, maps, self.steps, strict=True)
        ]
        for number, trunk in enumerate(self.trunks):
            maps[number] = trunk(maps[number])
        logits = _read(maps, self.logits, self.classes + 1)
        return SSDOutput(features, tuple(maps), torch.cat(boxes), logits, _read(maps, self.deltas, 4))

    def loss(self, output: SSDOutput, batch: Batch) -> dict[str, Tensor]:
        """`classes` (cross-entropy) and `boxes` (smooth L1), divided by the step's matched boxes (alpha = 1).

        Both are 0 where nothing in the step is matched.
        """
        if batch.targets is None:
            raise ValueError("SSD.loss needs a batch with targets")
        matched = self.match(output, batch)
        positive = matched >= 0
        with torch.no_grad():
            background = output.logits.logsumexp(dim=2) - output.logits[..., -1]
        chosen = hard_negatives(background, positive, matched == NEGATIVE, self.options.negatives)
        image, box = torch.nonzero(positive, as_tuple=True)
        starts = torch.tensor([0, *(len(target) for target in batch.targets)]).cumsum(0).to(matched.device)
        which = matched[image, box] + starts[image]  # among the objects of all images
        labels = torch.full_like(matched, self.classes)
        labels[image, box] = torch.cat([target.labels for target in batch.targets])[which]
        learnt = positive | chosen
        wanted = self.coder.encode(
            torch.cat([target.boxes for target in batch.targets])[which], output.boxes[box]
        )
        count = max(batch.total(len(image)), 1)
        return {
            "classes": F.cross_entropy(output.logits[learnt], labels[learnt], reduction="sum") / count,
            "boxes": smooth_l1(output.deltas[image, box] - wanted).sum() / count,
        }

    def match(self, output: SSDOutput, batch: Batch) -> Tensor:
        """The object (B, A) int64 that each default box answers for in its image, NEGATIVE or UNUSED."""
        usable = self.usable(output.boxes, batch)
        return torch.stack(
            [
                match(output.boxes, target, positive=self.options.positive, usable=seen)
                for target, seen in zip(batch.targets or (), usable, strict=True)
            ]
        )

    def usable(self, boxes: Tensor, batch: Batch) -> Tensor:
        """Which default boxes (B, A) bool see anything of each picture, and not only what pads it."""
        return (boxes[:, :2] < batch.limits[:, None, :2]).all(dim=2)

    def candidates(self, output: SSDOutput, batch: Batch) -> Candidates:
        """Every default box as every class that it may be, before suppression."""
        options = self.options
        scores = output.logits.softmax(dim=2)[..., :-1]
        reported = (scores > options.score) & self.usable(output.boxes, batch)[..., None]
        image, box, label = torch.nonzero(reported, as_tuple=True)
        score = scores[image, box, label]
        best = best_of_each(score, image * self.classes + label, options.candidates)
        image, box, label, score = (part[best] for part in (image, box, label, score))
        boxes = self.coder.decode(output.deltas[image, box], output.boxes[box])
        return Candidates(clip(boxes, batch.limits[image]), score, label, image)

    def decode(self, output: SSDOutput, batch: Batch) -> list[Detections]:
        """Detections of each image, in pixels of the network's input, best first."""
        options, found = self.options, self.candidates(output, batch)
        return suppress(found, len(batch), self.classes, options.nms, options.most)


def _trunk(inputs: int, outputs: int) -> nn.Module:
    """A 3x3 convolution of its own for a map, which other maps are computed from or merged with."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _predictors(channels: list[int], counts: list[int], values: int, kernels: list[int]) -> nn.ModuleList:
    """For each map, a convolution from its channels to so many values for each of its boxes."""
    layers = nn.ModuleList(
        nn.Conv2d(width, count * values, kernel, padding=kernel // 2)
        for width, count, kernel in zip(channels, counts, kernels, strict=True)
    )
    start_layers(layers)
    return layers


def _read(maps: list[Tensor], layers: Any, width: int) -> Tensor:
    """What a convolution makes of each map (B, C, h, w), box by box: (B, A, width) float32."""
    parts = [layer(one).permute(0, 2, 3, 1) for one, layer in zip(maps, layers, strict=True)]
    return torch.cat([part.reshape(part.shape[0], -1, width).float() for part in parts], dim=1)
