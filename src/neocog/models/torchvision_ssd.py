"""Torchvision's published SSD300 (`ssd300_vgg16`, trained on COCO) as options and weights of `SSD`.

Its layers are the paper's; its table of default boxes is the authors' second one, for COCO, cut to the
picture's sides. Background, its first class, becomes the last column. The ninety columns that stay are COCO's
category ids 1 to 90, ten of which COCO never used, so that label + 1 is the id and scores are torchvision's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from neocog.backbones.vgg import VGG16
from neocog.backbones.weights import PublishedWeights, fetch, read_weights
from neocog.errors import CheckpointError
from neocog.models.ssd import SSD, SSDOptions
from neocog.weights import check_weights

PUBLISHED = PublishedWeights(
    "https://download.pytorch.org/models/ssd300_vgg16_coco-b556d3b4.pth", "b556d3b4", 135.988
)

OPTIONS = SSDOptions(
    scales=(0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05), limit=True, pixels="caffe", stretch=True
)

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
"""A name for each category id from 1 to 90; `unused 12` is an id that COCO never used."""


def ssd300_from_torchvision(state: Mapping[str, Tensor]) -> tuple[SSDOptions, dict[str, Tensor]]:
    """Options and state dict of an `SSD` on VGG-16, from the state dict of torchvision's `ssd300_vgg16`.

    Any number of classes will do. Raises ValueError, naming the key, where one is missing, is unknown, or has
    no columns for the background.
    """
    names = dict(_names())
    for name in names.keys() ^ state.keys():
        raise ValueError(f"{name!r} is {'missing' if name in names else 'unknown'}: not an ssd300_vgg16")
    converted = {names[name]: value for name, value in state.items()}
    for number, ratios in enumerate(OPTIONS.ratios):
        boxes = 2 + 2 * len(ratios)
        for part in ("weight", "bias"):
            name = f"logits.{number}.{part}"
            if len(converted[name]) % boxes or len(converted[name]) < 2 * boxes:
                raise ValueError(f"{name}: {len(converted[name])} channels are no classes of {boxes} boxes")
            of_each = converted[name].reshape(boxes, -1, *converted[name].shape[1:])
            converted[name] = of_each.roll(-1, dims=1).flatten(0, 1)  # background: first to last
    return OPTIONS, converted


def load_ssd300(source: str | Path = "coco") -> SSD:
    """Torchvision's SSD300 with its 90 classes, COCO_CLASSES, from `coco` (fetched once) or a local file.

    Raises CheckpointError for a file that is missing, damaged, or holds another network, or where the
    published one cannot be fetched.
    """
    path = fetch(PUBLISHED) if source == "coco" else Path(source)
    given = read_weights(path)
    try:
        options, state = ssd300_from_torchvision(given)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    with torch.device("meta"):
        wanted = SSD(VGG16(), len(COCO_CLASSES), options)
    check_weights(wanted, state, path)
    model = SSD(VGG16(), len(COCO_CLASSES), options)
    model.load_state_dict(state)
    return model.eval()


def _names() -> Iterator[tuple[str, str]]:
    """Torchvision's name of every tensor, and ours."""
    yield "backbone.scale_weight", "l2.scale"
    layers = {
        f"backbone.features.{n}": f"backbone.features.{n}" for n in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21)
    }
    layers |= {
        f"backbone.extra.0.{n}": f"backbone.features.{n + 23}" for n in (1, 3, 5)
    }  # conv5_1 to conv5_3
    layers |= {"backbone.extra.0.7.1": "dense.fc6", "backbone.extra.0.7.3": "dense.fc7"}
    for n in range(len(OPTIONS.extras)):
        layers |= {f"backbone.extra.{n + 1}.{2 * i}": f"extras.{n}.conv{i + 1}" for i in (0, 1)}
    for n in range(len(OPTIONS.ratios)):
        layers[f"head.classification_head.module_list.{n}"] = f"logits.{n}"
        layers[f"head.regression_head.module_list.{n}"] = f"deltas.{n}"
    for theirs, ours in layers.items():
        yield f"{theirs}.weight", f"{ours}.weight"
        yield f"{theirs}.bias", f"{ours}.bias"
