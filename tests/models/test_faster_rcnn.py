"""Faster R-CNN: the contract, the published counts, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from neocog.models.faster_rcnn import FasterRCNN
from neocog.testing import FULL, check_detector, check_learns, make_batch
from neocog.zoo import MODELS, create


@pytest.mark.parametrize("align", [False, True])
def test_contract(align: bool) -> None:
    torch.manual_seed(0)
    options = replace(MODELS["faster-rcnn"].options("compact", 96), align=align)
    check_detector(create("faster-rcnn", 3, "compact", options))


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_contract_on_other_backbones(backbone: str) -> None:
    torch.manual_seed(0)
    check_detector(create("faster-rcnn", 2, backbone))


def test_parameters_of_the_paper() -> None:
    """VGG-16, 21 classes with background: 137,078,239 in all, of which 2,387,510 in the RPN.

    The authors' head also has four offsets for the background, which nothing ever trains; ours has not.
    """
    with torch.device("meta"):
        model = create("faster-rcnn", 20, "vgg16")
    assert isinstance(model, FasterRCNN)
    assert sum(p.numel() for p in model.parameters()) == 137_078_239 - 4 * 4097
    assert sum(p.numel() for p in model.rpn.parameters()) == 2_387_510


def test_no_gradient_flows_through_proposals() -> None:
    torch.manual_seed(0)
    model: Any = create("faster-rcnn", 2)
    output = model(make_batch([FULL]))
    assert not output.regions.boxes.requires_grad
    assert not output.rpn.proposals[0].boxes.requires_grad


def test_true_boxes_are_among_the_regions_learnt_from() -> None:
    torch.manual_seed(0)
    model: Any = create("faster-rcnn", 2)
    batch = make_batch([FULL])
    regions = model(batch).regions
    for box, *_ in zip(batch.targets[0].boxes, strict=False):  # type: ignore[index]
        assert (regions.boxes == box).all(dim=1).any()


def test_sampling_depends_on_the_key_alone() -> None:
    torch.manual_seed(0)
    model: Any = create("faster-rcnn", 2).train()
    batch = make_batch([FULL, FULL])
    first = model(batch).regions
    torch.manual_seed(99)
    again = model(batch).regions
    assert torch.equal(first.boxes, again.boxes)
    other = replace(batch, keys=tuple(replace(key, epoch=1) for key in batch.keys))
    assert not torch.equal(first.boxes, model(other).regions.boxes)


def test_learns_one_batch_by_heart() -> None:
    torch.manual_seed(0)
    check_learns(create("faster-rcnn", 2))
