"""The backbones by name, and the options of each model that suit one: the paper's, or `compact`'s.

On `compact`, which learns from scratch in minutes on small pictures, a detector has BatchNorm in its head,
RoIAlign, small anchors and few samples; on any other backbone it is its paper's. A classifier's dense layers
are those of its backbone's paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from neocog.backbones.alexnet import alexnet
from neocog.backbones.backbone import Backbone
from neocog.backbones.compact import compact
from neocog.backbones.darknet import CLASSIFYING, Darknet, darknet
from neocog.backbones.lenet import lenet5
from neocog.backbones.notes import notes_digit, notes_pattern
from neocog.backbones.resnet import CONV5, STRIDE8, resnet18, resnet34, resnet50, resnet101
from neocog.backbones.vgg import thin, vgg16
from neocog.errors import UsageError
from neocog.models.classifier import ClassifierOptions
from neocog.models.deconvnet import DeconvNetOptions
from neocog.models.dilated_fcn import DilatedFCNOptions
from neocog.models.fast_rcnn import FastRCNNOptions
from neocog.models.faster_rcnn import FasterRCNNOptions
from neocog.models.fcn import FCNOptions
from neocog.models.fpn import FPNOptions
from neocog.models.inverse_graphics import SMALL as SMALL_GRAPHICS
from neocog.models.inverse_graphics import Encoder, InverseGraphicsOptions
from neocog.models.localizer import LocalizerOptions
from neocog.models.rcnn import RCNNOptions
from neocog.models.rfcn import RFCNOptions
from neocog.models.ssd import SSDOptions
from neocog.models.yolo import YOLOOptions
from neocog.models.zero_shot import ZeroShotOptions
from neocog.parts.extras import coarser
from neocog.parts.regions import RegionOptions
from neocog.parts.rpn import RPNOptions


@dataclass(frozen=True)
class BackboneEntry:
    """A backbone, and what detectors and trainers need to know of it.

    Those that no detector runs on name no maps for one.
    """

    build: Callable[[], Backbone]
    level: str = ""  # the map that detectors propose on
    region_level: str = ""  # the map that region heads read
    crop_level: str = ""  # the map that a crop of one object ends in
    cell_level: str = ""  # the map whose cells answer for objects, in YOLO
    ssd_levels: tuple[str, ...] = ()  # the maps that SSD begins with, the last of stride 16 or `layer4`
    pool: int = 7  # cells a side of a region
    crop: int = 224  # pixels a side of a crop
    context: int = 16  # of these, on each side, from around the object
    hidden: int = 0  # width of a region head's two layers; 0: the last stage, and its mean
    dropout: float = 0.0
    size: int = 1000  # default longer side of the network's input, pixels
    least: int = 32  # smaller pictures are enlarged to this side
    pretrain: bool = False  # whether it stalls without pre-training
    training: Mapping[str, Any] = field(default_factory=lambda: _SGD)  # defaults of TrainOptions
    whole: Mapping[str, Any] = field(default_factory=lambda: _WHOLE)
    """The same for whole pictures, to classify or to localize; not tuned where it is `_WHOLE`."""
    pyramid: tuple[str, ...] = ()  # the maps that a feature pyramid is built on, fine to coarse
    variants: Mapping[str, Callable[[], Backbone]] = field(default_factory=dict)
    """`dilated`: the last stage keeps the stride before it. `stride8`: so do the last two. `trunk`: without a
    pyramid of its own, or what only detection added. `original`: as first published. `switches`: with
    BatchNorm, and the switches of its poolings."""


_SGD: dict[str, Any] = {"optimizer": "sgd", "lr": 1e-3, "batch": 2, "ema": 0.0}
_WHOLE: dict[str, Any] = {"optimizer": "sgd", "lr": 1e-2, "batch": 32}
_SMALL: dict[str, Any] = {"optimizer": "adamw", "lr": 5e-3, "batch": 64}


def _resnet(build: Callable[..., Backbone]) -> BackboneEntry:
    """Regions of 14 x 14 cells go through `layer4`, which halves them (He et al. 2016, appendix A)."""
    levels = ("layer3", "layer3", "layer4", "layer4", ("layer2", "layer3", "layer4"))
    stages = ("layer1", "layer2", "layer3", "layer4")
    variants = {
        "dilated": partial(build, dilations=CONV5),
        "stride8": partial(build, dilations=STRIDE8),
    }
    # BatchNorm cannot learn from a single picture of 32 px, whose last map is one cell.
    return BackboneEntry(build, *levels, pool=14, least=64, pyramid=stages, variants=variants)


BACKBONES: dict[str, BackboneEntry] = {
    "compact": BackboneEntry(
        compact,
        *("p3", "p2", "c4", "p3", ("p3", "c4")),
        pool=5,
        crop=64,
        context=8,
        hidden=256,
        size=320,
        training={},
        whole={"optimizer": "muon", "lr": 5e-3, "batch": 32},
        pyramid=("c2", "c3", "c4"),
        variants={"trunk": lambda: compact(pyramid=False)},
    ),
    "vgg16": BackboneEntry(
        lambda: vgg16(classes=None),
        *("conv5_3", "conv5_3", "pool5", "pool5", ("conv4_3", "conv5_3")),
        hidden=4096,
        dropout=0.5,
        pretrain=True,
        pyramid=("conv3_3", "conv4_3", "conv5_3", "pool5"),
        variants={"switches": lambda: vgg16(norm=True, switches=True)},
    ),
    "thin": BackboneEntry(
        thin,
        crop_level="pool5",
        crop=64,
        context=8,
        size=320,
        training={},
        variants={"switches": lambda: thin(switches=True)},
    ),
    "resnet18": _resnet(resnet18),
    "resnet34": _resnet(resnet34),
    "resnet50": _resnet(resnet50),
    "resnet101": _resnet(resnet101),
    "darknet": BackboneEntry(
        darknet,
        *("conv16", "conv16", "conv20", "conv24", ()),
        hidden=4096,
        dropout=0.5,
        size=448,
        pretrain=True,
        training=_SGD | {"lr": 1e-2, "batch": 64},  # the paper's
        variants={"trunk": lambda: Darknet(CLASSIFYING)},
    ),
    "notes-digit": BackboneEntry(notes_digit, size=28, whole=_SMALL | {"lr": 1e-2}),
    "notes-pattern": BackboneEntry(notes_pattern, size=128, whole=_SMALL),
    "lenet5": BackboneEntry(
        lenet5, size=32, whole=_SMALL, variants={"original": lambda: lenet5(original=True)}
    ),
    "alexnet": BackboneEntry(alexnet, size=224, least=64),
    "dc-ign": BackboneEntry(
        lambda: Encoder(SMALL_GRAPHICS),
        size=SMALL_GRAPHICS.side,
        training={"optimizer": "adamw", "lr": 1.5e-3, "batch": 20, "weight_decay": 0.0, "clip": math.inf},
    ),
}


_FC = (4096, 4096)

_HEADS: dict[str, ClassifierOptions] = {
    "notes-digit": ClassifierOptions("conv2", pool=0),
    "notes-pattern": ClassifierOptions("pool3", pool=0),
    "lenet5": ClassifierOptions("pool2", pool=0, hidden=(120, 84)),
    "alexnet": ClassifierOptions("pool5", pool=6, hidden=_FC, dropout=0.5, dropout_first=True),
    "vgg16": ClassifierOptions("pool5", pool=7, hidden=_FC, dropout=0.5),
    "compact": ClassifierOptions("c4"),
    "thin": ClassifierOptions("pool5"),
    "darknet": ClassifierOptions("conv20"),
}
"""What follows the last map of each backbone; of the ResNets, the options' own defaults."""


def classifier_options(backbone: str, side: int) -> ClassifierOptions:
    return replace(_HEADS.get(backbone, ClassifierOptions()), side=side)


def localizer_options(backbone: str, side: int) -> LocalizerOptions:
    """On the map that the classifier of this backbone reads."""
    options = LocalizerOptions(level=_HEADS.get(backbone, ClassifierOptions()).level)
    small = side <= SMALL or backbone == "compact"
    return replace(options, pool=4 if small else 6 if backbone == "alexnet" else 7)


SMALL = 192
"""Longest side in pixels of pictures that hold few objects: fewer anchors and regions serve them."""


def inverse_graphics_options(backbone: str, side: int) -> InverseGraphicsOptions:
    """The paper's network for pictures of 150 px; for any other side the small one.

    Raises UsageError for a side that its kernels do not fit.
    """
    try:
        return InverseGraphicsOptions() if side == 150 else replace(SMALL_GRAPHICS, side=side)
    except ValueError as error:
        raise UsageError(f"--size {side}: dc-ign cannot draw such pictures ({error}); try 64") from error


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
    return replace(
        options,
        align=True,
        norm=True,
        rpn=_compact_rpn(side),
        regions=_compact_regions(side),
    )


def rfcn_options(backbone: str, side: int) -> RFCNOptions:
    """Scores come from the last map of all; on VGG-16, which the paper does not try, from conv5_3.

    On `compact` from p3, and a step learns from the hardest regions, as in the paper's best results: to read
    all of them costs little.
    """
    entry = BACKBONES[backbone]
    options = RFCNOptions(
        level=entry.level, score_level="layer4" if "dilated" in entry.variants else entry.level
    )
    if backbone != "compact":
        return options
    return replace(
        options,
        bins=3,
        align=True,
        channels=192,
        norm=True,
        rpn=_compact_rpn(side),
        regions=replace(_compact_regions(side), hard=True),
    )


def _compact_rpn(side: int) -> RPNOptions:
    small = side <= SMALL
    return RPNOptions(
        scales=(1, 2, 4, 8),
        channels=96,
        norm=True,
        positive=0.5,
        samples=64 if small else 128,
        inside_only=False,
        before_nms=(300, 300) if small else (2000, 2000),
        after_nms=(128, 64) if small else (256, 200),
        shortest=2.0,
    )


def zero_shot_options(backbone: str, side: int) -> ZeroShotOptions:
    """On `compact` with a margin that vectors can keep which share an attribute: their cosine is 0.5."""
    options = ZeroShotOptions(detector=faster_rcnn_options(backbone, side))
    return replace(options, margin=0.3) if backbone == "compact" else options


def yolo_options(backbone: str, side: int) -> YOLOOptions:
    entry = BACKBONES[backbone]
    if backbone == "darknet":
        return YOLOOptions(side=side)
    options = YOLOOptions(level=entry.cell_level, side=side, hidden=0)
    if backbone != "compact":
        return options
    return replace(options, depth=2, channels=96, norm=True, score=0.01)


def ssd_options(backbone: str, side: int) -> SSDOptions:
    """The paper's rules at any side: maps down to one cell, and scales in even steps.

    `vgg16` at 300 and 512 pixels is SSD300 and SSD512, except that the last layer of SSD512 is a 3x3
    convolution of stride 2 here and a 4x4 one there. On `compact`, scales follow the size of the cells.
    """
    entry = BACKBONES[backbone]
    vgg, small = backbone == "vgg16", backbone == "compact"
    stride = 32 if entry.ssd_levels[-1] == "layer4" else 16
    sides, cells = [], -(-side // stride)
    while cells > 1:
        cells = coarser(cells)
        sides.append(cells)
    maps = len(entry.ssd_levels) + len(sides)
    ratios: list[tuple[float, ...]] = [(2, 3)] * maps
    ratios[0] = ratios[-1] = ratios[max(maps - 2, 0)] = (2,)
    return SSDOptions(
        levels=entry.ssd_levels,
        normalise=vgg,
        dense=1024 if vgg else 0,
        extras=tuple(128 if small else 256 if number else 512 for number in range(len(sides))),
        hidden=128 if small else 0,
        side=side,
        scales=_cell_scales(side, [8, 16], sides) if small else _even_scales(maps),
        ratios=tuple(ratios),
        stretch=not small,
    )


def _even_scales(maps: int) -> tuple[float, ...]:
    """As `ssd_pascal.py`: from 0.2 to about 0.9 in even steps of whole per cent, and half as much before.

    For more than six maps from 0.15, as its twin for 512 pixels.
    """
    first, lowest = (10, 20) if maps <= 6 else (7, 15)
    step = (90 - lowest) // max(maps - 2, 1)
    return (first / 100, *((lowest + step * number) / 100 for number in range(maps)))


def _cell_scales(side: int, strides: Sequence[int], cells: Sequence[int]) -> tuple[float, ...]:
    """Boxes 3.2 cells wide, but at most 0.9 of the side: on maps of `strides`, then of so many `cells`."""
    widths = [*strides, *(side / number for number in cells)]
    return (*(min(3.2 * width / side, 0.9) for width in widths), 1.05)


def fpn_options(backbone: str, side: int) -> FPNOptions:
    entry = BACKBONES[backbone]
    if backbone != "compact":
        return FPNOptions(maps=entry.pyramid)
    return FPNOptions(
        maps=entry.pyramid,
        channels=64,
        canonical=112.0,
        pool=entry.pool,
        hidden=entry.hidden,
        norm=True,
        rpn=replace(
            _compact_rpn(side),
            channels=64,
            norm=False,  # the maps share it, and not their statistics
            before_nms=(150, 150) if side <= SMALL else (1000, 1000),  # of each map
        ),
        regions=_compact_regions(side),
    )


def _compact_regions(side: int) -> RegionOptions:
    small = side <= SMALL
    return RegionOptions(
        samples=32 if small else 48, positive_share=0.5 if small else 0.33, score=0.01, nms=0.5
    )


def fcn_options(backbone: str, side: int, *, finest: int) -> FCNOptions:
    """Scores down to stride `finest`: 32, 16 or 8 pixels."""
    levels = {
        "compact": ("c4", "c4", "c3"),
        "vgg16": ("pool5", "pool4", "pool3"),
        "thin": ("pool5", "pool4", "pool3"),
    }.get(backbone, ("layer4", "layer3", "layer2"))
    return FCNOptions(
        level=levels[0],
        skips=levels[1 : {32: 1, 16: 2, 8: 3}[finest]],
        dense=4096 if backbone == "vgg16" else 0,
        extra=192 if backbone == "compact" else 0,
        between=backbone in ("vgg16", "thin"),
    )


def dilated_fcn_options(backbone: str, side: int) -> DilatedFCNOptions:
    """A quarter of the last map's channels, as torchvision has them."""
    return DilatedFCNOptions(hidden=128 if backbone in ("resnet18", "resnet34") else 512)


def deconvnet_options(backbone: str, side: int) -> DeconvNetOptions:
    """On `thin` one cell of fc6 sees as much as a large object fills, and a picture gives several crops."""
    if backbone == "vgg16":
        return DeconvNetOptions()
    return DeconvNetOptions(side=64 if side <= SMALL else 128, dense=256, crops=3)
