"""A classifier: a backbone, and dense layers that say which class the whole picture shows.

What the papers of the backbones differ in after the last map are numbers here: cells that the map is averaged
to, hidden layers, dropout. `first` takes the shared weights of the first convolution away, to measure what
they are worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone
from neocog.errors import UsageError
from neocog.ops.ranges import check_range
from neocog.parts.dense import DenseHead, map_size
from neocog.parts.local import replace_first
from neocog.types import Batch, Classification, Features, Task


@dataclass(frozen=True)
class ClassifierOptions:
    """Defaults: the mean of a ResNet's last map, and one linear layer."""

    level: str = "layer4"  # the map that the dense layers read
    side: int = 224  # pixels: what is flattened, or has no shared weights, is made for pictures of this size
    pool: int = 1  # cells a side that the map is averaged to; 0: the map as it is
    hidden: tuple[int, ...] = ()  # widths of the hidden layers
    dropout: float = 0.0
    dropout_first: bool = False  # before each hidden layer, as in AlexNet, not after it
    activation: Literal["relu", "tanh"] = "relu"  # of the hidden layers; tanh: LeNet's scaled one
    first: Literal["convolution", "local", "dense"] = "convolution"
    """The first layer: a convolution; windows with weights of their own; or fully connected."""
    stretch: bool = True  # pictures are resized to exactly the run's size, not fitted into it
    centre: float = 0.0  # share of a picture that is seen instead, in its middle; 0: all of it
    smoothing: float = 0.0  # share of a label that is spread over all classes (Szegedy et al. 2016)

    def __post_init__(self) -> None:
        check_range(self, 1, 65_536, "side")
        check_range(self, 0, 64, "pool")
        check_range(self, 0, 0.99, "dropout")
        check_range(self, 0, 1, "centre", "smoothing")
        if self.hidden:
            check_range(self, 1, 65_536, "hidden")


@dataclass(frozen=True, slots=True)
class ClassifierOutput:
    features: Features
    seen: Tensor  # (B, C, h, w): the map that the dense layers read, averaged to their cells
    logits: Tensor  # (B, K) float32


class Classifier(nn.Module):
    """Backbone -> `level` -> averaged to `pool` x `pool` cells -> dense layers -> logits (B, K).

    What a batch pads counts as picture; with `stretch`, pictures of a batch have one size and nothing is
    padded.
    """

    task = Task.CLASSIFY
    search = None  # it has no regions
    padding = 1  # pixels: pictures are padded to multiples of it

    def __init__(self, backbone: Backbone, classes: int, options: ClassifierOptions | None = None) -> None:
        """Raises UsageError for a map that there is not, or a size that the layers do not fit."""
        super().__init__()
        self.options = options = options or ClassifierOptions()
        backbone.require(options.level)
        self.classes, self.backbone = classes, backbone
        channels, self.rows, self.columns = map_size(backbone, options.level, options.side)
        cells = options.pool**2 or self.rows * self.columns
        replace_first(backbone, options.first, options.side)
        self.head = DenseHead(
            channels * cells,
            options.hidden,
            classes,
            dropout=options.dropout,
            dropout_first=options.dropout_first,
            activation=options.activation,
        )

    def forward(self, batch: Batch) -> ClassifierOutput:
        """Raises UsageError for pictures of another size than a flattened map is of."""
        options = self.options
        features = self.backbone(batch.images, until=options.level)
        seen = features.maps[options.level]
        if options.pool:
            seen = F.adaptive_avg_pool2d(seen, options.pool)
        elif seen.shape[-2:] != (self.rows, self.columns):
            height, width = batch.images.shape[-2:]
            raise UsageError(
                f"this classifier sees {options.side} x {options.side} px, not {width} x {height}: its dense "
                "layers read a whole map"
            )
        return ClassifierOutput(features, seen, self.head(seen.flatten(1)).float())

    def loss(self, output: ClassifierOutput, batch: Batch) -> dict[str, Tensor]:
        """`classes`: cross-entropy over the step's pictures. Raises ValueError for a batch without labels."""
        if batch.labels is None:
            raise ValueError("a classifier learns from pictures with labels")
        smoothing = self.options.smoothing
        loss = F.cross_entropy(output.logits, batch.labels, reduction="sum", label_smoothing=smoothing)
        return {"classes": loss / max(batch.total(len(batch)), 1)}

    def decode(self, output: ClassifierOutput, batch: Batch) -> list[Classification]:
        """The probability of each class, for each picture."""
        return [Classification(scores) for scores in output.logits.softmax(dim=1).unbind()]


def classifier_from_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of a `Classifier` with its paper's head, from torchvision's AlexNet, VGG-16 or a ResNet.

    Names alone change: `features.0.weight` becomes `backbone.features.0.weight`, `classifier.0` `head.0`,
    and a ResNet's `fc` `head.1`, as its place 0 is for dropout. Raises ValueError where there are no dense
    layers.
    """
    heads = {"classifier.": "head.", "fc.": "head.1."}
    named: dict[str, Tensor] = {}
    for name, value in state.items():
        theirs = next((prefix for prefix in heads if name.startswith(prefix)), "")
        named[heads[theirs] + name.removeprefix(theirs) if theirs else f"backbone.{name}"] = value
    if not any(name.startswith("head.") for name in named):
        raise ValueError("there are no dense layers: not a classifier of torchvision's")
    return named
