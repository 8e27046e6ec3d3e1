"""Every model and backbone by name, with the defaults that suit it: one visible dict each."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from torch import Tensor, nn

from neocog.backbones.backbone import Backbone
from neocog.backbones.compact import compact
from neocog.backbones.resnet import resnet18, resnet34, resnet50, resnet101
from neocog.backbones.vgg import vgg16
from neocog.errors import UsageError
from neocog.models.faster_rcnn import FasterRCNN, FasterRCNNOptions
from neocog.parts.regions import RegionOptions
from neocog.parts.rpn import RPNOptions
from neocog.types import Batch, Detections, Task


class Detector(Protocol):
    """The contract of every detector: three verbs, none of which returns a union."""

    task: Task
    classes: int

    def __call__(self, batch: Batch) -> Any:
        """Forward: a typed output with every intermediate; targets in the batch select the training path."""

    def loss(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        """Named scalars whose sum is to be made small."""

    def decode(self, output: Any, batch: Batch) -> list[Detections]:
        """A result for each image, in pixels of the network's input, best first."""


@dataclass(frozen=True)
class BackboneEntry:
    """A backbone, and what detectors and trainers need to know of it."""

    build: Callable[[], Backbone]
    level: str  # the map that detectors propose on
    region_level: str  # the map that region heads read
    hidden: int  # width of a region head's two layers
    dropout: float
    size: int  # default longer side of the network's input, pixels
    training: Mapping[str, Any]  # defaults of TrainOptions


_SGD = {"optimizer": "sgd", "lr": 1e-3, "weight_decay": 5e-4, "batch": 2, "ema": 0.0}

BACKBONES: dict[str, BackboneEntry] = {
    "compact": BackboneEntry(compact, "p3", "p2", 256, 0.0, 320, {}),
    "vgg16": BackboneEntry(lambda: vgg16(classes=None), "conv5_3", "conv5_3", 4096, 0.5, 1000, _SGD),
    "resnet18": BackboneEntry(lambda: resnet18(classes=None), "layer3", "layer3", 1024, 0.0, 1000, _SGD),
    "resnet34": BackboneEntry(lambda: resnet34(classes=None), "layer3", "layer3", 1024, 0.0, 1000, _SGD),
    "resnet50": BackboneEntry(lambda: resnet50(classes=None), "layer3", "layer3", 1024, 0.0, 1000, _SGD),
    "resnet101": BackboneEntry(lambda: resnet101(classes=None), "layer3", "layer3", 1024, 0.0, 1000, _SGD),
}


SMALL = 192
"""Longest side in pixels of pictures that hold few objects: fewer anchors and regions serve them."""


def _faster_rcnn_options(backbone: str, side: int) -> FasterRCNNOptions:
    """The paper's numbers; on `compact`, the same detector scaled down to small pictures."""
    entry = BACKBONES[backbone]
    options = FasterRCNNOptions(
        level=entry.level, region_level=entry.region_level, hidden=entry.hidden, dropout=entry.dropout
    )
    if backbone != "compact":
        return options
    small = side <= SMALL
    return replace(
        options,
        pool=5,
        align=True,
        norm=True,
        rpn=RPNOptions(
            scales=(1, 2, 4, 8),
            channels=96,
            norm=True,
            positive=0.5,
            samples=64 if small else 128,
            inside_only=False,
            before_nms=(300, 300) if small else (2000, 2000),
            after_nms=(128, 64) if small else (256, 200),
            shortest=2.0,
        ),
        regions=RegionOptions(
            samples=32 if small else 48, positive_share=0.5 if small else 0.33, score=0.01, nms=0.5
        ),
    )


@dataclass(frozen=True)
class ModelEntry:
    """A model by name."""

    task: Task
    build: Callable[[Backbone, int, Any], nn.Module]
    options: Callable[[str, int], Any]  # backbone's name, longer side in pixels -> default options
    backbones: tuple[str, ...]
    paper: str
    summary: str


MODELS: dict[str, ModelEntry] = {
    "faster-rcnn": ModelEntry(
        Task.DETECT,
        FasterRCNN,
        _faster_rcnn_options,
        tuple(BACKBONES),
        "Ren et al. 2015, arXiv:1506.01497",
        "regions proposed by the features themselves",
    ),
}


def known(name: str, names: Iterable[str], kind: str) -> str:
    """`name`, if it is one of `names`; otherwise UsageError with the nearest valid one."""
    names = list(names)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(names)}"
    raise UsageError(f"unknown {kind} '{name}': {hint}")


def create(
    name: str, classes: int | Sequence[str], backbone: str = "compact", options: Any = None
) -> nn.Module:
    """Build a model with fresh weights.

    `classes` is their number, or their names. `options` is the model's own option dataclass; by default the
    one that suits the backbone at its usual size. Raises UsageError for a name that does not exist.
    """
    entry = MODELS[known(name, MODELS, "model")]
    known(backbone, entry.backbones, f"backbone of {name}")
    count = classes if isinstance(classes, int) else len(classes)
    chosen = BACKBONES[backbone]
    if options is None:
        options = entry.options(backbone, chosen.size)
    return entry.build(chosen.build(), count, options)
