"""At equal weights Faster R-CNN has torchvision's losses and gradients (`pytest -m oracle`).

Torchvision draws the anchors and regions that it learns from at random. Here both learn from all of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from neocog.models.torchvision_faster_rcnn import fasterrcnn_from_torchvision
from neocog.ops import onednn
from neocog.parts.fast_layers import fast_layers, swapped
from neocog.testing import make_batch
from neocog.zoo import create

pytestmark = pytest.mark.oracle

ALL = 1_000_000

OBJECTS = [
    [(10.0, 10.0, 70.0, 90.0, 0), (60.0, 30.0, 150.0, 150.0, 1), (5.0, 100.0, 45.0, 130.0, 2)],
    [(40.0, 20.0, 120.0, 140.0, 2)],
]

NAMES = {
    "loss_objectness": "rpn_objectness",
    "loss_rpn_box_reg": "rpn_boxes",
    "loss_classifier": "classes",
    "loss_box_reg": "boxes",
}


def with_our_beta(logits: Tensor, deltas: Tensor, labels: list[Tensor], targets: list[Tensor]) -> Any:
    """Their loss of regions, with Fast R-CNN's beta of 1 in place of their 1/9."""
    label, target = torch.cat(labels), torch.cat(targets)
    positive = torch.nonzero(label > 0).squeeze(1)
    given = deltas.view(len(deltas), -1, 4)[positive, label[positive]]
    boxes = F.smooth_l1_loss(given, target[positive], reduction="sum") / len(label)
    return F.cross_entropy(logits, label), boxes


@pytest.mark.parametrize("fast", [False, True])
def test_losses_and_gradients_are_torchvisions(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    detection: Any = pytest.importorskip("torchvision.models.detection")
    monkeypatch.setattr(detection.roi_heads, "fastrcnn_loss", with_our_beta)
    torch.manual_seed(0)
    theirs = detection.fasterrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=4,
        min_size=160,
        max_size=160,
        rpn_batch_size_per_image=2 * ALL,
        box_batch_size_per_image=4 * ALL,
    )
    options, state = fasterrcnn_from_torchvision(theirs.state_dict(), eps=1e-5)
    rpn, regions = replace(options.rpn, samples=ALL), replace(options.regions, samples=ALL)
    options = replace(options, rpn=rpn, regions=regions)
    ours: Any = create("faster-rcnn-fpn", 3, "resnet50", options)
    ours.load_state_dict(state)
    ours.to(memory_format=torch.channels_last).train()
    batch = make_batch(OBJECTS, size=160)
    batch = replace(batch, sizes=((160, 160), (160, 160)))
    assert batch.targets is not None
    targets = [{"boxes": one.boxes, "labels": one.labels + 1} for one in batch.targets]
    wanted = {NAMES[name]: value for name, value in theirs.train()(list(batch.images), targets).items()}
    monkeypatch.setattr(onednn, "products_are_slow", lambda: fast)
    with swapped(fast_layers(ours)):
        found = ours.loss(ours(batch), batch)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].item() == pytest.approx(value.item(), rel=2e-3), name
    sum(found.values()).backward()
    sum(wanted.values()).backward()
    pairs = {
        "backbone.conv1.weight": theirs.backbone.body.conv1.weight,
        "backbone.layer3.2.conv1.weight": theirs.backbone.body.layer3[2].conv1.weight,
        "rpn.shared.conv.weight": theirs.rpn.head.conv[0][0].weight,
        "head.fc7.weight": theirs.roi_heads.box_head.fc7.weight,
    }
    for name, value in pairs.items():
        mine = ours.get_parameter(name).grad
        # Normalised over a few cells, rounding grows on its way back to the first layers.
        assert (mine - value.grad).norm() < 0.1 * value.grad.norm(), name
