"""The backbones by name, and the options of each model that suit one: the paper's, or `compact`'s.

On `compact`, which learns from scratch in minutes on small pictures, a detector has BatchNorm in its head,
RoIAlign, small anchors and few samples; on any other backbone it is its paper's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from neocog.backbones.backbone import Backbone
from neocog.backbones.compact import compact
from neocog.backbones.resnet import resnet18, resnet34, resnet50, resnet101
from neocog.backbones.vgg import vgg16
from neocog.models.fast_rcnn import FastRCNNOptions
from neocog.models.faster_rcnn import FasterRCNNOptions
from neocog.models.fpn import FPNOptions
from neocog.models.rcnn import RCNNOptions
from neocog.parts.regions import RegionOptions
from neocog.parts.rpn import RPNOptions


@dataclass(frozen=True)
class BackboneEntry:
    """A backbone, and what detectors and trainers need to know of it."""

    build: Callable[[], Backbone]
    level: str  # the map that detectors propose on
    region_level: str  # the map that region heads read
    crop_level: str  # the map that a crop of one object ends in
    pool: int = 7  # cells a side of a region
    crop: int = 224  # pixels a side of a crop
    context: int = 16  # of these, on each side, from around the object
    hidden: int = 0  # width of a region head's two layers; 0: the last stage, and its mean
    dropout: float = 0.0
    size: int = 1000  # default longer side of the network's input, pixels
    pretrain: bool = False  # whether it stalls without pre-training
    training: Mapping[str, Any] = field(default_factory=lambda: _SGD)  # defaults of TrainOptions
    pyramid: tuple[str, ...] = ()  # the maps that a feature pyramid is built on, fine to coarse
    trunk: Callable[[], Backbone] | None = None  # it without a pyramid of its own, if it has one


_SGD: dict[str, Any] = {"optimizer": "sgd", "lr": 1e-3, "weight_decay": 5e-4, "batch": 2, "ema": 0.0}


def _resnet(build: Callable[[], Backbone]) -> BackboneEntry:
    """Regions of 14 x 14 cells go through `layer4`, which halves them (He et al. 2016, appendix A)."""
    stages = ("layer1", "layer2", "layer3", "layer4")
    return BackboneEntry(build, "layer3", "layer3", "layer4", pool=14, pyramid=stages)


BACKBONES: dict[str, BackboneEntry] = {
    "compact": BackboneEntry(
        compact,
        "p3",
        "p2",
        "c4",
        pool=5,
        crop=64,
        context=8,
        hidden=256,
        size=320,
        training={},
        pyramid=("c2", "c3", "c4"),
        trunk=lambda: compact(pyramid=False),
    ),
    "vgg16": BackboneEntry(
        lambda: vgg16(classes=None),
        "conv5_3",
        "conv5_3",
        "pool5",
        hidden=4096,
        dropout=0.5,
        pretrain=True,
        pyramid=("conv3_3", "conv4_3", "conv5_3", "pool5"),
    ),
    "resnet18": _resnet(lambda: resnet18(classes=None)),
    "resnet34": _resnet(lambda: resnet34(classes=None)),
    "resnet50": _resnet(lambda: resnet50(classes=None)),
    "resnet101": _resnet(lambda: resnet101(classes=None)),
}


SMALL = 192
"""Longest side in pixels of pictures that hold few objects: fewer anchors and regions serve them."""


def rcnn_options(backbone: str, side: int) -> RCNNOptions:
    entry = BACKBONES[backbone]
    options = RCNNOptions(
        level=entry.crop_level,
        crop=entry.crop,
        context=entry.context,
        hidden=entry.hidden,
        dropout=entry.dropout,
    )
    if backbone != "compact":
        return options
    regions = replace(_compact_regions(side), samples=8 if side <= SMALL else 16)  # 128 crops a step, too
    return replace(options, norm=True, regions=regions)


def fast_rcnn_options(backbone: str, side: int) -> FastRCNNOptions:
    entry = BACKBONES[backbone]
    options = FastRCNNOptions(
        level=entry.region_level, pool=entry.pool, hidden=entry.hidden, dropout=entry.dropout
    )
    if backbone != "compact":
        return options
    return replace(options, align=True, norm=True, regions=_compact_regions(side))


def faster_rcnn_options(backbone: str, side: int) -> FasterRCNNOptions:
    entry = BACKBONES[backbone]
    options = FasterRCNNOptions(
        level=entry.level,
        region_level=entry.region_level,
        pool=entry.pool,
        hidden=entry.hidden,
        dropout=entry.dropout,
    )
    if backbone != "compact":
        return options
    small = side <= SMALL
    return replace(
        options,
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
        regions=_compact_regions(side),
    )


def fpn_options(backbone: str, side: int) -> FPNOptions:
    entry = BACKBONES[backbone]
    if backbone != "compact":
        return FPNOptions(maps=entry.pyramid)
    small = side <= SMALL
    return FPNOptions(
        maps=entry.pyramid,
        channels=64,
        canonical=112.0,
        pool=entry.pool,
        hidden=entry.hidden,
        norm=True,
        rpn=RPNOptions(
            scales=(1, 2, 4, 8),
            channels=64,
            positive=0.5,
            samples=64 if small else 128,
            inside_only=False,
            before_nms=(150, 150) if small else (1000, 1000),
            after_nms=(128, 64) if small else (256, 200),
            shortest=2.0,
        ),
        regions=_compact_regions(side),
    )


def _compact_regions(side: int) -> RegionOptions:
    small = side <= SMALL
    return RegionOptions(
        samples=32 if small else 48, positive_share=0.5 if small else 0.33, score=0.01, nms=0.5
    )
