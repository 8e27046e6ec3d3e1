"""Torchvision's published SSD300 (`ssd300_vgg16`, trained on COCO) as options and weights of `SSD`.

Its layers are the paper's; its table of default boxes is the authors' second one, for COCO, cut to the
picture's sides. Background, its first class, becomes the last column. The ninety columns that stay are COCO's
category ids 1 to 90, ten of which COCO never used, so that label + 1 is the id and scores are torchvision's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from neocog.models.ssd import SSDOptions

OPTIONS = SSDOptions(
    scales=(0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05), limit=True, pixels="caffe", stretch=True
)


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
