"""Small models with the contract of classifiers, localizers and segmenters, for tests of explanations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from neocog.backbones.backbone import Backbone
from neocog.explain.subject import Subject
from neocog.types import Batch, Features, Frame, SampleKey, Task


@dataclass(frozen=True, slots=True)
class Output:
    features: Features
    logits: Tensor  # (B, K), or (B, K, H, W)


class SmallClassifier(nn.Module):
    """Backbone, and a 1x1 convolution of its last map: its mean, or for a segmenter the whole, enlarged."""

    search = None

    def __init__(self, backbone: Backbone, classes: int, task: Task = Task.CLASSIFY) -> None:
        super().__init__()
        self.backbone, self.classes, self.task = backbone, classes, task
        self.level = list(backbone.channels)[-1]
        self.scores = nn.Conv2d(backbone.channels[self.level], classes, 1)

    def forward(self, batch: Batch) -> Output:
        features = self.backbone(batch.images)
        cells = self.scores(features.maps[self.level])
        if self.task is Task.SEGMENT:
            return Output(features, nn.functional.interpolate(cells, size=batch.images.shape[-2:]))
        return Output(features, cells.mean(dim=(2, 3)))


class Plain(Backbone):
    """One map, `conv`, of a convolution and a ReLU: what can be reckoned by hand."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__({"conv": len(weight)}, {"conv": 1}, mean=(0, 0, 0), std=(1, 1, 1))
        self.conv = nn.Conv2d(3, len(weight), weight.shape[-1], padding=weight.shape[-1] // 2)
        self.conv.weight, self.conv.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, images: Tensor, until: str | None = None) -> Features:
        self.require(until)
        return Features({"conv": torch.relu(self.conv(self.normalise(images)))})


def subject_of(model: nn.Module, pixels: np.ndarray, classes: int = 3) -> Subject:
    """A picture (H, W, 3) uint8 that goes into the model as it is."""
    height, width = pixels.shape[:2]
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    frame = Frame((height, width), (height, width))
    batch = Batch(images, ((height, width),), None, (frame,), (SampleKey(0, 0, 0),))
    names = tuple(f"class {one}" for one in range(classes))
    return Subject(model.eval().requires_grad_(False), batch, pixels, names)
