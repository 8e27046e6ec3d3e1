"""Trained models that others published, as models of ours: fetched when they are named, or from a file.

`coco:NAME` stands for a run wherever a model is loaded. One entry of TRAINED adds one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neocog.backbones.backbone import freeze_batchnorm
from neocog.backbones.weights import (
    OPTIONAL,
    PUBLISHED,
    WORDS,
    Progress,
    PublishedWeights,
    fetch,
    read_weights,
)
from neocog.cards import published_card
from neocog.convert import WEIGHTS as CONVERTED
from neocog.defaults import classifier_options
from neocog.errors import CheckpointError, UsageError
from neocog.files import require_empty
from neocog.models import torchvision_faster_rcnn, torchvision_fcn, torchvision_ssd
from neocog.models.classifier import classifier_from_torchvision
from neocog.ops.names import unknown
from neocog.version import __version__
from neocog.weights import check_weights, first_not_finite, open_file, save_model
from neocog.zoo import MODELS, create

_NAMES = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,,stop sign,"
    "parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,,backpack,umbrella,,,"
    "handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,"
    "surfboard,tennis racket,bottle,,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,"
    "broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed,,dining table,,,toilet,,tv,"
    "laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,,book,clock,vase,"
    "scissors,teddy bear,hair drier,toothbrush"
)

COCO_CLASSES = tuple(name or f"unused {number}" for number, name in enumerate(_NAMES.split(","), 1))
"""A name for each category id from 1 to 90, so that label + 1 is the id; ten of them COCO never used."""

VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train"),
    "tvmonitor",
)

IMAGENET_CLASSES = tuple(
    Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8").splitlines()
)
"""The thousand classes of ILSVRC 2012 in the order of their WordNet ids, a short and single name for each."""


@dataclass(frozen=True)
class PublishedModel:
    """A file that holds a trained model, and what it is in this library."""

    file: PublishedWeights
    data: str  # what it learnt from: one of WORDS
    model: str
    backbone: str
    size: tuple[int, int]  # (height, width) that pictures are fitted into, as the options say
    options: Any  # of the model
    convert: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    """The file's tensors to the model's; ValueError where they are of another network."""
    origin: str
    classes: tuple[str, ...] = COCO_CLASSES


def _classifier(name: str) -> PublishedModel:
    """Torchvision's classifier of that name, which sees the middle of a picture as in its own test."""
    options = replace(classifier_options(name, 224), centre=224 / 256)
    origin = f"torchvision's {name}, IMAGENET1K_V1, trained on ImageNet-1K"
    return PublishedModel(
        PUBLISHED[name],
        "imagenet",
        name,
        name,
        (224, 224),
        options,
        classifier_from_torchvision,
        origin,
        IMAGENET_CLASSES,
    )


_TORCHVISION = "https://download.pytorch.org/models/"

TRAINED: dict[str, PublishedModel] = {
    "fasterrcnn_resnet50_fpn": PublishedModel(
        PublishedWeights(_TORCHVISION + "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth", "258fb6c6", 159.743),
        "coco",
        "faster-rcnn-fpn",
        "resnet50",
        (800, 1333),
        torchvision_faster_rcnn.OPTIONS,
        lambda state: torchvision_faster_rcnn.fasterrcnn_from_torchvision(state)[1],
        "torchvision's fasterrcnn_resnet50_fpn, COCO_V1, trained on COCO train2017",
    ),
    "ssd300_vgg16": PublishedModel(
        PublishedWeights(_TORCHVISION + "ssd300_vgg16_coco-b556d3b4.pth", "b556d3b4", 135.988),
        "coco",
        "ssd",
        "vgg16",
        (300, 300),
        torchvision_ssd.OPTIONS,
        lambda state: torchvision_ssd.ssd300_from_torchvision(state)[1],
        "torchvision's ssd300_vgg16, COCO_V1, trained on COCO train2017",
    ),
    "fcn_resnet50": PublishedModel(
        PublishedWeights(_TORCHVISION + "fcn_resnet50_coco-1167a1af.pth", "1167a1af", 135.009),
        "coco",
        "fcn-dilated",
        "resnet50",
        (520, 2080),
        torchvision_fcn.OPTIONS,
        lambda state: torchvision_fcn.fcn_from_torchvision(state)[1],
        "torchvision's fcn_resnet50, COCO_WITH_VOC_LABELS_V1, trained on COCO train2017 with VOC's classes",
        VOC_CLASSES,
    ),
    **{name: _classifier(name) for name in PUBLISHED},
}
"""By the names that their authors gave them."""


def split_reference(reference: str) -> tuple[str, str] | None:
    """("ssd300_vgg16", "coco") of `coco:ssd300_vgg16`; None for what names no published model."""
    data, colon, name = reference.partition(":")
    return (name, data) if colon and data in WORDS else None


def published_name(name: str, data: str | None = None) -> str:
    """The key in TRAINED of the model `name`, which may be this library's: "ssd" is "ssd300_vgg16".

    Only of what learnt from `data`, if that is given. Raises UsageError that says what there is.
    """
    entries = {key: entry for key, entry in TRAINED.items() if data in (None, entry.data)}
    for key, entry in entries.items():
        if name in (key, entry.model):
            return key
    models = list(dict.fromkeys(entry.model for entry in entries.values()))
    if name in MODELS:
        trained = f"{data} weights" if data else "weights"
        raise UsageError(f"no {trained} are published for '{name}': there are for {', '.join(models)}")
    raise UsageError(unknown(name, [*models, *entries], "published model"))


def published_model(
    name: str, weights: str | Path, progress: Progress | None = None
) -> tuple[dict[str, Any], dict[str, Tensor], Path]:
    """Config and weights of a published model, and the file they are from.

    `weights` is what it learnt from, one of WORDS (the file is then downloaded, once), or its file. Raises
    UsageError for an unknown name, CheckpointError if it cannot be fetched or read, DiskError.
    """
    data = str(weights) if weights in WORDS else None
    key = published_name(name, data)
    path = Path(weights) if data is None else fetch(TRAINED[key].file, progress)
    return *read_model(key, path), path


def read_model(name: str, path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What `config.json` and `model.safetensors` of a model folder would hold, from a published file.

    `name` is as for `published_name`. Raises UsageError for an unknown one, CheckpointError for a file that
    is missing, damaged, not finite or of another network.
    """
    key = published_name(name)
    entry = TRAINED[key]
    try:
        weights = entry.convert(read_weights(path))
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    _add_counters(weights)
    broken = first_not_finite(weights)
    if broken is not None:
        raise CheckpointError(f"{path}: tensor {broken!r} holds NaN or infinity; use another file")
    with torch.device("meta"):
        check_weights(create(entry.model, entry.classes, entry.backbone, entry.options), weights, path)
    config = {
        "task": MODELS[entry.model].task.value,
        "model": entry.model,
        "backbone": entry.backbone,
        "classes": list(entry.classes),
        "size": list(entry.size),
        "options": asdict(entry.options),
        "neocog": __version__,
        "source": {"as": key, "file": path.name, "sha256": _digest(path)},
    }
    return config, weights


def start_from_published(name: str, model: nn.Module) -> list[str]:
    """Give `model`, in place, what others published for its kind, trained on COCO, and freeze its BatchNorm.

    What depends on the number of classes stays as it is where that differs: the names of those layers are
    returned. Raises as `published_model`, and UsageError for a network of other options.
    """
    _, weights, path = published_model(name, "coco")
    own = model.state_dict()
    for key in sorted(own.keys() | weights.keys()):
        if key not in own or key not in weights or own[key].shape[1:] != weights[key].shape[1:]:
            raise UsageError(
                f"--weights coco: '{key}' does not fit {path}; give no --set that changes layers"
            )
    fitting = {key: value for key, value in weights.items() if own[key].shape == value.shape}
    model.load_state_dict(fitting, strict=False)
    freeze_batchnorm(model)
    return sorted({key.rpartition(".")[0] for key in own.keys() - fitting.keys()})


def _add_counters(weights: dict[str, Tensor]) -> None:
    """Give each BatchNorm, in place, the counter that files older than PyTorch 0.4.1 do not have."""
    for name in [name for name in weights if name.endswith(".running_var")]:
        weights.setdefault(name.removesuffix(".running_var") + OPTIONAL, torch.tensor(0))


def _digest(path: Path) -> str:
    with open_file(path / CONVERTED if path.is_dir() else path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def convert_model(name: str, source: Path, folder: Path) -> int:
    """Write the model folder of a published model from its file; the number of its tensors.

    Raises as `read_model`, UsageError for a folder in use, DiskError.
    """
    require_empty(folder)
    config, weights = read_model(name, source)
    save_model(folder, config, weights, _card(config))
    return len(weights)


def _card(config: Mapping[str, Any]) -> str:
    entry = TRAINED[config["source"]["as"]]
    used = [one for one in entry.classes if not one.startswith("unused ")]
    return published_card(config, entry.origin, entry.file.file, entry.file.sha256, used)
