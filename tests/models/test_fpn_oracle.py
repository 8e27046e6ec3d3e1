"""Torchvision's Faster R-CNN, converted, finds what it found before (`pytest -m oracle`)."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.models.torchvision_faster_rcnn import fasterrcnn_from_torchvision
from neocog.published import TRAINED
from neocog.types import Batch, Detections, Frame, SampleKey
from neocog.zoo import create

pytestmark = pytest.mark.oracle

SIZES = ((224, 320), (272, 224))  # (height, width): neither is resized, and both are padded
LEAST = 50  # detections of a picture: fewer would compare too little


def theirs(eps: float) -> Any:
    """Torchvision's network with random values that differ in every channel, and many detections."""
    detection = pytest.importorskip("torchvision.models.detection")
    torch.manual_seed(0)
    model = detection.fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, min_size=224, max_size=320
    ).eval()
    rng = torch.Generator().manual_seed(1)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = eps
            part.weight.data.uniform_(0.4, 0.8, generator=rng)
            part.running_var.uniform_(0.5, 2, generator=rng).mul_(SMALL**2)
            part.running_mean.normal_(0, 0.2, generator=rng).mul_(SMALL)
        if isinstance(getattr(part, "bias", None), Tensor):
            part.bias.data.normal_(0, 0.1, generator=rng)
    for part in model.backbone.body.modules():
        if isinstance(part, nn.Conv2d):
            part.weight.data *= SMALL
    model.rpn.head.cls_logits.weight.data *= 20
    model.roi_heads.box_predictor.bbox_pred.weight.data *= 20
    spread(model, model.roi_heads.box_predictor.cls_score)
    return model


def spread(model: Any, scores: nn.Linear) -> None:
    """Make every class win somewhere: over the pictures' regions each score has mean 0, deviation 2.5."""
    seen: list[Tensor] = []
    hook = scores.register_forward_hook(lambda _, __, out: seen.append(out))
    with torch.inference_mode():
        model(pictures())
    hook.remove()
    factor = 2.5 / seen[0].std(dim=0)
    scores.bias.data.copy_((scores.bias - seen[0].mean(dim=0)) * factor)
    scores.weight.data.mul_(factor[:, None])


SMALL = 0.01
"""What convolutions are scaled by, and what normalises them: small enough that eps makes a difference."""


def pictures() -> list[Tensor]:
    """Smooth blobs, (3, height, width) in [0, 1]."""
    rng = torch.Generator().manual_seed(2)
    coarse = [torch.rand(1, 3, height // 16, width // 16, generator=rng) for height, width in SIZES]
    return [
        F.interpolate(one, size=size, mode="bilinear")[0] for one, size in zip(coarse, SIZES, strict=True)
    ]


def batch_of(images: list[Tensor]) -> Batch:
    padded = torch.zeros(len(images), 3, 272, 320, dtype=images[0].dtype)
    for ground, image in zip(padded, images, strict=True):
        ground[:, : image.shape[1], : image.shape[2]] = image
    return Batch(
        images=padded,
        sizes=SIZES,
        targets=None,
        frames=tuple(Frame(size, size) for size in SIZES),
        keys=tuple(SampleKey(0, 0, place) for place in range(len(images))),
    )


def assert_same(ours: Detections, expected: dict[str, Tensor], lost: int = 0) -> None:
    """One of ours for each of theirs: boxes within 0.01 px, scores within 1e-4, labels one less.

    `lost`: of theirs that ours may lack, where rounding turns an overlap that is nearly the limit.
    """
    count = len(expected["boxes"])
    assert count >= LEAST
    assert len(expected["labels"].unique()) >= 5
    assert len(ours) <= count + lost
    left = torch.ones(len(ours), dtype=torch.bool)
    for box, score, label in zip(expected["boxes"], expected["scores"], expected["labels"], strict=True):
        same = left & (ours.labels == label - 1) & ((ours.scores - score).abs() < 1e-4)
        same &= (ours.boxes - box).abs().amax(dim=1) < 0.01
        left[same.nonzero()[:1]] = False
    assert count - int((~left).sum()) <= lost


def older(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names of the published file of 2019: no ".0" within, and no counters in frozen BatchNorm."""
    names = {name: re.sub(r"(_blocks\.\d)\.0\.", r"\1.", name) for name in state}
    names = {name: new.replace("rpn.head.conv.0.0.", "rpn.head.conv.") for name, new in names.items()}
    return {names[name]: value for name, value in state.items() if not name.endswith("_tracked")}


def convert(state: dict[str, Tensor], **how: Any) -> Any:
    """Ours with their weights; a key that is missing or unexpected is an error."""
    options, weights = fasterrcnn_from_torchvision(state, **how)
    ours: Any = create("faster-rcnn-fpn", len(weights["head.logits.bias"]) - 1, "resnet50", options)
    ours.load_state_dict(weights)
    return ours.eval()


@pytest.mark.parametrize(("eps", "layout"), [(1e-5, "new"), (0.0, "old")])
@torch.inference_mode()
def test_the_same_pixels_give_the_same_detections(eps: float, layout: str) -> None:
    """In double precision, in which no overlap lies so near its limit that rounding decides."""
    model = theirs(eps)
    state = model.state_dict()
    if layout == "old":
        state = older(state)
        model.load_state_dict(dict(state), strict=False)  # their own reader of old names takes them
    ours, model = convert(state, eps=eps).double(), model.double()
    ours.rpn.bases = ours.rpn.bases.float()  # our boxes are always of single precision
    images = [image.double() for image in pictures()]
    batch = batch_of(images)
    seen: dict[str, Any] = {}
    model.rpn.anchor_generator.register_forward_hook(lambda _, __, out: seen.update(anchors=out))
    model.rpn.register_forward_hook(lambda _, __, out: seen.update(proposals=out[0]))
    expected, output = model(images), ours(batch)
    assert torch.equal(output.rpn.anchors.double(), seen["anchors"][0])
    for mine, other in zip(output.rpn.proposals, seen["proposals"], strict=True):
        assert mine.boxes.shape == other.shape
        near = torch.cdist(other, mine.boxes.double(), p=torch.inf) < 0.01
        assert near.any(dim=1).all()
        assert len(other) > 300
    for mine, other in zip(ours.decode(output, batch), expected, strict=True):
        assert_same(mine, other)


@torch.inference_mode()
def test_so_they_do_in_single_precision() -> None:
    model = theirs(0.0)
    ours, images = convert(model.state_dict(), eps=0.0), pictures()
    batch = batch_of(images)
    for mine, other in zip(ours.decode(ours(batch), batch), model(images), strict=True):
        assert_same(mine, other, lost=3)


def test_the_published_file_and_its_classes_are_torchvisions() -> None:
    models = pytest.importorskip("torchvision.models")
    reference = models.get_model_weights("fasterrcnn_resnet50_fpn").COCO_V1
    entry = TRAINED["fasterrcnn_resnet50_fpn"]
    assert entry.file.url == reference.url
    assert entry.file.megabytes == reference.meta["_file_size"]
    names = reference.meta["categories"]
    for label, name in enumerate(entry.classes, 1):
        assert name == names[label] or (name == f"unused {label}" and names[label] == "N/A")
