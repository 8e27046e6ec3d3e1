"""A localizer: which class the one main object of a picture is, and where.

The recipe of the lectures on classification with localization, and of AlexNet's and VGG's entries to the
ImageNet localization task: two heads on the last map, one trained by cross-entropy and one by regression. The
class is read from the mean of the map; the box from a small grid of cells, which keeps the place.

A box is given as corners in units of the picture, so all targets lie in [0, 1]. Overlap does not measure the
same for small boxes and large ones; a smooth L1 loss that is linear from few hundredths on comes near it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone
from neocog.ops.boxes import area, clip
from neocog.ops.losses import smooth_l1
from neocog.ops.ranges import check_range
from neocog.parts.dense import DenseHead
from neocog.types import Batch, Features, Localization, Task

CENTRAL = (0.25, 0.25, 0.75, 0.75)
"""The box that an untrained network says: the middle of the picture."""


@dataclass(frozen=True)
class LocalizerOptions:
    """Defaults: on a ResNet's last map."""

    level: str = "layer4"  # the map that both heads read
    pool: int = 7  # cells a side that the map is averaged to for the box
    hidden: int = 256  # width of the box head's hidden layer
    dropout: float = 0.0  # after it
    per_class: bool = False  # a box for every class, of which the true one learns (VGG), or one (OverFeat)
    box_weight: float = 1.0  # of the box loss: ten made the classes wait for the boxes
    beta: float = 0.02  # where smooth L1 becomes linear, in shares of the picture's side
    stretch: bool = True  # pictures are resized to exactly the run's size, not fitted into it
    smoothing: float = 0.0  # share of a label that is spread over all classes

    def __post_init__(self) -> None:
        check_range(self, 1, 64, "pool")
        check_range(self, 1, 65_536, "hidden")
        check_range(self, 0, 0.99, "dropout")
        check_range(self, 0, 1, "smoothing")
        check_range(self, 0, 1e6, "box_weight")
        check_range(self, 1e-6, 1e6, "beta")


@dataclass(frozen=True, slots=True)
class LocalizerOutput:
    features: Features
    cells: Tensor  # (B, C, pool, pool): the map that the box head reads
    logits: Tensor  # (B, K) float32
    corners: Tensor  # (B, 1 or K, 4) float32, shares of the input's width and height, neither cut nor ordered


class Localizer(nn.Module):
    """Backbone -> `level` -> its mean -> logits (B, K); and its cells -> a hidden layer -> corners."""

    task = Task.LOCALIZE
    search = None  # it has no regions
    padding = 1  # pixels: pictures are padded to multiples of it

    def __init__(self, backbone: Backbone, classes: int, options: LocalizerOptions | None = None) -> None:
        """Raises UsageError for a map that there is not."""
        super().__init__()
        self.options = options = options or LocalizerOptions()
        backbone.require(options.level)
        self.classes, self.backbone = classes, backbone
        channels = backbone.channels[options.level]
        self.scores = DenseHead(channels, (), classes)
        boxes = classes if options.per_class else 1
        inputs = channels * options.pool**2
        self.box = DenseHead(inputs, (options.hidden,), 4 * boxes, dropout=options.dropout)
        with torch.no_grad():
            self.box.linear[-1].bias.copy_(torch.tensor(CENTRAL).repeat(boxes))

    def forward(self, batch: Batch) -> LocalizerOutput:
        features = self.backbone(batch.images, until=self.options.level)
        seen = features.maps[self.options.level]
        cells = F.adaptive_avg_pool2d(seen, self.options.pool)
        corners = self.box(cells.flatten(1)).float().unflatten(1, (-1, 4))
        return LocalizerOutput(features, cells, self.scores(seen.mean(dim=(2, 3))).float(), corners)

    def loss(self, output: LocalizerOutput, batch: Batch) -> dict[str, Tensor]:
        """`classes`: cross-entropy; `boxes`: smooth L1 of the four corners, over pictures with an object.

        Pictures without one that counts teach nothing. Raises ValueError for a batch without targets.
        """
        options = self.options
        has, labels, boxes = main_objects(batch)
        logits, corners = output.logits[has], output.corners[has]
        if options.per_class:
            corners = corners[torch.arange(len(labels), device=labels.device), labels]
        wanted = boxes / _sides(batch)
        classes = F.cross_entropy(logits, labels, reduction="sum", label_smoothing=options.smoothing)
        places = smooth_l1(corners.reshape(-1, 4) - wanted, options.beta).sum()
        count = max(batch.total(len(labels)), 1)
        return {"classes": classes / count, "boxes": options.box_weight * places / count}

    def decode(self, output: LocalizerOutput, batch: Batch) -> list[Localization]:
        """The classes' probabilities and the box, in pixels of the network's input, cut to the picture."""
        scores, boxes = self.answers(output, batch)
        return [Localization(*pair) for pair in zip(scores.unbind(), boxes.unbind(), strict=True)]

    def answers(self, output: LocalizerOutput, batch: Batch) -> tuple[Tensor, Tensor]:
        """The same of all pictures: probabilities (B, K) and boxes (B, 4)."""
        corners = output.corners[:, 0]
        if self.options.per_class:
            best = output.logits.argmax(dim=1)
            corners = output.corners[torch.arange(best.shape[0], device=best.device), best]
        pairs = corners.view(-1, 2, 2) * _sides(batch)[:2]
        ordered = torch.cat([pairs.amin(dim=1), pairs.amax(dim=1)], dim=1)
        return output.logits.softmax(dim=1), clip(ordered, batch.limits)


def main_objects(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Which pictures have an object that counts (B,) bool, and of these labels (N,) and boxes (N, 4), pixels.

    Of several objects the largest is the main one. Raises ValueError for a batch without targets.
    """
    if batch.targets is None:
        raise ValueError("a localizer learns from pictures with objects")
    device = batch.images.device
    own = [target[~target.ignore] for target in batch.targets]
    has = torch.tensor([len(target) > 0 for target in own], dtype=torch.bool, device=device)
    chosen = [target[area(target.boxes).argmax()[None]] for target in own if len(target)]
    if not chosen:
        empty = torch.zeros(0, 4, device=device)
        return has, torch.zeros(0, dtype=torch.int64, device=device), empty
    return has, torch.cat([one.labels for one in chosen]), torch.cat([one.boxes for one in chosen])


def _sides(batch: Batch) -> Tensor:
    """Width, height, width, height (4,) of what the network sees, padding included."""
    height, width = batch.images.shape[-2:]
    sides = (width, height, width, height)
    # One by one: a list of them would be constant in an export.
    return torch.stack([batch.images.new_full((), side, dtype=torch.float32) for side in sides])
