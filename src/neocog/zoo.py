"""Every model by name: one visible dict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from torch import Tensor, nn

from neocog.backbones.backbone import Backbone
from neocog.defaults import (
    BACKBONES,
    classifier_options,
    deconvnet_options,
    dilated_fcn_options,
    fast_rcnn_options,
    faster_rcnn_options,
    fcn_options,
    fpn_options,
    inverse_graphics_options,
    localizer_options,
    rcnn_options,
    rfcn_options,
    ssd_options,
    yolo_options,
    zero_shot_options,
)
from neocog.errors import UsageError
from neocog.models.alternating import alternating_stages
from neocog.models.classifier import Classifier
from neocog.models.deconvnet import DeconvNet, deconvnet_stages
from neocog.models.dilated_fcn import DilatedFCN
from neocog.models.fast_rcnn import FastRCNN
from neocog.models.faster_rcnn import FasterRCNN
from neocog.models.fcn import FCN, fcn_stages
from neocog.models.fpn import FPN
from neocog.models.inverse_graphics import InverseGraphics
from neocog.models.localizer import Localizer
from neocog.models.rcnn import RCNN
from neocog.models.rfcn import RFCN
from neocog.models.ssd import SSD
from neocog.models.yolo import YOLO, training_sizes, with_anchors
from neocog.models.zero_shot import ZeroShot, with_vectors
from neocog.ops.names import unknown
from neocog.parts.candidates import Candidates
from neocog.parts.stages import Stage
from neocog.proposals.search import SearchOptions
from neocog.transforms.geometry import CentreCrop, Resize, ShorterSide
from neocog.transforms.warp import Size
from neocog.types import Batch, Detections, Task


class Detector(Protocol):
    """The contract of every detector: three verbs, none of which returns a union."""

    task: Task
    classes: int
    backbone: Backbone
    search: SearchOptions | None  # what finds the regions that it needs with each picture

    def __call__(self, batch: Batch) -> Any:
        """Forward: a typed output with every intermediate; targets in the batch select the training path."""

    def loss(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        """Named scalars whose sum is to be made small."""

    def candidates(self, output: Any, batch: Batch) -> Candidates:
        """Everything that the network might report, before suppression."""

    def decode(self, output: Any, batch: Batch) -> list[Detections]:
        """A result for each image, in pixels of the network's input, best first."""


Stages = tuple[tuple[Stage, ...], Mapping[str, nn.Module]]
"""The stages of a model's training, and the modules that only serve them, by name."""


def _one_stage(model: Any) -> Stages:
    return (Stage(str(model.task), 1.0, model.forward, model.loss, (model,)),), {}


def _faster_rcnn_stages(model: FasterRCNN) -> Stages:
    return alternating_stages(model) if model.options.training == "alternating" else _one_stage(model)


def _as_they_are(options: Any, classes: Sequence[str], data: Any, size: tuple[int, int]) -> Any:
    return options


def _one_size(options: Any, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return (size,)


@dataclass(frozen=True)
class ModelEntry:
    """A model by name."""

    task: Task
    build: Callable[[Any, int, Any], nn.Module]  # backbone, classes, options -> model
    options: Callable[[str, int], Any]  # backbone's name, longer side in pixels -> default options
    backbones: tuple[str, ...]
    paper: str
    summary: str
    pretrain: bool = False  # whether it learns better from a backbone that was trained on crops first
    side: int = 1000  # longest pictures that it is made for, pixels
    lr: float = 5e-4  # learning rate for each picture of a step, on `compact` from scratch
    augment: str = "usual"  # how its training pictures are varied: a name in `plan.AUGMENTATIONS`
    alone: bool = False  # whether its backbone follows from its options; it is given none
    compared: bool = True  # whether `compare` trains it unasked
    stages: Callable[[Any], Stages] = _one_stage
    variant: str = ""  # of a backbone that has one of that name: a key of `BackboneEntry.variants`
    suit: Callable[[Any, Sequence[str], Any, tuple[int, int]], Any] = _as_they_are
    """Options, names of the classes, data (or None), (height, width) of the input -> options with what they
    leave to the data filled in. They are part of a run, so its model needs no data from then on."""
    sizes: Callable[[Any, tuple[int, int]], tuple[tuple[int, int], ...]] = _one_size
    """Options, (height, width) of the input -> those that it trains at; one is drawn every few steps."""


DETECTING = tuple(name for name, entry in BACKBONES.items() if entry.level)
"""The backbones that detectors run on."""


def _classifier(backbone: str, paper: str, summary: str, *, compared: bool = True) -> ModelEntry:
    """A backbone with its own dense layers, for pictures of up to its usual size or 224 pixels."""
    return ModelEntry(
        Task.CLASSIFY,
        Classifier,
        classifier_options,
        (backbone,),
        paper,
        summary,
        side=224,
        compared=compared,
        variant="trunk",
    )


_RESNET = "He et al. 2016, arXiv:1512.03385"

SEGMENTING = ("compact", "thin", "vgg16", "resnet18", "resnet34", "resnet50", "resnet101")
"""Those that FCN runs on: they have maps of stride 8, 16 and 32."""


def _fcn(finest: int, summary: str) -> ModelEntry:
    return ModelEntry(
        Task.SEGMENT,
        FCN,
        partial(fcn_options, finest=finest),
        SEGMENTING,
        "Long et al. 2015, arXiv:1411.4038",
        summary,
        variant="trunk",
        stages=fcn_stages,
    )


MODELS: dict[str, ModelEntry] = {
    "r-cnn": ModelEntry(
        Task.DETECT,
        RCNN,
        rcnn_options,
        DETECTING,
        "Girshick et al. 2014, arXiv:1311.2524",
        "the whole network for every region that selective search finds",
        pretrain=True,
    ),
    "fast-rcnn": ModelEntry(
        Task.DETECT,
        FastRCNN,
        fast_rcnn_options,
        DETECTING,
        "Girshick 2015, arXiv:1504.08083",
        "those regions, read from one map of features",
        pretrain=True,
    ),
    "faster-rcnn": ModelEntry(
        Task.DETECT,
        FasterRCNN,
        faster_rcnn_options,
        DETECTING,
        "Ren et al. 2015, arXiv:1506.01497",
        "regions proposed by the features themselves",
        stages=_faster_rcnn_stages,
    ),
    "faster-rcnn-fpn": ModelEntry(
        Task.DETECT,
        FPN,
        fpn_options,
        tuple(name for name, entry in BACKBONES.items() if entry.pyramid),
        "Lin et al. 2017, arXiv:1612.03144",
        "regions proposed and read on a pyramid of maps, each by its size",
        variant="trunk",
        compared=False,
    ),
    "r-fcn": ModelEntry(
        Task.DETECT,
        RFCN,
        rfcn_options,
        DETECTING,
        "Dai et al. 2016, arXiv:1605.06409",
        "regions whose bins read score maps of their own, and vote",
        variant="dilated",
    ),
    "ssd": ModelEntry(
        Task.DETECT,
        SSD,
        ssd_options,
        tuple(name for name, entry in BACKBONES.items() if entry.ssd_levels),
        "Liu et al. 2016, arXiv:1512.02325",
        "a table of boxes scored at once, on maps of several sizes",
        side=512,
        lr=1e-3,
        augment="patches",
    ),
    "yolo": ModelEntry(
        Task.DETECT,
        YOLO,
        yolo_options,
        DETECTING,
        "Redmon et al. 2016, arXiv:1506.02640",
        "each cell of one map answers for the objects centred in it",
        suit=lambda options, classes, data, size: with_anchors(options, data, size),
        sizes=training_sizes,
    ),
    "zero-shot": ModelEntry(
        Task.DETECT,
        ZeroShot,
        zero_shot_options,
        DETECTING,
        "Bansal et al. 2018, arXiv:1804.04340",
        "classes known by vectors, so that unseen ones are found too",
        compared=False,  # it needs label vectors
        suit=lambda options, classes, data, size: with_vectors(options, classes, data),
    ),
    "notes-digit": _classifier(
        "notes-digit", "the lecture notes", "two convolutions for digits of 28 pixels"
    ),
    "notes-pattern": _classifier(
        "notes-pattern", "the lecture notes", "three times 7x7 convolution, ReLU and pooling"
    ),
    "lenet5": _classifier("lenet5", "LeCun et al. 1998", "two convolutions and three dense layers"),
    "alexnet": _classifier(
        "alexnet", "Krizhevsky et al. 2012", "five convolutions, ReLU, dropout and overlapping pooling"
    ),
    "vgg16": _classifier(
        "vgg16",
        "Simonyan and Zisserman 2015, arXiv:1409.1556",
        "depth from nothing but 3x3 convolutions",
        compared=False,  # from nothing it hardly learns: its authors started from a shallower one
    ),
    "resnet18": _classifier("resnet18", _RESNET, "blocks of two convolutions beside a shortcut"),
    "resnet34": _classifier("resnet34", _RESNET, "the same, twice as deep", compared=False),
    "resnet50": _classifier("resnet50", _RESNET, "bottlenecks of three convolutions", compared=False),
    "resnet101": _classifier("resnet101", _RESNET, "the same, twice as deep", compared=False),
    "compact": _classifier("compact", "as `resnet18`", "a small ResNet that learns from scratch in minutes"),
    "darknet": _classifier(
        "darknet",
        "Redmon et al. 2016, arXiv:1506.02640",
        "the twenty convolutions that YOLO starts from",
        compared=False,
    ),
    "localizer": ModelEntry(
        Task.LOCALIZE,
        Localizer,
        localizer_options,
        tuple(name for name in BACKBONES if name != "dc-ign"),
        "Sermanet et al. 2014, arXiv:1312.6229",
        "the class of the one main object, and its box",
        side=224,
        variant="trunk",
    ),
    "fcn-32s": _fcn(32, "every cell of the last map scored, and the scores enlarged"),
    "fcn-16s": _fcn(16, "the same, with the scores of a map of stride 16 added"),
    "fcn-8s": _fcn(8, "the same, with those of a map of stride 8 added too"),
    "fcn-dilated": ModelEntry(
        Task.SEGMENT,
        DilatedFCN,
        dilated_fcn_options,
        ("resnet50", "resnet18", "resnet34", "resnet101"),
        "Chen et al. 2015, arXiv:1412.7062",
        "a backbone whose last maps stay at stride 8, scored and enlarged",
        compared=False,  # it has no backbone that learns from nothing in minutes
        variant="stride8",
    ),
    "deconvnet": ModelEntry(
        Task.SEGMENT,
        DeconvNet,
        deconvnet_options,
        ("thin", "vgg16"),
        "Noh et al. 2015, arXiv:1505.04366",
        "a network and its mirror image, which puts every value back where it was pooled from",
        side=224,
        variant="switches",
        stages=deconvnet_stages,
        lr=1e-3,  # on small data its plateau is long, and half of this does not end it
    ),
    "dc-ign": ModelEntry(
        Task.RECONSTRUCT,
        lambda backbone, classes, options: InverseGraphics(classes, options),
        inverse_graphics_options,
        ("dc-ign",),
        "Kulkarni et al. 2015, arXiv:1503.03167",
        "a picture as a code of pose, light and shape, and back",
        side=150,
        alone=True,
    ),
}


def known(name: str, names: Iterable[str], kind: str) -> str:
    """`name`, if it is one of `names`; otherwise UsageError with the nearest valid one."""
    names = list(names)
    if name in names:
        return name
    raise UsageError(unknown(name, names, kind))


def usual_side(name: str, backbone: str) -> int:
    """Longer side in pixels of the pictures that a model on this backbone is made for."""
    return min(BACKBONES[backbone].size, MODELS[name].side)


def create(
    name: str,
    classes: int | Sequence[str],
    backbone: str | None = None,
    options: Any = None,
    side: int | None = None,
) -> nn.Module:
    """Build a model with fresh weights.

    `classes` is their number, or their names. `backbone`: by default `compact`, or the model's only one.
    `options` is the model's own option dataclass; by default the one that suits the backbone and pictures of
    `side` pixels, or of their usual size. Raises UsageError for a name that does not exist.
    """
    entry = MODELS[known(name, MODELS, "model")]
    backbone = known(backbone or entry.backbones[0], entry.backbones, f"backbone of {name}")
    count = classes if isinstance(classes, int) else len(classes)
    if options is None:
        options = entry.options(backbone, side or usual_side(name, backbone))
    chosen = BACKBONES[backbone]
    build = chosen.variants.get(entry.variant, chosen.build)
    return entry.build(None if entry.alone else build(), count, options)


def resized(options: Any, size: Size) -> Size | Resize | ShorterSide | CentreCrop:
    """How a model with these options wants pictures: fitted into `size`, or otherwise where they say so.

    `stretch`: to exactly that size, as SSD does. `shorter`: the size is as well turned by a quarter.
    `centre`: such a share of each, from its middle.
    """
    if getattr(options, "centre", 0.0):
        return CentreCrop(size, options.centre)
    if getattr(options, "stretch", False):
        return Resize(size)
    return ShorterSide(min(size), max(size)) if getattr(options, "shorter", False) else size
