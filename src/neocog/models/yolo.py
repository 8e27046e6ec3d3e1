"""YOLO: one network looks once, and each cell of its last map answers for the objects centred in it.

Redmon, Divvala, Girshick, Farhadi 2016, arXiv:1506.02640. What version 2 changed (Redmon and Farhadi 2017,
arXiv:1612.08242) is there as options: anchors, the pass-through of a finer map, changing sizes. The losses
are in `yolo_losses.py`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone
from neocog.backbones.darknet import SLOPE
from neocog.data.dataset import box_sizes
from neocog.errors import UsageError
from neocog.models.yolo_losses import REACH, anchor_loss, giou_loss, squared_loss
from neocog.ops.boxes import clip, shorter_side
from neocog.ops.clusters import cluster_sizes
from neocog.ops.coder import CellCoder, PriorCoder
from neocog.ops.ranges import check_range
from neocog.parts.candidates import Candidates, suppress
from neocog.parts.cells import Cells, inside_pictures, places_of
from neocog.types import Batch, Detections, Features, Task

FEW = -4.6
"""The logit of one in a hundred."""


@dataclass(frozen=True)
class YOLOOptions:
    """Defaults: version 1 as published."""

    level: str = "conv24"  # the map whose cells answer for objects
    side: int = 448  # pixels: widths and heights are shares of it, and fully connected layers see so much
    hidden: int = 4096  # width of the fully connected layer; 0: 3x3 and 1x1 convolutions instead
    dropout: float = 0.5  # after the fully connected layer
    depth: int = 1  # 3x3 convolutions; version 2 has three
    channels: int = 1024  # of each
    norm: bool = False  # BatchNorm after each, for training from scratch
    boxes: int = 2  # a cell, in version 1
    loss: Literal["squared", "giou"] = "squared"  # the papers', or one of later years, with one box a cell
    anchors: int | tuple[tuple[float, float], ...] = 0
    """Version 2: so many boxes a cell, of sizes found in the training boxes; or their (width, height)."""
    passthrough: str = ""  # version 2: a finer map that is read too, rearranged to the cells
    passthrough_channels: int = 64  # to which a 1x1 convolution brings it first
    multi_scale: bool = False  # version 2: train at changing sizes
    score: float = 0.001  # detections below it are not reported
    nms: float = 0.5  # per class
    most: int = 100  # detections an image, over all classes

    def __post_init__(self) -> None:
        check_range(self, 0, 1, "score", "nms")
        check_range(self, 0, 0.99, "dropout")
        check_range(self, 1, 65_536, "side", "channels", "passthrough_channels")
        check_range(self, 0, 65_536, "hidden")
        check_range(self, 1, 1_000_000, "most")
        check_range(self, 1, 64, "boxes", "depth")
        if isinstance(self.anchors, int):
            check_range(self, 0, 64, "anchors")
        elif not all(0.01 <= number <= 65_536 for size in self.anchors for number in size):
            raise ValueError(f"anchors must be sizes in [0.01, 65536] pixels, got {self.anchors}")

    def priors(self, stride: int) -> tuple[tuple[float, float], ...]:
        """Width and height, in pixels, that each box of a cell starts from; () in version 1.

        Raises UsageError where they are still to be found.
        """
        if isinstance(self.anchors, tuple) and self.anchors:
            return self.anchors
        if self.anchors:
            raise UsageError(f"anchors={self.anchors}: their sizes were not found in any boxes yet")
        return ((4.0 * stride, 4.0 * stride),) if self.loss == "giou" else ()


@dataclass(frozen=True, slots=True)
class YOLOOutput:
    features: Features
    cells: Cells


class YOLO(nn.Module):
    """Backbone, and an end that says for each cell where its boxes are and of which class."""

    task = Task.DETECT
    search = None  # its cells cover the picture

    def __init__(self, backbone: Backbone, classes: int, options: YOLOOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or YOLOOptions()
        self.classes, self.backbone = classes, backbone
        backbone.require(options.level)
        self.stride = backbone.strides[options.level]
        priors = options.priors(self.stride)
        self.shares_classes = not options.anchors  # version 1: the classes belong to the cell
        self.boxes = len(priors) or options.boxes
        self.register_buffer("priors", torch.tensor(priors).reshape(-1, 2), persistent=False)
        self.coder = CellCoder(self.stride, options.side)
        self.prior_coder = PriorCoder(self.stride, REACH if options.loss == "giou" else 1.0)
        self.last = options.level
        inputs = backbone.channels[options.level]
        if options.passthrough:
            self.through = PassThrough(backbone, options)
            self.last = backbone.last([options.level, options.passthrough])
            inputs += self.through.channels
        outputs = 5 * self.boxes + classes * (1 if self.shares_classes else self.boxes)
        if not options.hidden:
            self.head: Any = ConvolutionalEnd(inputs, outputs, options)
        elif options.multi_scale:
            raise UsageError("multi_scale needs hidden=0: fully connected layers see pictures of one size")
        else:
            cells = -(-options.side // self.stride)
            self.head = ConnectedEnd(inputs, cells, options.hidden, options.dropout, outputs)
        if options.loss == "giou":  # most boxes are no objects: begin with that, not by learning it
            bias = self.head.output.bias.detach().view(-1, outputs)
            bias[:, 4 : 5 * self.boxes : 5] = FEW

    priors: Tensor

    def forward(self, batch: Batch) -> YOLOOutput:
        images = self._whole_cells(batch.images)
        features = self.backbone(images, until=self.last)
        seen = features.maps[self.options.level]
        if self.options.passthrough:
            seen = torch.cat([self.through(features.maps[self.options.passthrough]), seen], dim=1)
        said = self.head(seen).float()
        count, rows, columns, _ = said.shape
        places = places_of((rows, columns), said.device)
        own, logits = said.reshape(count, rows * columns, -1).split(
            [5 * self.boxes, said.shape[-1] - 5 * self.boxes], dim=-1
        )
        own, logits = own.unflatten(-1, (self.boxes, 5)), logits.unflatten(-1, (-1, self.classes))
        offsets = own[..., :4]
        if len(self.priors):
            boxes = self.prior_coder.decode(offsets, places[:, None], self.priors)
        else:
            boxes = self.coder.decode(offsets, places[:, None])
        inside = inside_pictures(places, self.stride, batch)
        shape = rows, columns
        cells = Cells(shape, self.stride, places, inside, offsets, boxes, own[..., 4], logits)
        return YOLOOutput(features, cells)

    def _whole_cells(self, images: Tensor) -> Tensor:
        """Images padded at the right and the bottom to whole cells; to all of them, if the end is connected.

        Raises UsageError for pictures larger than what fully connected layers were made for.
        """
        height, width = images.shape[-2:]
        down, right = -height % self.stride, -width % self.stride
        if isinstance(self.head, ConnectedEnd):
            side = self.head.cells * self.stride
            down, right = side - height, side - width
            if min(down, right) < 0:
                raise UsageError(f"this YOLO sees {side} x {side} px, not {width} x {height}")
        return F.pad(images, (0, right, 0, down)) if down or right else images

    def loss(self, output: YOLOOutput, batch: Batch) -> dict[str, Tensor]:
        if self.options.loss == "giou":
            return giou_loss(output.cells, batch, self.priors)
        if len(self.priors):
            return anchor_loss(output.cells, batch, self.prior_coder, self.priors)
        return squared_loss(output.cells, batch, self.coder)

    def scores(self, output: YOLOOutput) -> Tensor:
        """Of every box as every class (B, S, P, K); 0 beyond the picture.

        A score is the confidence of a box times the score of its class. Version 1 learns both by squared
        errors and takes them as they are (a confidence below 0 is none), so that some scores exceed 1;
        elsewhere they are the sigmoid and the softmax. With `loss=giou` the square root of the confidence
        counts, as a small object's IoU stays low however sure its class is.
        """
        cells = output.cells
        confidences, classes = cells.confidences.clamp(min=0), cells.logits
        if len(self.priors):
            confidences, classes = cells.confidences.sigmoid(), cells.logits.softmax(dim=-1)
        if self.options.loss == "giou":
            confidences = confidences.sqrt()
        return confidences[..., None] * classes * cells.inside[..., None, None]

    def candidates(self, output: YOLOOutput, batch: Batch) -> Candidates:
        """Every box as every class that it may be, before suppression."""
        cells, scores = output.cells, self.scores(output)
        image, cell, who, label = torch.nonzero(scores > self.options.score, as_tuple=True)
        score, boxes = scores[image, cell, who, label], cells.boxes[image, cell, who]
        boxes = clip(boxes, batch.limits[image])
        real = shorter_side(boxes) > 0
        return Candidates(boxes[real], score[real], label[real], image[real])

    def decode(self, output: YOLOOutput, batch: Batch) -> list[Detections]:
        """Detections of each image, in pixels of the network's input, best first."""
        options, found = self.options, self.candidates(output, batch)
        kept = suppress(found, len(batch), self.classes, options.nms, options.most)
        return [replace(one, scores=one.scores.clamp(max=1)) for one in kept]


def with_anchors(options: YOLOOptions, data: Any, size: tuple[int, int]) -> YOLOOptions:
    """Version 2's anchors found in the training boxes, to a hundredth of a pixel, where they are a number.

    Raises UsageError for boxes that do not suffice.
    """
    if data is None or not isinstance(options.anchors, int) or not options.anchors:
        return options
    try:
        found = cluster_sizes(box_sizes(data, size), options.anchors).round(2)
    except ValueError as error:
        raise UsageError(f"{data.name}, split '{data.split}': anchors: {error}") from error
    return replace(options, anchors=tuple((float(width), float(height)) for width, height in found))


def training_sizes(options: YOLOOptions, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """With `multi_scale`: from 320/416 to 608/416 of the size, as in the paper, in steps of 32 pixels."""
    if not options.multi_scale:
        return (size,)
    low, high = (max(1, round(max(size) * share / 32)) for share in (320 / 416, 608 / 416))
    longer = (32 * count for count in range(low, high + 1))
    return tuple((round(size[0] * side / max(size)), round(size[1] * side / max(size))) for side in longer)


class ConnectedEnd(nn.Module):
    """The whole map through two fully connected layers, so that each cell knows the whole picture."""

    def __init__(self, inputs: int, cells: int, hidden: int, dropout: float, outputs: int) -> None:
        """`cells`: rows of the map, and columns."""
        super().__init__()
        self.cells = cells
        self.hidden = nn.Linear(inputs * cells * cells, hidden)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, cells * cells * outputs)

    def forward(self, seen: Tensor) -> Tensor:
        """A map (B, C, cells, cells) to (B, cells, cells, outputs)."""
        hidden = self.dropout(F.leaky_relu(self.hidden(seen.flatten(1)), SLOPE))
        said: Tensor = self.output(hidden)
        return said.view(seen.shape[0], self.cells, self.cells, -1)


class ConvolutionalEnd(nn.Module):
    """3x3 convolutions and a 1x1 convolution, for maps of any size."""

    def __init__(self, inputs: int, outputs: int, options: YOLOOptions) -> None:
        super().__init__()
        widths = [inputs] + options.depth * [options.channels]
        self.hidden = nn.Sequential(*(_layer(a, b, options.norm) for a, b in itertools.pairwise(widths)))
        self.output = nn.Conv2d(options.channels, outputs, 1)
        nn.init.normal_(self.output.weight, std=0.01)
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]

    def forward(self, seen: Tensor) -> Tensor:
        """A map (B, C, H, W) to (B, H, W, outputs)."""
        said: Tensor = self.output(self.hidden(seen))
        return said.permute(0, 2, 3, 1)


def _layer(inputs: int, outputs: int, norm: bool) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=not norm)
    nn.init.kaiming_normal_(conv.weight, a=SLOPE, nonlinearity="leaky_relu")
    return nn.Sequential(conv, nn.BatchNorm2d(outputs) if norm else nn.Identity(), nn.LeakyReLU(SLOPE))


class PassThrough(nn.Module):
    """A finer map for the cells of a coarser one: what was beside each other comes to lie in channels.

    A 1x1 convolution first, as in the authors' `yolov2-voc.cfg`. Then channel c of the cells that become one
    turns into channels c n^2 to c n^2 + n^2 - 1, row by row, where n is the ratio of the strides (PyTorch's
    pixel unshuffle; Darknet's own order is a permutation of it, which the next convolution learns).
    """

    def __init__(self, backbone: Backbone, options: YOLOOptions) -> None:
        """Raises UsageError unless the map exists and is finer by a whole number."""
        super().__init__()
        name, level = options.passthrough, options.level
        backbone.require(name)
        self.ratio, rest = divmod(backbone.strides[level], backbone.strides[name])
        if rest or self.ratio < 2:
            raise UsageError(f"passthrough={name} is not a finer map than {level}")
        width = options.passthrough_channels
        self.channels = width * self.ratio**2
        self.conv = nn.Conv2d(backbone.channels[name], width, 1, bias=not options.norm)
        self.norm = nn.BatchNorm2d(width) if options.norm else nn.Identity()

    def forward(self, fine: Tensor) -> Tensor:
        """A map (B, C, n H, n W) to (B, channels, H, W)."""
        return F.pixel_unshuffle(F.leaky_relu(self.norm(self.conv(fine)), SLOPE), self.ratio)
