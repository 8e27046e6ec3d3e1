"""Every model as a network of plain tensors, which can be exported: pictures in, decoded answers out."""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.errors import UsageError
from neocog.export.detections import best, report
from neocog.export.operators import ABSENT
from neocog.export.pictures import Pictures
from neocog.export.regions import GivenRegionDetector, RegionDetector
from neocog.models.classifier import Classifier
from neocog.models.deconvnet import DeconvNet
from neocog.models.fast_rcnn import FastRCNN
from neocog.models.inverse_graphics import InverseGraphics
from neocog.models.localizer import Localizer
from neocog.models.rcnn import RCNN
from neocog.models.ssd import SSD
from neocog.models.yolo import YOLO, ConnectedEnd
from neocog.ops.boxes import shorter_side
from neocog.predict import padding_of
from neocog.types import Task

DETECTIONS = ("boxes", "scores", "labels", "pictures")
OUTPUTS: dict[Task, tuple[str, ...]] = {
    Task.DETECT: DETECTIONS,
    Task.SEGMENT: ("scores", "masks"),
    Task.CLASSIFY: ("scores",),
    Task.LOCALIZE: ("scores", "boxes"),
    Task.RECONSTRUCT: ("drawn", "codes"),
}
"""The names of what an exported file gives, by task."""


@dataclass(frozen=True)
class Room:
    """The pictures that a network takes: sides are multiples of a number, or all are of one size."""

    multiple: int
    fixed: tuple[int, int] | None = None  # (height, width)
    least: int = 32  # pixels a side


class Whole(nn.Module):
    """A classifier, segmenter or decoder, for export: (B, 3, H, W) to its answers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        output = self.model(Pictures(images))
        if self.model.task is Task.RECONSTRUCT:
            return output.logits.sigmoid().expand(-1, 3, -1, -1), output.code
        scores = output.logits.softmax(dim=1)
        if self.model.task is Task.CLASSIFY:
            return (scores,)
        return scores, scores.argmax(dim=1).to(torch.uint8)


class OneObject(nn.Module):
    """A localizer, for export."""

    def __init__(self, model: Localizer) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        batch: Any = Pictures(images, sizes)
        return self.model.answers(self.model(batch), batch)


class OneStage(nn.Module):
    """SSD or YOLO, for export."""

    def __init__(self, model: SSD | YOLO) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        batch: Any = Pictures(images, sizes)
        listed = self.ssd if isinstance(self.model, SSD) else self.yolo
        options = self.model.options
        boxes, scores, labels, pictures = report(*listed(batch), options.nms, options.most)
        return boxes, scores.clamp(max=1), labels, pictures  # YOLO's squared errors teach scores above 1

    def ssd(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Boxes (B, N, K, 4) and scores (B, N, K) of the best default boxes of each class."""
        model: Any = self.model
        output = model(batch)
        scores = output.logits.softmax(dim=2)[..., :-1]
        reported = (scores > model.options.score) & model.usable(output.boxes, batch)[..., None]
        scores = torch.where(reported, scores, ABSENT)
        found, places = best(scores.transpose(1, 2), model.options.candidates)  # (B, K, N)
        decoded = model.coder.decode(output.deltas, output.boxes)
        boxes = torch.minimum(decoded.clamp(min=0), batch.limits[:, None])
        padded = F.pad(boxes, (0, 0, 0, model.options.candidates))
        every = places.flatten(1)[..., None].expand(-1, -1, 4)
        chosen = padded.gather(1, every).view(scores.shape[0], model.classes, -1, 4)
        return chosen.transpose(1, 2), found.transpose(1, 2)

    def yolo(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Boxes (B, N, 1, 4) and scores (B, N, K) of all boxes of all cells."""
        model: Any = self.model
        output = model(batch)
        scores = model.scores(output).flatten(1, 2)
        boxes = torch.minimum(output.cells.boxes.flatten(1, 2).clamp(min=0), batch.limits[:, None])
        reported = (scores > model.options.score) & (shorter_side(boxes) > 0)[..., None]
        return boxes[:, :, None], torch.where(reported, scores, ABSENT)


def exportable(model: Any) -> nn.Module:
    """A trained model, folded and in evaluation mode, as a network to export.

    Raises UsageError for one whose answer needs more than a network.
    """
    if isinstance(model, RCNN):
        raise UsageError(
            "r-cnn cannot be exported: it crops and warps every region of selective search from the picture "
            "itself; train fast-rcnn or faster-rcnn"
        )
    if isinstance(model, DeconvNet) and model.search is not None:
        raise UsageError(
            "deconvnet with proposals cannot be exported: selective search is no network; --set proposals=0"
        )
    if isinstance(model, Localizer):
        return OneObject(model)
    if isinstance(model, SSD | YOLO):
        return OneStage(model)
    if isinstance(model, FastRCNN):
        return GivenRegionDetector(model)
    return RegionDetector(model) if model.task is Task.DETECT else Whole(model)


def room_of(model: Any, size: tuple[int, int]) -> Room:
    """The pictures that a model takes which was trained at `size`, (height, width)."""
    if isinstance(model, Classifier):
        free = model.options.pool > 0 and model.options.first == "convolution"
        return Room(1, None if free else size)
    if isinstance(model, InverseGraphics):
        return Room(1, (model.options.side, model.options.side))
    if isinstance(model, YOLO):
        if isinstance(model.head, ConnectedEnd):
            side = model.head.cells * model.stride
            return Room(side, (side, side))
        return Room(lcm(padding_of(model), model.stride))
    if isinstance(model, SSD) and model.options.stretch:
        return Room(1, least=model.options.side // 2)
    if isinstance(model, DeconvNet):
        return Room(padding_of(model), least=model.options.side)
    return Room(padding_of(model))
