"""What `inference.py` times: torchvision's networks with drawn weights, and ours with the same weights.

The weights are random, but made so that the networks do what trained ones do: normalisation has the
statistics of the picture, scores differ, and a detector finds its hundred objects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models
from torchvision.models import detection, segmentation

from neocog.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD
from neocog.models.classifier import classifier_from_torchvision
from neocog.models.torchvision_faster_rcnn import fasterrcnn_from_torchvision
from neocog.models.torchvision_fcn import fcn_from_torchvision
from neocog.models.torchvision_ssd import ssd300_from_torchvision
from neocog.zoo import MODELS, create, usual_side

Pair = tuple[nn.Module, nn.Module]
"""Theirs, and ours with its weights."""


@dataclass(frozen=True)
class Case:
    name: str
    size: tuple[int, int]  # (height, width) of the picture, in pixels
    build: Callable[[Tensor], Pair]
    normalises: bool  # whether theirs takes pixels in [0, 1] and does the rest itself


def picture(size: tuple[int, int]) -> Tensor:
    """Smooth blobs and some noise (1, 3, height, width) in [0, 1]."""
    rng = torch.Generator().manual_seed(2)
    coarse = [
        torch.rand(1, 3, -(-size[0] // cell), -(-size[1] // cell), generator=rng) for cell in (40, 8, 1)
    ]
    return sum(F.interpolate(one, size=size, mode="bilinear") for one in coarse) / 3  # type: ignore[return-value]


def normalised(image: Tensor) -> Tensor:
    """With the mean and the deviation of ImageNet's pictures."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1).to(image) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (image - mean) / std


def classifier(name: str) -> Callable[[Tensor], Pair]:
    def build(image: Tensor) -> Pair:
        torch.manual_seed(0)
        theirs = getattr(models, name)(weights=None)
        seen = normalised(image)
        settle(theirs, lambda: theirs(seen))
        last = [layer for layer in theirs.modules() if isinstance(layer, nn.Linear)][-1]
        with torch.inference_mode():
            scores = theirs(seen)
        last.weight.data.mul_(2 / scores.std())
        options = MODELS[name].options(name, usual_side(name, name))
        ours = create(name, 1000, options=options)
        ours.load_state_dict(classifier_from_torchvision(theirs.state_dict()))
        return theirs, ours

    return build


def ssd300(image: Tensor) -> Pair:
    torch.manual_seed(3)
    theirs: Any = detection.ssd300_vgg16(weights=None, weights_backbone=None).eval()
    for layer in theirs.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.normal_(layer.bias, std=0.1)
    theirs.backbone.scale_weight.data.uniform_(5, 40)
    scores, offsets = theirs.head.classification_head.module_list, theirs.head.regression_head.module_list
    spread([*scores], lambda: theirs([image[0]]), 1.5)
    spread([*offsets], lambda: theirs([image[0]]), 1.0)
    options, weights = ssd300_from_torchvision(theirs.state_dict())
    ours = create("ssd", 90, "vgg16", options)
    ours.load_state_dict(weights)
    return theirs, ours


def fcn(image: Tensor) -> Pair:
    torch.manual_seed(1)
    theirs = segmentation.fcn_resnet50(weights=None, weights_backbone=None, aux_loss=False)
    seen = normalised(image)
    settle(theirs, lambda: theirs(seen))
    centre(theirs.classifier)
    last = theirs.classifier[4]
    spread([last], lambda: theirs(seen), 2.0)
    options, weights = fcn_from_torchvision(theirs.state_dict())
    ours = create("fcn-dilated", 21, "resnet50", options)
    ours.load_state_dict(weights)
    return theirs, ours


def faster_rcnn(side: int) -> Callable[[Tensor], Pair]:
    def build(image: Tensor) -> Pair:
        torch.manual_seed(0)
        theirs: Any = detection.fasterrcnn_resnet50_fpn(
            weights=None, weights_backbone=None, min_size=side, max_size=2 * side
        ).eval()
        body = theirs.backbone.body
        settle(body, lambda: body(normalised(image)))
        for part in (theirs.backbone.fpn, theirs.rpn, theirs.roi_heads):
            centre(part)
        spread([theirs.rpn.head.cls_logits], lambda: theirs([image[0]]), 2.0)
        spread([theirs.rpn.head.bbox_pred], lambda: theirs([image[0]]), 0.3)
        theirs.roi_heads.box_predictor.bbox_pred.weight.data *= 20
        spread([theirs.roi_heads.box_predictor.cls_score], lambda: theirs([image[0]]), 2.5)
        options, weights = fasterrcnn_from_torchvision(theirs.state_dict(), 1e-5)
        ours = create("faster-rcnn-fpn", 90, "resnet50", options)
        ours.load_state_dict(weights)
        return theirs, ours

    return build


def centre(model: nn.Module) -> None:
    """Make weights sum to 0 over their inputs.

    What all features have in common, being rectified, then does not drown what they differ in.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight.data -= layer.weight.data.mean(dim=1, keepdim=True)


def settle(model: nn.Module, run: Callable[[], object]) -> None:
    """Give every BatchNorm the statistics of what it sees, and a scale that keeps residual sums small."""
    rng = torch.Generator().manual_seed(1)
    for name, norm in model.named_modules():
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        least = 0.1 if name.endswith("bn3") else 0.5  # the last of a residual block
        norm.weight.data.uniform_(least, 2 * least, generator=rng)
        norm.bias.data.normal_(0, 0.1, generator=rng)
        norm.momentum = 1.0
    model.train()
    with torch.no_grad():
        run()
    model.eval()


def spread(layers: list[Any], run: Callable[[], object], deviation: float) -> None:
    """Scale these layers' outputs, each channel by itself, to mean 0 and this deviation over the picture.

    Of a layer that is called more than once, the first output counts.
    """
    seen: dict[Any, Tensor] = {}

    def keep(layer: Any, out: Tensor) -> None:
        seen.setdefault(layer, out)

    hooks = [one.register_forward_hook(lambda layer, _, out: keep(layer, out)) for one in layers]
    with torch.inference_mode():
        run()
    for hook in hooks:
        hook.remove()
    for layer in layers:
        out = seen[layer].movedim(1, -1).flatten(0, -2) if seen[layer].ndim == 4 else seen[layer]
        factor = deviation / out.std(dim=0, correction=0).clamp(min=1e-3)
        layer.bias.data.copy_((layer.bias - out.mean(dim=0)) * factor)
        layer.weight.data.mul_(factor.view(-1, *[1] * (layer.weight.ndim - 1)))


CASES = (
    Case("ResNet-50, 224 px", (224, 224), classifier("resnet50"), False),
    Case("VGG-16, 224 px", (224, 224), classifier("vgg16"), False),
    Case("SSD300", (300, 300), ssd300, True),
    Case("FCN on ResNet-50, 320 x 480 px", (320, 480), fcn, False),
    Case("Faster R-CNN R50-FPN, 320 px", (320, 320), faster_rcnn(320), True),
    Case("Faster R-CNN R50-FPN, 800 px", (800, 800), faster_rcnn(800), True),
)
