"""YOLO: one network looks once, and each cell of its last map answers for the objects centred in it.

Redmon, Divvala, Girshick, Farhadi 2016, arXiv:1506.02640. Of version 2 (Redmon and Farhadi 2017,
arXiv:1612.08242) there are the anchors, the pass-through and the changing sizes, as options.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone
from neocog.models.yolo_losses import giou_loss, squared_loss
from neocog.ops.boxes import clip, shorter_side
from neocog.ops.coder import CellCoder, PriorCoder
from neocog.ops.nms import batched_nms
from neocog.ops.ranges import check_range
from neocog.parts.cells import Cells, inside_pictures, places_of
from neocog.types import Batch, Detections, Features, Task


@dataclass(frozen=True)
class YOLOOptions:
    """Defaults: version 1 as published."""

    level: str = "conv24"  # the map whose cells answer for objects
    boxes: int = 2  # that a cell predicts, with the loss of version 1
    side: int = 448  # pixels that widths and heights are shares of
    hidden: int = 4096  # width of the fully connected layer; 0: a convolutional end
    channels: int = 1024  # of the 3x3 convolution of a convolutional end
    dropout: float = 0.5  # after the fully connected layer
    norm: bool = False  # BatchNorm in the convolutional end, for training from scratch
    loss: Literal["squared", "giou"] = "squared"
    score: float = 0.001
    nms: float = 0.5  # per class
    most: int = 100  # detections an image, over all classes

    def __post_init__(self) -> None:
        check_range(self, 0, 1, "score", "nms")
        check_range(self, 0, 0.99, "dropout")
        check_range(self, 1, 65_536, "channels", "most")
        check_range(self, 0, 65_536, "hidden")
        check_range(self, 1, 64, "boxes")


@dataclass(frozen=True, slots=True)
class YOLOOutput:
    features: Features
    cells: Cells


class YOLO(nn.Module):
    task = Task.DETECT
    search = None

    def __init__(self, backbone: Backbone, classes: int, options: YOLOOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or YOLOOptions()
        self.classes, self.backbone = classes, backbone
        backbone.require(options.level)
        self.stride = backbone.strides[options.level]
        self.coder = CellCoder(self.stride, options.side)
        self.prior_coder = PriorCoder(self.stride, 3.0)
        self.boxes = 1 if options.loss == "giou" else options.boxes
        self.register_buffer("priors", torch.full((1, 2), 4.0 * self.stride), persistent=False)
        inputs = backbone.channels[options.level]
        out = self.boxes * 5 + classes
        self.head = nn.Sequential(
            nn.Conv2d(inputs, options.channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(options.channels),
            nn.LeakyReLU(0.1),
            nn.Conv2d(options.channels, out, 1),
        )
        nn.init.normal_(self.head[3].weight, std=0.01)
        nn.init.zeros_(self.head[3].bias)
        with torch.no_grad():
            if options.loss == "giou":
                self.head[3].bias[4] = -4.6

    priors: Tensor

    def forward(self, batch: Batch) -> YOLOOutput:
        height, width = batch.images.shape[-2:]
        images = F.pad(batch.images, (0, -width % self.stride, 0, -height % self.stride))
        features = self.backbone(images, until=self.options.level)
        said = self.head(features.maps[self.options.level]).float()
        count, (rows, columns) = len(said), said.shape[-2:]
        said = said.permute(0, 2, 3, 1).reshape(count, rows * columns, -1)
        per, logits = said.split([5 * self.boxes, self.classes], dim=-1)
        per = per.reshape(count, -1, self.boxes, 5)
        offsets, confidences = per[..., :4], per[..., 4]
        places = places_of((rows, columns), said.device)
        inside = inside_pictures(places, self.stride, batch)
        if self.options.loss == "giou":
            boxes = self.prior_coder.decode(offsets, places[:, None], self.priors)
        else:
            boxes = self.coder.decode(offsets, places[:, None])
        cells = Cells(
            (rows, columns), self.stride, places, inside, offsets, boxes, confidences, logits[:, :, None]
        )
        return YOLOOutput(features, cells)

    def loss(self, output: YOLOOutput, batch: Batch) -> dict[str, Tensor]:
        if self.options.loss == "giou":
            return giou_loss(output.cells, batch, self.priors)
        return squared_loss(output.cells, batch, self.coder)

    def decode(self, output: YOLOOutput, batch: Batch) -> list[Detections]:
        """Detections of each image, in pixels of the network's input, best first."""
        options, cells = self.options, output.cells
        if options.loss == "giou":
            scores = cells.confidences.sigmoid()[..., None] * cells.logits.softmax(dim=-1)
        else:
            scores = cells.confidences[..., None] * cells.logits
        scores = scores * cells.inside[..., None, None]
        image, cell, who, label = torch.nonzero(scores > options.score, as_tuple=True)
        score = scores[image, cell, who, label]
        boxes = clip(cells.boxes[image, cell, who], batch.limits[image])
        real = shorter_side(boxes) > 0
        boxes, score, label, image = boxes[real], score[real].clamp(max=1), label[real], image[real]
        keep = batched_nms(boxes, score, image * self.classes + label, options.nms)
        boxes, score, label, image = boxes[keep], score[keep], label[keep], image[keep]
        return [
            Detections(boxes[own][: options.most], score[own][: options.most], label[own][: options.most])
            for own in (image == index for index in range(len(batch)))
        ]
