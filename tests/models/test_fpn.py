"""Faster R-CNN on a feature pyramid: the contract, the published count, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from neocog.models.fpn import FPN, FPNOptions
from neocog.models.torchvision_faster_rcnn import OPTIONS
from neocog.parts.rpn import RPNOptions
from neocog.testing import FULL, check_detector, check_learns, make_batch
from neocog.zoo import MODELS, create

NAME = "faster-rcnn-fpn"


@pytest.mark.parametrize("published", [False, True])
def test_contract(published: bool) -> None:
    torch.manual_seed(0)
    options = MODELS[NAME].options("compact", 96)
    if published:
        options = replace(options, anchors="corner", aligned=False, shorter=True)
    check_detector(create(NAME, 3, "compact", options))


@pytest.mark.parametrize("backbone", ["vgg16", "resnet18"])
def test_contract_on_other_backbones(backbone: str) -> None:
    torch.manual_seed(0)
    options = replace(MODELS[NAME].options(backbone, 96), channels=16, hidden=32)
    check_detector(create(NAME, 2, backbone, options))


def test_learns_one_batch_by_heart() -> None:
    torch.manual_seed(0)
    check_learns(create(NAME, 2))


def test_parameters_of_the_published_detector() -> None:
    """Torchvision's, with 91 classes, has 41,755,286, BatchNorm not counted, which it freezes.

    Ours has two scores an anchor in place of one, and no offsets for the background.
    """
    with torch.device("meta"):
        model = create(NAME, 90, "resnet50", OPTIONS)
    norms = [part for part in model.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    frozen = sum(part.weight.numel() + part.bias.numel() for part in norms)
    assert sum(p.numel() for p in model.parameters()) == 41_755_286 + frozen + 3 * 257 - 4 * 1025


def test_every_backbone_has_maps_that_double_their_strides() -> None:
    with torch.device("meta"):
        for backbone in MODELS[NAME].backbones:
            model: Any = create(NAME, 2, backbone)
            assert len(model.strides) >= 3


def test_what_surrounds_a_picture_does_not_matter() -> None:
    """The padding is the backbone's mean, however much of it there is and whatever was there before."""
    torch.manual_seed(0)
    model: Any = create(NAME, 2, "resnet18").eval()
    batch = make_batch([FULL, FULL]).without_targets()  # the second picture is less wide
    wide = torch.rand(2, 3, 128, 160)
    wide[:, :, :96, :96] = batch.images
    wide[1, :, :, 80:] = 0.7
    with torch.inference_mode():
        narrow, other = model(batch), model(replace(batch, images=wide))
        canvas = model.canvas(batch)
    assert torch.equal(narrow.logits, other.logits)
    assert canvas.shape == (2, 3, 96, 96)
    assert torch.equal(canvas[1, :, :, :80], batch.images[1, :, :, :80])
    assert torch.equal(model.backbone.normalise(canvas)[1, :, :, 80:], torch.zeros(3, 96, 16))


def test_regions_of_all_sizes_teach_their_maps() -> None:
    """A large and a small object: the loss of the region head reaches the maps that they are read from."""
    torch.manual_seed(0)
    model: Any = create(NAME, 2)
    batch = make_batch([[(0.0, 0.0, 94.0, 94.0, 0), (60.0, 10.0, 72.0, 22.0, 1)]])
    output = model(batch)
    maps = [one.retain_grad() or one for one in output.pyramid]
    losses = model.loss(output, batch)
    (losses["classes"] + losses["boxes"]).backward()
    assert maps[0].grad.abs().sum() > 0 and maps[1].grad.abs().sum() > 0
    assert maps[-1].grad is None  # the extra map is for proposals alone


def test_options_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"rpn\.norm must be false"):
        FPNOptions(rpn=RPNOptions(scales=(1, 2, 4, 8, 16), norm=True))
    with pytest.raises(ValueError, match=r"rpn\.scales must have 5 numbers"):
        FPNOptions(rpn=RPNOptions())
    with pytest.raises(ValueError, match="must double"):
        create(NAME, 2, "compact", FPNOptions(maps=("c2", "c4"), rpn=RPNOptions(scales=(1, 2, 4))))
    assert isinstance(create(NAME, 2), FPN)


@pytest.mark.parametrize("backbone", ["compact", "vgg16", "resnet18"])
def test_every_weight_has_a_use(backbone: str) -> None:
    torch.manual_seed(0)
    model: Any = create(NAME, 2, backbone)
    batch = make_batch([FULL])
    torch.stack(list(model.loss(model(batch), batch).values())).sum().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []
