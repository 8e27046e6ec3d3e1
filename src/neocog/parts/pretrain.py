"""The stand-in for ImageNet: the backbone learns to tell crops of the training pictures' own objects apart.

R-CNN and its followers start from a network trained on a million labelled pictures. Where there are no such
weights, a detector learns from little, and a deep one does not get going at all; a stage of classification
first is what the user's own data can give.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone
from neocog.ops.boxes import clip, from_centre, shorter_side, to_centre
from neocog.ops.rng import generator
from neocog.ops.warp_regions import warp_regions
from neocog.parts.regions import RegionOptions, Regions, choose_regions
from neocog.types import Batch, Proposals

AROUND, ANYWHERE = 6, 12
"""Boxes drawn near each object, and of any place and size in each picture."""


@dataclass(frozen=True, slots=True)
class CropOutput:
    regions: Regions
    logits: Tensor  # (R, K + 1), background last


@dataclass(frozen=True)
class CropClassifier:
    """Crops -> `level` of the backbone -> mean over its cells -> `scores` (K + 1)."""

    backbone: Backbone
    level: str
    scores: nn.Linear
    side: int  # pixels of a crop
    context: int  # of these, on each side, from around the box
    regions: RegionOptions = RegionOptions(samples=12, positive_share=0.75)

    def forward(self, batch: Batch) -> CropOutput:
        if batch.targets is None:
            raise ValueError("crops of objects need a batch with targets")
        classes = self.scores.out_features - 1
        regions = choose_regions(_jittered(batch), batch, classes, self.regions)
        crops = warp_regions(
            batch.images,
            regions.boxes,
            regions.images,
            side=self.side,
            context=self.context,
            fill=self.backbone.mean.flatten(),
        )
        cells = self.backbone(crops, until=self.level).maps[self.level]
        return CropOutput(regions, self.scores(cells.mean(dim=(2, 3))).float())

    def loss(self, output: CropOutput, batch: Batch) -> dict[str, Tensor]:
        """`crops`: cross-entropy over the step's crops."""
        assert output.regions.labels is not None
        count = max(batch.total(len(output.regions)), 1)
        return {"crops": F.cross_entropy(output.logits, output.regions.labels, reduction="sum") / count}


def _jittered(batch: Batch) -> list[Proposals]:
    """Boxes near the objects and anywhere else, the same for the same sample in the same epoch."""
    found = []
    assert batch.targets is not None
    for target, key, size in zip(batch.targets, batch.keys, batch.sizes, strict=True):
        rng = generator(key, "pretrain")
        real = to_centre(target.boxes[~target.ignore]).cpu().numpy().repeat(AROUND, axis=0)
        noise = rng.uniform(-0.25, 0.25, (len(real), 4))
        near = np.concatenate(
            [real[:, :2] + noise[:, :2] * real[:, 2:], real[:, 2:] * np.exp(noise[:, 2:])], 1
        )
        across = np.array([size[1], size[0]])
        sides = across * np.exp(rng.uniform(np.log(0.1), 0, (ANYWHERE, 2)))
        far = np.concatenate([sides / 2 + rng.random((ANYWHERE, 2)) * (across - sides), sides], axis=1)
        limit = torch.tensor([size[1], size[0]] * 2, dtype=torch.float32)
        boxes = clip(from_centre(torch.from_numpy(np.concatenate([near, far])).float()), limit)
        boxes = boxes[shorter_side(boxes) >= 1].to(target.boxes.device)
        found.append(Proposals(boxes, boxes.new_zeros(len(boxes))))
    return found
